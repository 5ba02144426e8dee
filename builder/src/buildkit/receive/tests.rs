use super::*;

/// A daemon that sends what it likes, and a directory beside which nothing may appear.
struct World {
    outer: tempfile::TempDir,
    receiver: Receiver,
    answers: Vec<Packet>,
}

fn world_of(limits: Limits) -> World {
    let outer = tempfile::tempdir().unwrap();
    std::fs::create_dir(outer.path().join("export")).unwrap();
    let receiver = Receiver::new(&outer.path().join("export"), limits).unwrap();
    World { outer, receiver, answers: Vec::new() }
}

fn world() -> World {
    world_of(Limits::default())
}

fn stat(path: &str, mode: u32, size: i64) -> Packet {
    let stat = Stat { path: path.to_owned(), mode, size, ..Stat::default() };
    Packet { r#type: PacketType::PacketStat as i32, stat: Some(stat), ..Packet::default() }
}

fn file(path: &str, size: i64) -> Packet {
    stat(path, 0o600, size)
}

fn directory(path: &str) -> Packet {
    stat(path, GO_DIRECTORY | 0o700, 0)
}

fn end() -> Packet {
    Packet { r#type: PacketType::PacketStat as i32, ..Packet::default() }
}

fn data(id: u32, data: &[u8]) -> Packet {
    Packet { r#type: PacketType::PacketData as i32, id, data: data.to_vec(), ..Packet::default() }
}

impl World {
    fn send(&mut self, packet: Packet) -> Result<(), String> {
        self.receiver.packet(packet, &mut self.answers).map_err(|problem| problem.text())
    }

    /// Sends packets that are taken, and returns what is said about the last one.
    fn refused(mut self, packets: Vec<Packet>) -> String {
        let count = packets.len();
        for (n, packet) in packets.into_iter().enumerate() {
            let said = self.send(packet);
            if n + 1 < count {
                said.unwrap();
            } else {
                let beside: Vec<_> = self.listed(self.outer.path());
                assert!(beside.iter().all(|path| path.starts_with("export")), "{beside:?}");
                return said.unwrap_err();
            }
        }
        panic!("no packet was sent");
    }

    #[expect(clippy::disallowed_methods, reason = "the names are sorted")]
    fn listed(&self, top: &Path) -> Vec<String> {
        let mut all = Vec::new();
        let mut left = vec![top.to_owned()];
        while let Some(directory) = left.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let entry = entry.unwrap();
                all.push(entry.path().strip_prefix(top).unwrap().to_str().unwrap().to_owned());
                if entry.file_type().unwrap().is_dir() {
                    left.push(entry.path());
                }
            }
        }
        all.sort();
        all
    }

    /// Takes the answers, as `asked NUMBER` and `end`.
    fn said(&mut self) -> Vec<String> {
        let text = |packet: Packet| match PacketType::try_from(packet.r#type).unwrap() {
            PacketType::PacketReq => format!("asked {}", packet.id),
            PacketType::PacketFin => "end".to_owned(),
            other => panic!("{other:?}"),
        };
        self.answers.drain(..).map(text).collect()
    }
}

#[test]
fn a_tree_arrives() {
    let mut world = world();
    for packet in
        [directory("blobs"), directory("blobs/sha256"), file("blobs/sha256/aa", 5), file("blobs/sha256/bb", 0)]
    {
        world.send(packet).unwrap();
    }
    world.send(file("index.json", 2)).unwrap();
    assert_eq!(world.said(), ["asked 2", "asked 3", "asked 4"]);
    world.send(end()).unwrap();
    for packet in [data(4, b"{"), data(2, b"he"), data(4, b"}"), data(3, b""), data(2, b"llo"), data(4, b"")] {
        world.send(packet).unwrap();
    }
    assert!(!world.receiver.is_complete() && world.said().is_empty());
    world.send(data(2, b"")).unwrap();
    assert!(world.receiver.is_complete());
    assert_eq!(world.said(), ["end"]);
    world.send(Packet { r#type: PacketType::PacketFin as i32, ..Packet::default() }).unwrap();
    assert_eq!(world.receiver.received(), Received { files: 3, bytes: 7 });
    let top = world.outer.path().join("export");
    let listed = world.listed(&top);
    assert_eq!(listed, ["blobs", "blobs/sha256", "blobs/sha256/aa", "blobs/sha256/bb", "index.json"]);
    assert_eq!(std::fs::read(top.join("blobs/sha256/aa")).unwrap(), b"hello");
    assert_eq!(std::fs::read(top.join("index.json")).unwrap(), b"{}");
}

#[test]
fn nothing_is_a_tree_too() {
    let mut world = world();
    world.send(end()).unwrap();
    assert!(world.receiver.is_complete());
    assert_eq!(world.said(), ["end"]);
}

#[test]
fn few_files_are_open_at_once() {
    let mut world = world();
    for n in 0..100 {
        world.send(file(&format!("{n:03}"), 1)).unwrap();
    }
    world.send(end()).unwrap();
    assert_eq!(world.said().len(), ASKED);
    for n in 0..100 {
        world.send(data(n, b"x")).unwrap();
        world.send(data(n, b"")).unwrap();
        assert!(world.receiver.open.len() <= ASKED);
    }
    assert!(world.receiver.is_complete());
    assert_eq!(world.said().len(), 100 - ASKED + 1);
}

#[test]
fn nothing_leads_outside() {
    for path in ["../x", "..", "/x", "a/../../x", "./x", "", "a//b", "a/", "x/.", "a\0b", "a\\b"] {
        let said = world().refused(vec![directory("a"), file(path, 1)]);
        assert!(said.starts_with('`') || said.contains("path"), "{path}: {said}");
    }
    let long = "x".repeat(256);
    assert!(world().refused(vec![file(&long, 1)]).contains("no path beneath"));
    let deep = vec!["d"; 65].join("/");
    assert!(world().refused(vec![file(&deep, 1)]).contains("too deep"));
}

#[test]
fn links_and_devices_are_refused() {
    let kind = |bit: u32| world().refused(vec![stat("x", 1 << bit | 0o644, 0)]);
    for bit in [27, 26, 25, 24, 21, 19] {
        assert_eq!(kind(bit), "`x` is neither a directory nor a regular file");
    }
    let mut link = file("b", 1);
    link.stat.as_mut().unwrap().linkname = "a".to_owned();
    assert_eq!(world().refused(vec![file("a", 1), link]), "`b` is a link");
}

#[test]
fn a_link_that_somebody_puts_there_is_not_followed() {
    let mut world = world();
    let export = world.outer.path().join("export");
    world.send(directory("d")).unwrap();
    std::fs::remove_dir(export.join("d")).unwrap();
    std::os::unix::fs::symlink(world.outer.path(), export.join("d")).unwrap();
    assert!(world.send(file("d/x", 1)).unwrap_err().starts_with("cannot make"));
    assert!(!world.outer.path().join("x").exists());

    let mut world = self::world();
    std::os::unix::fs::symlink("../x", world.outer.path().join("export/y")).unwrap();
    assert!(world.send(file("y", 1)).unwrap_err().starts_with("cannot make"));
    assert!(!world.outer.path().join("x").exists());
}

#[test]
fn order_and_parents_are_held_to() {
    let said = |packets| world().refused(packets);
    assert_eq!(said(vec![file("b", 1), file("a", 1)]), "`a` is out of order");
    assert_eq!(said(vec![file("a", 1), file("a", 1)]), "`a` is out of order");
    assert_eq!(said(vec![file("a/b", 1)]), "`a/b` is in a directory that was not named");
    assert_eq!(said(vec![file("a", 1), file("a/b", 1)]), "`a/b` is in a directory that was not named");
    assert_eq!(said(vec![directory("a"), file("b", 1), file("a/b", 1)]), "`a/b` is out of order");
    // By names, not by bytes: `a/z` comes before `a-b`.
    let mut world = world();
    for packet in [directory("a"), file("a/z", 0), file("a-b", 0), directory("b"), file("b/c", 0)] {
        world.send(packet).unwrap();
    }
}

#[test]
fn sizes_and_counts_are_held_to() {
    let limits = Limits { entries: 2, bytes: 10 };
    let said = |packets| world_of(limits).refused(packets);
    assert_eq!(said(vec![file("a", 1), file("b", 1), file("c", 1)]), "it sends more than 2 entries");
    assert_eq!(said(vec![file("a", 6), file("b", 5)]), "with `b` it is more than 10 bytes");
    assert_eq!(said(vec![file("a", i64::MAX)]), format!("with `a` it is more than 10 bytes"));
    assert_eq!(said(vec![file("a", -1)]), "`a` has a size below zero");
    assert_eq!(said(vec![file("a", 3), data(0, b"four")]), "`a` has more bytes than were told");
    assert_eq!(said(vec![file("a", 3), data(0, b"12"), data(0, b"")]), "`a` ends 1 bytes early");
    let big = Limits { entries: 9, bytes: u64::MAX };
    let rest = vec![file("a", i64::MAX), file("b", i64::MAX), file("c", i64::MAX)];
    assert!(world_of(big).refused(rest).starts_with("with `c` it is more than"));
}

#[test]
fn only_what_a_sender_sends_is_taken() {
    let of = |kind: PacketType| Packet { r#type: kind as i32, ..Packet::default() };
    let said = |packets| world().refused(packets);
    assert!(said(vec![of(PacketType::PacketReq)]).contains("only a receiver"));
    assert!(said(vec![of(PacketType::PacketFin)]).contains("only a receiver"));
    assert!(said(vec![Packet { r#type: 77, ..Packet::default() }]).contains("only a receiver"));
    assert!(said(vec![data(0, b"x")]).contains("nobody asked for"));
    assert!(said(vec![file("a", 1), data(1, b"x")]).contains("nobody asked for"));
    assert!(said(vec![file("a", 0), data(0, b""), data(0, b"")]).contains("nobody asked for"));
    assert!(said(vec![end(), file("a", 1)]).contains("behind the end"));
    assert!(said(vec![end(), end()]).contains("twice"));
    let failed = Packet { data: b"disk\x1b[31m".to_vec(), ..of(PacketType::PacketErr) };
    assert!(said(vec![failed]).starts_with("it cannot send them: disk"));
}
