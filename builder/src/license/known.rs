//! Texts of licences that are recognised word by word, and the grants that name a licence of GNU's.

use super::expression::Expression;

/// The most words of a text that is looked at; the longest text with a template has 300.
const MAX_WORDS: usize = 60_000;
/// The most words that a gap of a template takes: a holder's name.
const MAX_GAP: usize = 30;
/// The most words around a text that is the licence and nothing else: its title.
const MAX_TITLE: usize = 8;

const BSD_START: &str = "redistribution|redistributions and use ?of ?this ?software in source and|or binary forms with or \
    without modification|modifications are permitted provided that the following conditions are met redistributions of \
    source code must retain the ?above copyright notice|notices this list of conditions and the following \
    disclaimer|disclaimers ?without ?modification redistributions in binary form must reproduce the above copyright \
    notice|notices this list of conditions and the following disclaimer|disclaimers in the documentation and or other \
    materials provided with the distribution";
const BSD_ADVERTISING: &str = "all advertising materials mentioning features or use of this software must display the \
    following acknowledgement|acknowledgment this product includes software developed by _";
const BSD_NAME: &str = "?this ?condition ?was ?removed neither the name|names of _ nor ?the ?names of ?its|their|any|other ?specific contributors may be used \
    to endorse or promote products derived from this software without specific prior written permission";
const BSD_NAME_NOR: &str = "neither the name|names of _ may be used to endorse or promote products derived from this \
    software without specific prior written permission";
const BSD_NAME_OF: &str = "the name|names of _ may not be used to endorse or promote products derived from this software \
    without specific prior written permission";
const BSD_END: &str = "this software is provided by _ as is and any express or implied warranties including but not limited \
    to the implied warranties of merchantability and|or fitness for a particular purpose are|is disclaimed in no event \
    shall|will _ be liable for any direct indirect incidental special exemplary or consequential damages including but not \
    limited to procurement of substitute goods or services loss of use data or profits or business interruption however \
    caused and on any theory of liability whether in contract strict liability or tort including negligence or otherwise \
    arising in any way out of the use of this software even if advised of the possibility of such damage|damages";
const MIT: &str = "permission is hereby granted free of charge to any person obtaining a copy of this software and ?its \
    associated documentation files ?the ?software to deal in the software without restriction including without limitation \
    the rights to use copy modify merge publish distribute sublicense and or sell copies of the software and to permit \
    persons to whom the software is furnished to do so subject to the following conditions the above copyright \
    notice|notices and this permission notice ?including ?the ?next ?paragraph shall be included in all copies or substantial \
    portions of the software the software is provided as is without warranty of any kind express or implied including but \
    not limited to the warranties of merchantability fitness for a particular purpose and non ?infringement|noninfringement \
    in no event shall _ be liable for any claim damages or other liability whether in an action of contract tort or \
    otherwise arising from out of or in connection with the software or the use or other dealings in the software";
const MIT_NCURSES: &str = "permission is hereby granted free of charge to any person obtaining a copy of this software and \
    associated documentation files the software to deal in the software without restriction including without limitation the \
    rights to use copy modify merge publish distribute distribute with modifications sublicense and or sell copies of the \
    software and to permit persons to whom the software is furnished to do so subject to the following conditions the above \
    copyright notice and this permission notice shall be included in all copies or substantial portions of the software the \
    software is provided as is without warranty of any kind express or implied including but not limited to the warranties of \
    merchantability fitness for a particular purpose and noninfringement in no event shall _ be liable for any claim damages \
    or other liability whether in an action of contract tort or otherwise arising from out of or in connection with the \
    software or the use or other dealings in the software";
const X11_END: &str = "except as contained in this notice the name|names of _ shall not be used in advertising or otherwise to \
    promote the sale use or other dealings in this software without prior written authorization ?from";
const ISC: &str = "permission to use copy modify and ?or distribute this software for any purpose with or without fee is \
    hereby granted provided that the above copyright notice|notices and this permission notice appear in all copies the \
    software is provided as is and _ disclaims|disclaim all warranties with regard to this software including all implied \
    warranties of merchantability and fitness in no event shall _ be liable for any special direct indirect or consequential \
    damages or any damages whatsoever resulting from loss of use data or profits whether in an action of contract negligence \
    or other tortious action arising out of or in connection with the use or performance of this software";
