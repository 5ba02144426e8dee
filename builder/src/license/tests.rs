use super::*;

const HEAD: &str = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n";

fn read_as(text: &str, source: &str, files: &[&str]) -> Licenses {
    read(text.as_bytes(), &Package { name: source, source, architecture: "amd64", files })
}

#[test]
fn a_machine_readable_file_declares_all_and_concludes_what_is_shipped() {
    let text = format!(
        "{HEAD}Files: *\nCopyright: 2002 Igor\n 2011 Nginx, Inc.\nLicense: BSD-2-clause\n\nFiles: src/hash.c\nCopyright: Austin \
         <a@example.org>\nLicense: public-domain\n The author hereby disclaims copyright.\n\nFiles: debian/*\nCopyright: 2022 \
         Jan\nLicense: GPL-2+\n\nFiles: debian/dh_x\nCopyright: 2016 C\nLicense: GPL-2+\n\nLicense: BSD-2-clause\n text\n\n\
         License: GPL-2+\n text\n"
    );
    let read = read_as(&text, "nginx", &["usr/sbin/nginx"]);
    assert_eq!(read.declared, "BSD-2-Clause AND GPL-2.0-or-later AND LicenseRef-Debian-nginx-public-domain");
    assert_eq!(read.concluded, "BSD-2-Clause AND LicenseRef-Debian-nginx-public-domain");
    assert_eq!(read.basis, Basis::Stanzas);
    assert_eq!(
        read.comment,
        "Concluded from the machine-readable copyright file; stanzas left out of the conclusion: 2 on packaging."
    );
    assert_eq!(read.copyright, "2002 Igor\n2011 Nginx, Inc.\nAustin <a@example.org>");
    let [one] = read.refs.as_slice() else { panic!("{:?}", read.refs) };
    assert_eq!((one.id.as_str(), one.name.as_str()), ("LicenseRef-Debian-nginx-public-domain", "public-domain"));
    assert_eq!(one.text, "The author hereby disclaims copyright.");
}

#[test]
fn a_package_of_packaging_alone_is_under_what_the_packaging_is() {
    let read = read_as(&format!("{HEAD}Files: debian/*\nCopyright: x\nLicense: GPL-3\n"), "task-x", &[]);
    assert_eq!((read.concluded.as_str(), read.copyright.as_str()), ("GPL-3.0-only", "x"));
}

#[test]
fn texts_stand_in_for_names_that_no_list_has() {
    let isc = "Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby \
               granted, provided that the above copyright notice and this permission notice appear in all copies.\n .\n THE \
               SOFTWARE IS PROVIDED \"AS IS\" AND THE AUTHOR DISCLAIMS ALL WARRANTIES WITH REGARD TO THIS SOFTWARE INCLUDING ALL \
               IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR ANY SPECIAL, \
               DIRECT, INDIRECT, OR CONSEQUENTIAL DAMAGES OR ANY DAMAGES WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, \
               WHETHER IN AN ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF OR IN CONNECTION WITH THE \
               USE OR PERFORMANCE OF THIS SOFTWARE.";
    let text = format!(
        "{HEAD}Files: *\nCopyright: x\nLicense: permissive or GPL-2 with Odd exception\n\nFiles: b.c\nCopyright: y\nLicense:\n \
         {isc}\n\nFiles: c.c\nCopyright: z\nLicense: GPL\n\nLicense: permissive\n {isc}\n\nLicense: GPL-2 with Odd exception\n \
         Odd terms.\n\nLicense: GPL\n under the terms of the GNU General Public License as published by the Free Software\n \
         Foundation; either version 3, or (at your option) any later version.\n"
    );
    let read = read_as(&text, "x", &[]);
    assert_eq!(read.concluded, "GPL-3.0-or-later AND ISC AND (ISC OR LicenseRef-Debian-x-GPL-2-with-Odd)", "{read:?}");
    assert_eq!(read.refs[0].text, "Odd terms.");
}

#[test]
fn every_expression_that_is_written_is_valid() {
    for short in [
        "GPL-2+ or Artistic, and BSD",
        "MIT/X11 | Expat",
        "a (b) c",
        "GPL-2+ with ((",
        "AND",
        "ÄÖÜ or \u{7f}",
        "x AND y OR",
    ] {
        let text = format!("{HEAD}Files: *\nCopyright: x\nLicense: {short}\n");
        for expression in [&read_as(&text, "x", &[]).declared, &read_as(&text, "x", &[]).concluded] {
            assert!(expression == NOASSERTION || spdx::Expression::parse(expression).is_ok(), "{short}: {expression}");
        }
    }
}

#[test]
fn what_cannot_be_told_is_declared_by_the_file_and_not_concluded() {
    let text = "This is x.\n\nCopyright (C) 2020 A. Author\n\nYou may look at it on Sundays.\n";
    let read = read_as(text, "x", &[]);
    assert_eq!((read.declared.as_str(), read.concluded.as_str()), ("LicenseRef-Debian-x-copyright", NOASSERTION));
    assert_eq!((read.refs[0].text.as_str(), read.basis), (text.trim_end(), Basis::None));
    assert_eq!(read.copyright, "Copyright (C) 2020 A. Author");
}

#[test]
fn a_reviewed_file_that_has_changed_is_read_anew_and_noted() {
    let text = format!("{HEAD}Files: *\nCopyright: x\nLicense: GPL-2+\n");
    let changed = read_as(&text, "lz4", &[]);
    assert_eq!((changed.basis, changed.notes.len()), (Basis::Stanzas, 0), "`lz4` is no package that was reviewed");
    let package = Package { name: "liblz4-1", source: "lz4", architecture: "amd64", files: &[] };
    let changed = read(text.as_bytes(), &package);
    assert_eq!((changed.concluded.as_str(), changed.basis), ("GPL-2.0-or-later", Basis::Stanzas));
    assert!(
        changed.notes[0].contains("is not the one that was reviewed (source `lz4`, fingerprint "),
        "{:?}",
        changed.notes
    );
}

#[test]
fn hostile_files_end_within_their_bounds() {
    let endless = "permission is hereby granted free of charge to any ".repeat(20_000);
    let many = (0..50_000).map(|number| format!("Files: f{number}\nLicense: L{number}\n\n")).collect::<String>();
    let patterns = format!("Files: {}\nLicense: MIT\n", "debian/x ".repeat(100_000));
    let texts = [
        String::new(),
        "\0\0\0".repeat(100),
        "x".repeat(MAX_FILE + 1),
        endless,
        format!("{HEAD}{many}"),
        format!("{HEAD}{patterns}"),
        format!("{HEAD}Files: *\nLicense: {}\n", "A or (B and ".repeat(20_000)),
        format!("{HEAD}Files: *\nLicense: MIT\nCopyright:\n{}", " 2000 somebody\n".repeat(60_000)),
        format!("{HEAD}{}", "License\n".repeat(100_000)),
    ];
    for text in &texts {
        let read = read_as(text, "x", &[]);
        assert!(read.copyright.len() <= MAX_COPYRIGHT + 100, "{}", read.copyright.len());
        assert!(read.refs.iter().all(|one| one.text.len() <= 512 << 10));
        for expression in [&read.declared, &read.concluded] {
            assert!(expression.len() < 1 << 20, "{}", expression.len());
        }
    }
    let lossy = read(b"\xff\xfe Copyright \xff", &Package { name: "x", source: "x", architecture: "all", files: &[] });
    assert_eq!(lossy.concluded, NOASSERTION);
}
