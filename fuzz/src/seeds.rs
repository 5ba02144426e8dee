//! Good and nearly good input for every target, made by code.

use std::io::Write as _;
use std::path::Path;

use tarsia::digest::Digest;
use tarsia::kit::{self, Content};
use tarsia::package::{Limits, open_deb};

use crate::deb_fixture::{Deb, Packing, Tar, ar, deb, header, pack};
use crate::{NOW, file, key, signing};

/// Returns the seeds of a target.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "apt_sources" => texts(&[
            "deb [arch=amd64 signed-by=/k.asc] https://example.org/debian trixie main contrib\ndeb-src http://x y z\n# no\n",
            "Types: deb\nURIs: https://example.org/debian/ http://b\nSuites: trixie trixie-updates\nComponents: main\nSigned-By:\n -----BEGIN\n .\n x\n",
        ]),
        "clearsign" => {
            let (_, certificate) = signing::generate_key(1);
            let text = "Origin: Test\nSuite: test\nCodename: test\nDate: Fri, 02 Jan 2026 03:04:05 UTC\nSHA256:\n 0000000000000000000000000000000000000000000000000000000000000000 1 main/x\n- dash\n";
            vec![signing::clearsign(&key().0, text, NOW), certificate.into_bytes()]
        }
        "deb" => debs()
            .iter()
            .flat_map(|deb| {
                [Packing::Xz, Packing::Stored, Packing::Zstd, Packing::Gzip]
                    .map(|packing| deb.clone().packing(packing).build())
            })
            .chain([odd()])
            .collect(),
        "deb822" => texts(&[
            "Package: hello\nVersion: 1:2.10-3\nDepends: libc6 (>= 2.36), a | b [amd64 !i386] <!nocheck>, c:any\nDescription: x\n y\n .\n z\n\n# a comment\nPackage: b\n",
            "A:\nB: \n c\n\n\n\nD: e\r\n",
        ]),
        "index" => {
            let text = "Package: hello\nVersion: 2.10-3\nArchitecture: amd64\nMaintainer: x\nDepends: libc6 (>= 2.36)\nProvides: a (= 1), b\nFilename: pool/h/hello_2.10-3_amd64.deb\nSize: 1000\nInstalled-Size: 280\nSHA256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n\n";
            let text = format!("{text}{}", text.replace("hello", "world").replace("amd64", "all")).into_bytes();
            [(0, text.clone()), (1, pack(Packing::Xz, &text)), (2, pack(Packing::Gzip, &text))]
                .map(|(kind, bytes)| [vec![kind], bytes].concat())
                .to_vec()
        }
        "version" => texts(&[
            "1.0\n1.0-1\n1:0~rc1-2+b1\n2.10-3\n0\n~\n",
            "a (>= 1:2~x-3) | b:any [!amd64] <x>, c",
            "1.0+deb13u4\n1.0~\n1.0.\n1.0-0\n00001\n",
        ]),
        "tar" => {
            let mut tar = Tar::new().directory("./", 0o755).directory("./a/", 0o755).file("./a/f", 0o4755, b"bytes\n");
            tar = tar.entry("./a/s", b'2', 0o777, "../x", b"").entry("./a/h", b'1', 0o4755, "./a/f", b"");
            let long = format!("./{}", "x/".repeat(90));
            let pax = Tar::new().entry("./p", b'x', 0, "", b"19 path=\xc3\xa4/longer\n20 mtime=123456.789\n").file(
                "./f",
                0o644,
                &[b'x'; 700],
            );
            vec![tar.build(), Tar::new().file(&format!("{long}f"), 0o644, b"x").build(), pax.build()]
        }
        "pack" => debs()
            .iter()
            .map(|deb| {
                let bytes = deb.build();
                open_deb(&file(&bytes), Digest::of(&bytes), &file(b""), &Limits::default())
                    .expect("a good package")
                    .to_bytes()
            })
            .collect(),
        "decode" => {
            let text: Vec<u8> = (0..40_000u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
            let mut all: Vec<_> =
                [Packing::Xz, Packing::Zstd, Packing::Gzip].map(|packing| pack(packing, &text)).to_vec();
            all.push([pack(Packing::Zstd, b"one"), pack(Packing::Zstd, b"two")].concat());
            all.push(blocks(&text));
            all
        }
        "elf" => {
            let mut own = std::fs::read("/proc/self/exe").unwrap_or_default();
            own.truncate(8 << 10);
            vec![own, shared_object()]
        }
        "image" => vec![layout(), layout_of_two()],
        "kit" => [("kit.tar", "kit"), ("kit.tar.zst", "kit")].map(|(name, _)| vendored(name)).to_vec(),
        "lock" => vec![lock().into_bytes()],
        "spec" => specs(),
        _ => Vec::new(),
    }
}