const ZERO_BSD: &str = "permission to use copy modify and ?or distribute this software for any purpose with or without fee is \
    hereby granted the software is provided as is and _ disclaims|disclaim all warranties with regard to this software \
    including all implied warranties of merchantability and fitness in no event shall _ be liable for any special direct \
    indirect or consequential damages or any damages whatsoever resulting from loss of use data or profits whether in an \
    action of contract negligence or other tortious action arising out of or in connection with the use or performance of \
    this software";
const ZLIB: &str = "this software is provided as is without any express or implied warranty in no event will the \
    author|authors|copyright ?holders be held liable for any damages arising from the use of this software permission is \
    granted to anyone to use this software for any purpose including commercial applications and to alter it and \
    redistribute it freely subject to the following restrictions the origin of this software must not be misrepresented you \
    must not claim that you wrote the original software if you use this software in a product an \
    acknowledgment|acknowledgement in the product documentation would be appreciated but is not required altered source \
    versions must be plainly marked as such and must not be misrepresented as being the original software this notice may not \
    be removed or altered from any source distribution";
const FSFAP: &str = "copying and distribution of this file with or without modification|modifications are permitted in any \
    medium without royalty provided the copyright notice and this notice are preserved ?this ?file ?is ?offered ?as ?is \
    ?without ?any ?warranty";
const FSFUL: &str = "this _ is free software the free software foundation gives unlimited permission to copy distribute and \
    modify it";
const FSFULLR: &str = "this _ is free software the free software foundation gives unlimited permission to copy and or \
    distribute it with or without modifications as long as this notice is preserved";
const WARRANTY_END: &str = "this program is distributed in the hope that it will be useful but without any warranty to the \
    extent permitted by law without even the implied warranty of merchantability or fitness for a particular purpose";
const BSL: &str = "permission is hereby granted free of charge to any person or organization obtaining a copy of the software \
    and accompanying documentation covered by this license the software to use reproduce display distribute execute and \
    transmit the software and to prepare derivative works of the software and to permit third parties to whom the software \
    is furnished to do so all subject to the following the copyright notices in the software and this entire statement \
    including the above license grant this restriction and the following disclaimer must be included in all copies of the \
    software in whole or in part and all derivative works of the software unless such copies or derivative works are solely \
    in the form of machine executable object code generated by a source language processor the software is provided as is \
    without warranty of any kind express or implied including but not limited to the warranties of merchantability fitness \
    for a particular purpose title and non infringement in no event shall the copyright holders or anyone distributing the \
    software be liable for any damages or other liability whether in contract tort or otherwise arising from out of or in \
    connection with the software or the use or other dealings in the software";
const UNLICENSE: &str = "this is free and unencumbered software released into the public domain anyone is free to copy modify \
    publish use compile sell or distribute this software either in source code form or as a compiled binary for any purpose \
    commercial or non commercial and by any means in jurisdictions that recognize copyright laws the author or authors of \
    this software dedicate any and all copyright interest in the software to the public domain we make this dedication for \
    the benefit of the public at large and to the detriment of our heirs and successors we intend this dedication to be an \
    overt act of relinquishment in perpetuity of all present and future rights to this software under copyright law the \
    software is provided as is without warranty of any kind express or implied including but not limited to the warranties \
    of merchantability fitness for a particular purpose and noninfringement in no event shall the authors be liable for any \
    claim damages or other liability whether in an action of contract tort or otherwise arising from out of or in connection \
    with the software or the use or other dealings in the software";

/// SPDX's name and the parts of its text; of two that start alike the longer one comes first.
const TEMPLATES: &[(&str, &[&str])] = &[
    ("BSD-4-Clause", &[BSD_START, BSD_ADVERTISING, BSD_NAME, BSD_END]),
    ("BSD-4-Clause", &[BSD_START, BSD_ADVERTISING, BSD_NAME_OF, BSD_END]),
    ("BSD-3-Clause", &[BSD_START, BSD_NAME, BSD_END]),
    ("BSD-3-Clause", &[BSD_START, BSD_NAME_NOR, BSD_END]),
    ("BSD-3-Clause", &[BSD_START, BSD_NAME_OF, BSD_END]),
    ("BSD-2-Clause", &[BSD_START, BSD_END]),
    ("X11-distribute-modifications-variant", &[MIT_NCURSES, X11_END]),
    ("X11", &[MIT, X11_END]),
    ("MIT", &[MIT]),
    ("ISC", &[ISC]),
    ("0BSD", &[ZERO_BSD]),
    ("Zlib", &[ZLIB]),
    ("FSFAP", &[FSFAP]),
    ("FSFULLRWD", &[FSFULLR, WARRANTY_END]),
    ("FSFULLR", &[FSFULLR]),
    ("FSFUL", &[FSFUL]),
    ("BSL-1.0", &[BSL]),
    ("Unlicense", &[UNLICENSE]),
];

