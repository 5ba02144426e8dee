//! sysusers.d and tmpfiles.d, and what is made of them.

use super::*;

impl World {
    /// Adds a file with this text to a package.
    fn conf(mut self, package: &str, path: &str, text: &str) -> Self {
        let pack = self.packs.get_mut(package).unwrap();
        add(pack, &format!("{path}=x"));
        pack.texts.last_mut().unwrap().1 = text.as_bytes().to_vec();
        self
    }
}

fn state(world: &World) -> (String, Report) {
    let selection = world.select().unwrap();
    (dump(&selection, "state"), selection.report)
}

#[test]
fn what_a_boot_would_make_stands_in_the_image() {
    let world = World::new()
        .package("web", Why::Requested, "one", "var/log/web/ usr/share/web/default=d etc/web.conf=c")
        .conf("web", "usr/lib/sysusers.d/web.conf", "# the server\nu web 33 \"Web server\" /srv/web\ng logs 44\n")
        .conf(
            "web",
            "usr/lib/tmpfiles.d/web.conf",
            "d /run/web 2750 web logs - -\nd /var/log/web 0770 root logs\nf /var/lib/web/flag 0600 web - - on\\n\n\
             L /var/lib/web/log - - - - ../../log/web\nC /var/lib/web/default - - - - /usr/share/web/default\n\
             d! /run/boot\nd /tmp/web 1777 root root 1d\nD /var/tmp/web\nr! /run/web/lock\nx /tmp/keep-*\n\
             z /etc/web.conf 0640 root logs\nd /var/lib/%H\n",
        );
    let (dump, report) = state(&world);
    for line in [
        "2750 33:44 0 /run/web/",
        "0770 0:44 0 /var/log/web/",
        "0600 33:0 9000 /var/lib/web/flag \"on\\n\"",
        "0777 0:0 9000 /var/lib/web/log -> ../../log/web",
        "0644 0:0 1000 /var/lib/web/default \"d\"",
    ] {
        assert!(dump.lines().any(|other| other.trim_start().starts_with(line)), "{line} is not in\n{dump}");
    }
    for none in ["/run/boot", "/tmp/web", "/var/tmp/web", "%H"] {
        assert!(!dump.contains(none), "{none} is in\n{dump}");
    }
    assert!(dump.contains("/etc/passwd"));
    assert_eq!(report.unhandled, []);
    assert_eq!(report.notes.len(), 1, "{:?}", report.notes);
    assert!(report.notes[0].contains("`d /var/lib/%H` in usr/lib/tmpfiles.d/web.conf of web"), "{:?}", report.notes);
    let conf = world.select().unwrap();
    let entries = conf.layers[0].groups.iter().flat_map(|group| &group.entries);
    let conf: Vec<_> = entries.filter(|entry| entry.path.as_str() == "etc/web.conf").collect();
    assert_eq!((conf[0].meta.mode, conf[0].meta.gid), (0o640, 44), "its bytes stay in the package's layer");
}

#[test]
fn what_cannot_be_done_is_reported_with_its_line() {
    let world = World::new()
        .package("web", Why::Requested, "one", "usr/bin/web=w")
        .conf("web", "usr/lib/sysusers.d/web.conf", "u web /usr/bin/web\nq what\n")
        .conf("web", "usr/lib/tmpfiles.d/web.conf", "d /run/web 0755 stranger\np /run/pipe\nf^ /etc/x\n");
    let (_, report) = state(&world);
    assert_eq!(
        report.unhandled,
        [
            (
                "web".to_owned(),
                "usr/lib/sysusers.d/web.conf".to_owned(),
                vec!["u web /usr/bin/web".to_owned(), "q what".to_owned()]
            ),
            (
                "web".to_owned(),
                "usr/lib/tmpfiles.d/web.conf".to_owned(),
                vec!["f^ /etc/x".to_owned(), "p /run/pipe".to_owned(), "d /run/web 0755 stranger".to_owned()]
            ),
        ]
    );
}

#[test]
fn a_file_in_etc_stands_for_one_of_its_name_and_an_empty_one_takes_it_away() {
    let world = World::new()
        .package("web", Why::Requested, "one", "usr/bin/web=w etc/tmpfiles.d/gone.conf->/dev/null")
        .conf("web", "usr/lib/tmpfiles.d/a.conf", "d /srv/vendor\n")
        .conf("web", "etc/tmpfiles.d/a.conf", "d /srv/admin\n")
        .conf("web", "usr/lib/tmpfiles.d/gone.conf", "d /srv/gone\n");
    let (dump, _) = state(&world);
    assert!(dump.contains("/srv/admin/") && !dump.contains("/srv/vendor") && !dump.contains("/srv/gone"), "{dump}");
}

#[test]
fn caches_that_nobody_makes_are_said() {
    let world = World::new().package("types", Why::Requested, "one", "usr/share/mime/packages/x.xml=x");
    let (_, report) = state(&world);
    assert_eq!((report.unhandled[0].0.as_str(), report.unhandled[0].1.as_str()), ("types", "triggers"));
    let world = World::new().package(
        "types",
        Why::Requested,
        "one",
        "usr/share/mime/packages/x.xml=x usr/share/mime/mime.cache=made",
    );
    assert_eq!(state(&world).1.unhandled, []);
}