fn texts(all: &[&str]) -> Vec<Vec<u8>> {
    all.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn debs() -> Vec<Deb> {
    let plain = deb("hello", "2.10-3").depends("libc6").file("/usr/bin/hello", 0o755, "#!/bin/sh\necho hi\n");
    let full = plain
        .clone()
        .dir("/var/empty", 0o1777)
        .symlink("/usr/bin/hi", "hello")
        .hardlink("/usr/bin/there", "/usr/bin/hello")
        .file("/usr/lib/libx.so.1", 0o644, shared_object())
        .file("/usr/share/doc/hello/copyright", 0o644, "Licence: x\n")
        .file("/usr/lib/tmpfiles.d/x.conf", 0o644, "d /run/x 0755 root root\n")
        .control_file("postinst", "#!/bin/sh\nset -e\nupdate-alternatives --install /usr/bin/x x /usr/bin/y 10\n")
        .control_file("md5sums", "d41d8cd98f00b204e9800998ecf8427e  usr/bin/hello\n")
        .control_file("conffiles", "/etc/x\n")
        .control_file("triggers", "activate-noawait ldconfig\n");
    vec![plain, full]
}

fn odd() -> Vec<u8> {
    let tar = Tar::new().raw(&header("./f", b'0', 0o644, "", 0, 0)).build();
    ar(&[("debian-binary", b"2.0\n"), ("control.tar", &tar), ("data.tar", &tar)])
}

/// An xz stream of several blocks.
fn blocks(bytes: &[u8]) -> Vec<u8> {
    let stream = liblzma::stream::MtStreamBuilder::new().threads(1).block_size(8 << 10).preset(0).encoder();
    let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream.expect("a good preset"));
    encoder.write_all(bytes).expect("memory takes all");
    encoder.finish().expect("memory takes all")
}

/// A 64-bit little-endian shared object with a segment of each kind that is read.
fn shared_object() -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend([3, 0, 62, 0]);
    file.resize(32, 0);
    file.extend(64u64.to_le_bytes());
    file.resize(54, 0);
    file.extend([56, 0, 4, 0]);
    file.resize(64, 0);
    for (kind, offset, size) in [(1u32, 0u64, 2048u64), (3, 600, 13), (2, 700, 96), (4, 1024, 120)] {
        file.extend(kind.to_le_bytes());
        file.extend(0u32.to_le_bytes());
        for value in [offset, 0x1000 + offset, 0, size, size, 4] {
            file.extend(value.to_le_bytes());
        }
    }
    file.resize(2048, 0);
    let dynamic: Vec<u8> = [(1u64, 1u64), (14, 11), (29, 21), (5, 0x1000 + 512), (0x6fff_fffb, 0x800), (0, 0)]
        .iter()
        .flat_map(|(tag, value)| [tag.to_le_bytes(), value.to_le_bytes()].concat())
        .collect();
    let note = b"\x04\0\0\0\x40\0\0\0\x7e\x0c\x7c\xdaFDO\0[{\"soname\":[\"liby.so.2\"],\"priority\":\"suggested\"}]             ";
    let strings = b"\0libc.so.6\0libx.so.1\0$ORIGIN/../lib:/opt/lib\0";
    for (at, bytes) in [(512, &strings[..]), (600, b"/lib64/ld.so\0"), (700, &dynamic), (1024, note)] {
        file[at..at + bytes.len()].copy_from_slice(bytes);
    }
    file
}

fn layout() -> Vec<u8> {
    archive(&[("linux", "amd64")])
}

fn layout_of_two() -> Vec<u8> {
    archive(&[("linux", "amd64"), ("linux", "arm64")])
}