/// Words that only terms have: a text with one of them beside what was recognised says more than that.
const MARKS: &[&str] = &[
    "permission",
    "permitted",
    "redistribution",
    "redistributions",
    "license",
    "licence",
    "licensed",
    "licenced",
    "granted",
    "copyleft",
    "exception",
    "exceptions",
    "domain",
    "freely",
    "warranty",
    "warranties",
    "terms",
    "royalty",
];

/// Words that change what stands beside them.
const QUALIFIERS: &[&str] = &[
    "not",
    "except",
    "only",
    "exception",
    "must",
    "may",
    "additional",
    "additionally",
    "however",
    "addition",
    "unless",
];

/// Returns the words of a text in lower case: without punctuation, list numbers, comment leaders, and lines that name a
/// holder of copyright. A word that is cut at the end of its line is joined.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut cut = false;
    for line in text.lines() {
        let line = line.trim_start_matches(|c: char| c.is_whitespace() || "*#;/|%!-".contains(c)).trim_end();
        if is_copyright(line) {
            continue;
        }
        let line = unnumbered(line);
        let mut word = if cut { words.pop().unwrap_or_default() } else { String::new() };
        cut = false;
        for (at, c) in line.char_indices() {
            let point = c == '.'
                && word.ends_with(|c: char| c.is_ascii_digit())
                && line[at + 1..].starts_with(|c: char| c.is_ascii_digit());
            if c.is_alphanumeric() || point {
                word.extend(c.to_lowercase());
            } else if !word.is_empty() && c != '\'' {
                cut = c == '-' && at + 1 == line.len() && word.chars().all(char::is_alphabetic);
                words.push(std::mem::take(&mut word));
            }
        }
        if !word.is_empty() {
            words.push(word);
        }
        if words.len() >= MAX_WORDS {
            break;
        }
    }
    words
}

/// Returns whether a line names a holder of copyright.
pub(super) fn is_copyright(line: &str) -> bool {
    let line = line.trim_start();
    let head: String = line.chars().take(20).collect::<String>().to_lowercase();
    let rest = ["copyright", "(c)", "©", "portions copyright", "portions (c)"].iter().find_map(|start| {
        let rest = head.strip_prefix(start)?;
        (!rest.starts_with(char::is_alphanumeric)).then_some(rest)
    });
    let said = rest.is_some_and(|rest| {
        let rest = rest.trim_start();
        !["holder", "notice", "owner", "law", "and ", "statement", "interest", "licens", "or "]
            .iter()
            .any(|word| rest.starts_with(word))
    });
    said || head.starts_with("all rights reserve")
}

/// Returns a line without the number of a list in front of it.
fn unnumbered(line: &str) -> &str {
    let open = line.strip_prefix(['(', '[']).unwrap_or(line);
    let end = open.find([')', '.', ']']).unwrap_or(open.len());
    let number = &open[..end];
    let is_number = (1..=2).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit())
        || number.len() == 1 && number.bytes().all(|byte| byte.is_ascii_alphabetic());
    let rest = open.get(end + 1..).unwrap_or_default();
    if is_number && rest.starts_with([' ', '\t']) { rest } else { line }
}

/// Returns where a template ends in `words` that starts at `at`.
fn end_of(parts: &[&str], words: &[String], at: usize) -> Option<usize> {
    let mut places = vec![at];
    for token in parts.iter().flat_map(|part| part.split_whitespace()) {
        let mut next = Vec::new();
        for place in places {
            if token == "_" {
                next.extend(place..=(place + MAX_GAP).min(words.len()));
                continue;
            }
            let (token, optional) = token.strip_prefix('?').map_or((token, false), |token| (token, true));
            if optional {
                next.push(place);
            }
            if words.get(place).is_some_and(|word| token.split('|').any(|form| form == word)) {
                next.push(place + 1);
            }
        }
        next.sort_unstable();
        next.dedup();
        places = next;
        if places.is_empty() {
            return None;
        }
    }
    places.last().copied()
}

/// A licence found in a text, and the words that it is found in.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hit {
    license: String,
    start: usize,
    end: usize,
}

fn templates(words: &[String]) -> Vec<Hit> {
    let mut hits: Vec<Hit> = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let starts =
            matches!(words[at].as_str(), "permission" | "redistribution" | "redistributions" | "this" | "copying");
        let hit = TEMPLATES.iter().filter(|_| starts).find_map(|(name, parts)| {
            let end = end_of(parts, words, at)?;
            let california = words[at..end].windows(3).any(|three| three == ["university", "of", "california"]);
            let license = if *name == "BSD-4-Clause" && california { "BSD-4-Clause-UC" } else { name };
            Some(Hit { license: license.to_owned(), start: at, end })
        });
        at = hit.as_ref().map_or(at + 1, |hit| hit.end);
        hits.extend(hit);
    }
    hits
}

/// Returns what a text says that is one licence and nothing else, but for its title and what Debian says of it.
pub(super) fn whole(text: &str) -> Option<Expression> {
    let mut words = words(text);
    if let Some(at) =
        words.windows(3).position(|three| three[0] == "on" && three[1] == "debian" && three[2].starts_with("s"))
    {
        words.truncate(at);
    }
    if let [hit] = templates(&words).as_slice() {
        let around: Vec<&String> = words[..hit.start].iter().chain(&words[hit.end..]).collect();
        let plain = hit.start <= MAX_TITLE
            && words.len() - hit.end <= MAX_TITLE
            && !around.iter().any(|word| QUALIFIERS.contains(&word.as_str()));
        return plain.then(|| Expression::License(hit.license.clone()));
    }
    let grants = grants(&words);
    let said: std::collections::BTreeSet<&str> = grants.iter().map(|grant| grant.license.as_str()).collect();
    let more = ["exception", "special", "addition", "permission", "link", "linking", "alternatively"];
    if said.len() == 1 && !words.iter().any(|word| more.contains(&word.as_str())) {
        return grants.into_iter().next().map(|grant| Expression::License(grant.license));
    }
    None
}

/// Returns what a whole copyright file says that has no stanzas, where every term of it is accounted for.
pub(super) fn certain(text: &str) -> Option<Expression> {
    let words = words(text);
    let mut hits = templates(&words);
    let grants = grants(&words);
    hits.extend(grants);
    if hits.is_empty() {
        return None;
    }
    let mut covered = vec![false; words.len()];
    for hit in &hits {
        covered[hit.start..hit.end].iter_mut().for_each(|one| *one = true);
    }
    cover_notices(&words, &hits, &mut covered);
    let open = words.iter().zip(&covered).any(|(word, covered)| !covered && MARKS.contains(&word.as_str()));
    if open {
        return None;
    }
    Expression::all(hits.into_iter().map(|hit| Expression::License(hit.license)))
}

/// Phrases around a grant of GNU's, of which each stands for itself.
const NOTICES: &[&str] = &[
    "is free software you can redistribute it and or modify it under the",
    "distributed in the hope that it will be useful but without any warranty without even the implied warranty of \
     merchantability or fitness for a particular purpose see the gnu ?lesser|library|affero general public license for more \
     details",
    "you should have received a copy of the gnu ?lesser|library|affero general public license",
    "if not see http|https www.gnu.org|www gnu org licenses",
    "on debian ?gnu ?linux systems the ?complete|full text of the gnu ?lesser|library|affero general public license ?version \
     ?1|2|2.0|2.1|3 can be found in ?the ?file usr share common licenses",
    "on debian ?gnu ?linux systems the ?complete|full text of the apache license ?version ?2.0 can be found in ?the ?file usr \
     share common licenses",
    "usr share common licenses _1",
    "licenses _1",
    "http|https www.gnu.org licenses",
    "?copyright ?and license",
    "license copyright",
];

fn cover_notices(words: &[String], hits: &[Hit], covered: &mut [bool]) {
    let gnu = hits.iter().any(|hit| hit.license.contains("GPL"));
    for notice in NOTICES {
        let tokens = notice.replace(" _1", "");
        if tokens.contains("gnu") && !gnu {
            continue;
        }
        for at in 0..words.len() {
            if let Some(end) = end_of(&[&tokens], words, at) {
                covered[at..end].iter_mut().for_each(|one| *one = true);
            }
        }
    }
}