/// An OCI archive of images with one layer each.
fn archive(platforms: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = Tar::new().directory("blobs/", 0o755).directory("blobs/sha256/", 0o755);
    let mut manifests = Vec::new();
    let put = |tar: Tar, bytes: &[u8]| {
        let name = format!("blobs/sha256/{}", Digest::of(bytes).hex());
        tar.file(&name, 0o644, bytes)
    };
    for (os, architecture) in platforms {
        let plain = Tar::new().file("etc/motd", 0o644, architecture.as_bytes()).build();
        let layer = pack(Packing::Zstd, &plain);
        let config = format!(
            r#"{{"architecture":"{architecture}","os":"{os}","rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
            Digest::of(&plain)
        );
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{}","size":{}}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar+zstd","digest":"{}","size":{}}}]}}"#,
            Digest::of(config.as_bytes()),
            config.len(),
            Digest::of(&layer),
            layer.len()
        );
        for bytes in [&layer[..], config.as_bytes(), manifest.as_bytes()] {
            tar = put(tar, bytes);
        }
        manifests.push(format!(
            r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{}","size":{}}}"#,
            Digest::of(manifest.as_bytes()),
            manifest.len()
        ));
    }
    let index = |entries: &str| {
        format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{entries}]}}"#
        )
    };
    let inner = index(&manifests.join(","));
    let top = if manifests.len() == 1 {
        inner
    } else {
        tar = put(tar, inner.as_bytes());
        index(&format!(
            r#"{{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"{}","size":{}}}"#,
            Digest::of(inner.as_bytes()),
            inner.len()
        ))
    };
    tar.file("index.json", 0o644, top.as_bytes())
        .file("oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#)
        .build()
}

fn vendored(name: &str) -> Vec<u8> {
    let room = tempfile::tempdir().expect("a temporary directory");
    let bytes = b"signed".to_vec();
    let digest = Digest::of(&bytes);
    let file = kit::File {
        path: kit::blob_path(&digest),
        kind: "in-release".to_owned(),
        name: "test InRelease".to_owned(),
        archive: Some("test".to_owned()),
        location: Some("dists/test/InRelease".to_owned()),
        digest,
        size: bytes.len() as u64,
        special: None,
    };
    let to = room.path().join(name);
    kit::write(vec![(file, Content::Bytes(bytes))], &|_| Ok(None), &to).expect("a good kit");
    std::fs::read(to).expect("it was written")
}

fn lock() -> String {
    let digest = |text: &str| Digest::of(text.as_bytes());
    let package = |name: &str, why: &str| {
        format!(
            "\n[[platform.\"linux/amd64\".package]]\nname = \"{name}\"\nversion = \"1:2.10-3\"\narchitecture = \"amd64\"\nsource = \"{name}\"\narchive = \"debian\"\nin-release = \"{}\"\npath = \"pool/main/{name}.deb\"\nsize = 10\ndigest = \"{}\"\nwhy = \"{why}\"\nlayer = \"small-1\"\n",
            digest("in-release"),
            digest(name)
        )
    };
    format!(
        "version = {}\nrevision = 0\ntarsia = \"0.1.0\"\nencoding = {}\nrules = {}\nspec = \"{}\"\nkeep = \"runtime\"\nsource-date = 1750000000\n\n[[archive]]\nname = \"debian\"\nsuite = \"trixie\"\nin-release = \"{}\"\ndate = 1750000000\nvalid-until = 1760000000\nsigners = [\"{}\"]\npackages = [{{ path = \"main/binary-amd64/Packages.xz\", digest = \"{}\", size = 5 }}]\n\n[[input]]\nkind = \"key\"\nname = \"k.asc\"\ndigest = \"{}\"\nsize = 3\n\n[platform.\"linux/amd64\"]\nlayers = [\"small-1\"]\n{}{}",
        tarsia::lock::VERSION,
        tarsia::lock::ENCODING,
        tarsia::lock::RULES,
        digest("spec"),
        digest("in-release"),
        "A".repeat(40),
        digest("packages"),
        digest("k"),
        package("hello", "requested"),
        package("libc6", "hello"),
    )
}

fn specs() -> Vec<Vec<u8>> {
    let mut all = texts(&[
        "version: 1\nname: web\ndistro: debian/13\nplatforms: [linux/amd64, linux/arm64]\npackages:\n  - hello >= 1.0\n  - \"!x\"\nkeep: runtime\nfiles:\n  - {copy: app, to: /usr/bin/app, mode: \"0755\", owner: web}\n  - {text: \"hello\\n\", to: /etc/motd}\n  - {symlink: /a, target: b}\nusers:\n  web: {uid: 10001, home: /home/web}\nrun:\n  user: web\n  entrypoint: [/usr/bin/app]\n  env: {TZ: UTC}\n  ports: [8080]\nlabels: {a.b: c}\nlayers: {max: 12, compression: zstd, level: 3}\n",
        "version: 1\nfiles:\n  - text: |\n      block\n       more\n    to: /x\n  - text: >-\n      folded\n\n      text\n    to: '/y'\n",
    ]);
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../specs");
    for name in ["hello.yaml", "python.yaml", "static.yaml"] {
        all.extend(std::fs::read(directory.join(name)));
    }
    all
}