/// Returns the licences that a text puts something under, by name and version.
fn grants(words: &[String]) -> Vec<Hit> {
    let mut hits = Vec::new();
    let word = |at: usize| words.get(at).map_or("", String::as_str);
    for at in 0..words.len() {
        if word(at) == "apache" && matches!(word(at + 1), "license" | "licence") {
            let named = word(at + 2) == "version" && matches!(word(at + 3), "2.0" | "2");
            let granted = at >= 2 && matches!((word(at - 2), word(at - 1)), ("under" | "of", "the"));
            if named && granted {
                hits.push(Hit { license: "Apache-2.0".to_owned(), start: at.saturating_sub(3), end: at + 4 });
            }
            continue;
        }
        if word(at) != "gnu" {
            continue;
        }
        let (family, name) = match word(at + 1) {
            "general" => ("GPL", at + 1),
            "lesser" | "library" => ("LGPL", at + 2),
            "affero" => ("AGPL", at + 2),
            _ => continue,
        };
        if (word(name), word(name + 1)) != ("general", "public") || !matches!(word(name + 2), "license" | "licence") {
            continue;
        }
        if !(at >= 2 && matches!((word(at - 2), word(at - 1)), ("of" | "under", "the"))) {
            continue;
        }
        if let Some((license, end)) = version(family, words, name + 3) {
            hits.push(Hit { license, start: at.saturating_sub(4), end });
        }
    }
    hits
}

/// Reads `as published by …; either version 2 of the License, or (at your option) any later version`.
fn version(family: &str, words: &[String], from: usize) -> Option<(String, usize)> {
    let word = |at: usize| words.get(at).map_or("", String::as_str);
    let mut at = from;
    if word(at) == "lgpl" || word(at) == "gpl" {
        at += 1;
    }
    if (word(at), word(at + 1), word(at + 2)) == ("as", "published", "by") {
        at += 3;
        let end = (at..at + 5).find(|at| word(*at) == "foundation")?;
        at = end + 1;
    }
    while matches!(word(at), "either" | "under" | "the" | "terms" | "of") && at < from + 16 {
        at += 1;
    }
    if !matches!(word(at), "version" | "v") {
        return None;
    }
    let number = match word(at + 1) {
        "1" | "1.0" => "1.0",
        "2" | "2.0" => "2.0",
        "2.1" => "2.1",
        "3" | "3.0" => "3.0",
        _ => return None,
    };
    at += 2;
    let mut end = at;
    let mut later = false;
    for step in at..at + 16 {
        match word(step) {
            "later" | "newer" => {
                (later, end) = (true, step + 1);
                if word(end) == "version" {
                    end += 1;
                }
                break;
            }
            "of" | "the" | "license" | "licence" | "or" | "at" | "your" | "option" | "any" | "gnu" | "lesser"
            | "library" | "general" | "public" => {}
            "as" if (word(step + 1), word(step + 2)) == ("published", "by") => {
                let found = (step + 3..step + 8).find(|at| word(*at) == "foundation");
                end = found.map_or(end, |found| found + 1);
                break;
            }
            _ => break,
        }
    }
    let suffix = if later { "or-later" } else { "only" };
    let license = format!("{family}-{number}-{suffix}");
    spdx::license_id(&license)?;
    Some((license, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BSD: &str = "Copyright (c) 1991 The Regents.\n All rights reserved.\n\n Redistribution and use in source and binary \
        forms, with or without\n modification, are permitted provided that the following conditions\n are met:\n 1. \
        Redistributions of source code must retain the above copyright\n    notice, this list of conditions and the following \
        disclaimer.\n 2. Redistributions in binary form must reproduce the above copyright\n    notice, this list of \
        conditions and the following disclaimer in the\n    documentation and/or other materials provided with the \
        distribution.\n NAME THIS SOFTWARE IS PROVIDED BY THE REGENTS ``AS IS'' AND\n ANY EXPRESS OR IMPLIED WARRANTIES, \
        INCLUDING, BUT NOT LIMITED TO, THE\n IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS FOR A PARTICULAR PUR-\n POSE \
        ARE DISCLAIMED.  IN NO EVENT SHALL THE REGENTS OR CONTRIBUTORS BE LIABLE\n FOR ANY DIRECT, INDIRECT, INCIDENTAL, \
        SPECIAL, EXEMPLARY, OR CONSEQUENTIAL\n DAMAGES (INCLUDING, BUT NOT LIMITED TO, PROCUREMENT OF SUBSTITUTE GOODS\n OR \
        SERVICES; LOSS OF USE, DATA, OR PROFITS; OR BUSINESS INTERRUPTION)\n HOWEVER CAUSED AND ON ANY THEORY OF LIABILITY, \
        WHETHER IN CONTRACT, STRICT\n LIABILITY, OR TORT (INCLUDING NEGLIGENCE OR OTHERWISE) ARISING IN ANY WAY\n OUT OF THE \
        USE OF THIS SOFTWARE, EVEN IF ADVISED OF THE POSSIBILITY OF\n SUCH DAMAGE.\n";

    fn found(text: &str) -> String {
        whole(text).map_or_else(|| "-".to_owned(), |one| one.to_string())
    }

    #[test]
    fn texts_are_known_word_by_word_and_nothing_is_guessed() {
        let three = "3. Neither the name of the University nor the names of its\n contributors may be used to endorse or \
                     promote products derived\n from this software without specific prior written permission.\n";
        let four = "3. All advertising materials mentioning features or use of this software\n must display the following \
                    acknowledgement:\n This product includes software developed by the University of\n California, Berkeley \
                    and its contributors.\n";
        let with = |clause: &str| BSD.replace("NAME ", &format!("{clause} "));
        assert_eq!(found(&with("")), "BSD-2-Clause");
        assert_eq!(found(&with(three)), "BSD-3-Clause");
        assert_eq!(found(&with(&format!("{four}{}", three.replace("3.", "4.")))), "BSD-4-Clause-UC");
        assert_eq!(found(&with("3. You must buy the author a beer.\n")), "-");
        assert_eq!(found(&format!("{} You may not use it on Sundays.", with(three))), "-");
        assert_eq!(
            found(&format!("BSD licence\n{}On Debian systems, more can be read in a file.", with(three))),
            "BSD-3-Clause"
        );
        assert_eq!(found(""), "-");
    }

    #[test]
    fn grants_name_version_and_later_ones() {
        let grant = |version: &str| {
            format!(
                "This program is free software; you can redistribute it and/or modify\n it under the terms of the GNU General \
                 Public License as published by\n the Free Software Foundation; {version}.\n"
            )
        };
        for (text, expected) in [
            (grant("either version 2 of the License, or\n (at your option) any later version"), "GPL-2.0-or-later"),
            (grant("version 2 of the License"), "GPL-2.0-only"),
            (grant("version 3"), "GPL-3.0-only"),
            (grant("either version 2.1"), "-"),
            (grant("whatever version"), "-"),
            (grant("version 2 of the License, or later, with a special exception"), "-"),
            (
                "under the terms of the GNU Lesser General Public License as published by the Free Software Foundation; \
                 version 2.1 or any later version"
                    .to_owned(),
                "LGPL-2.1-or-later",
            ),
            ("under the terms of the GNU General Public License version 2,\n as published by the Free Software Foundation."
                .to_owned(), "GPL-2.0-only"),
            ("See the GNU General Public License version 3".to_owned(), "-"),
            ("Licensed under the Apache License, Version 2.0 (the \"License\")".to_owned(), "Apache-2.0"),
        ] {
            assert_eq!(found(&text), expected, "{text}");
        }
    }

    #[test]
    fn a_file_is_certain_where_every_term_is_accounted_for() {
        let text = "This package was debianized by A.\n\nCopyright (C) 2000 B\n\n    This program is free software; you can \
                    redistribute it and/or modify\n    it under the terms of the GNU General Public License as published by\n    \
                    the Free Software Foundation; either version 2 of the License, or\n    (at your option) any later \
                    version.\n\n    This program is distributed in the hope that it will be useful,\n    but WITHOUT ANY \
                    WARRANTY; without even the implied warranty of\n    MERCHANTABILITY or FITNESS FOR A PARTICULAR PURPOSE.  \
                    See the\n    GNU General Public License for more details.\n\nOn Debian systems, the complete text of the \
                    GNU General\nPublic License can be found in `/usr/share/common-licenses/GPL'.\n";
        let said = |text: &str| certain(text).map(|one| one.to_string());
        assert_eq!(said(text).as_deref(), Some("GPL-2.0-or-later"));
        assert_eq!(said(&format!("{text}\nThe file x.c is in the public domain.\n")), None);
        assert_eq!(said("Copyright 1 x\nIt is licensed under the GPL, see /usr/share/common-licenses/GPL\n"), None);
        assert_eq!(said(&"permission is hereby granted ".repeat(30_000)), None);
    }
}
