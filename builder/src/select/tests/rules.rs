//! Every built-in rule by itself: what it changes in a selection that is the same but for that rule.

use std::collections::BTreeSet;

use super::closure::{LIB, Needed, binary, elf, file};
use super::*;
use crate::rules::closure::{Rule, built_in, taken_out};
use crate::rules::glob::Pattern;

/// (rule, value of its feature, packages). A package is `NAME: PATH …;`, with `!` where the spec names it and `+` where
/// it is implicit; a path may have braces and ends with `@` where it is ELF, with `/` where it is a directory; `L/` is
/// the directory of libraries. No package depends on another, so that rules alone reach over.
const CASES: &[(&str, &str, &str)] = &[
    ("ca-certificates", "", "!ca-certificates: usr/sbin/update@; own-ca: usr/share/ca-certificates/own/ca.crt"),
    ("gconv", "", "!libc6: L/libc.so.6@ L/gconv/{UTF-16.so@,gconv-modules}"),
    ("libc-audit", "", "!libc6: L/libc.so.6@ L/audit/sotruss-lib.so@"),
    ("libc-extras", "", "!libc6: L/libc.so.6@ L/lib{nsl.so.1,thread_db.so.1,memusage.so}@"),
    ("locale-sources", "", "!locales: usr/bin/x@ usr/share/i18n/locales/it_IT"),
    (
        "locale",
        "it_IT.utf8",
        "!locales-all: usr/bin/x@ usr/lib/locale/{it_IT.utf8,de_DE.utf8}/LC_TIME; +libc-bin: usr/lib/locale/C.utf8/LC_CTYPE",
    ),
    ("locale-texts", "it", "!app: usr/bin/app@ usr/share/locale/{it,de}/LC_MESSAGES/app.mo"),
    ("terminfo", "", "!less: L/libtinfo.so.6@; terms: {usr/lib,etc,usr/share}/terminfo/x/xterm"),
    ("tzdata", "Europe/Rome", "!tzdata: usr/share/zoneinfo/{Europe/Rome,Asia/Tokyo,Etc/UTC,zone.tab}"),
    (
        "base-files",
        "",
        "!app: usr/bin/app@; +base-files: etc/debian_version usr/ usr/share/ run/lock/ var/cache/ \
         usr/lib/os-release usr/share/doc/base-files/copyright",
    ),
    ("base-passwd", "", "!app: usr/bin/app@; +base-passwd: usr/share/base-passwd/{passwd,group}.master"),
    (
        "libc-bin",
        "",
        "!libc6: L/libc.so.6@; +libc-bin: etc/ld.so.conf etc/ld.so.conf.d/ etc/ld.so.conf.d/libc.conf usr/lib/locale/ \
         usr/lib/locale/C.utf8/LC_CTYPE usr/share/doc/libc-bin/copyright",
    ),
    (
        "python",
        "",
        "!app: usr/bin/app@ usr/lib/python3/dist-packages/a.py usr/lib/python3.13/os.py etc/python3.13/sitecustomize.py \
         usr/local/lib/python3.13/b.py usr/share/python3/c; python3: usr/bin/python3.13@; \
         libpython3: L/libpython3.13.so.1@",
    ),
    (
        "perl",
        "",
        "!app: usr/bin/app@ usr/share/perl5/A.pm usr/share/perl/5.40/B.pm usr/share/perl-openssl-defaults/c \
         L/perl/5.40/D.pm L/perl5/5.40/E.pm L/perl-base/F.pm etc/perl/G.pm; perl-base: usr/bin/perl@ usr/bin/perl5.40@; \
         libperl: L/libperl.so.5.40@",
    ),
    ("perl-core", "", "!app: usr/bin/perl@ L/perl/5.40/CORE/libperl.a.ld"),
    (
        "ruby",
        "",
        "!app: usr/bin/app@ usr/lib/ruby/vendor_ruby/a.rb L/ruby/b.so@ usr/share/rubygems-integration/c var/lib/gems/d; \
         ruby: usr/bin/ruby3.3@; libruby: L/libruby-3.3.so.3.3@",
    ),
    (
        "node",
        "",
        "!app: usr/bin/app@ usr/share/nodejs/a/x.js usr/lib/nodejs/b.js L/nodejs/c.js; \
         nodejs: usr/bin/node@ usr/bin/nodejs@; libnode: L/libnode.so.115@",
    ),
    (
        "r",
        "",
        "!app: usr/bin/app@ usr/lib/R/library/a usr/share/R/b usr/local/lib/R/c; \
         r: usr/bin/R@; r-bin: usr/lib/R/bin/exec/R@",
    ),
    (
        "php",
        "",
        "!app: usr/bin/app@ usr/lib/php/20240924/a.so@ usr/share/php/b.php usr/share/php8.4-c/c.ini etc/php/8.4/d.ini; \
         php: usr/bin/{php8.4,php-cgi}@ usr/sbin/php-fpm8.4@; libphp: usr/lib/apache2/modules/libphp8.4.so@ \
         usr/lib/libphp8.4.so@",
    ),
    (
        "openssl",
        "",
        "!libssl3: L/libcrypto.so.3@; openssl: usr/lib/ssl/{certs,openssl.cnf,private} etc/ssl/openssl.cnf",
    ),
    ("openssl-legacy", "", "!libssl3: L/libcrypto.so.3@; provider: L/ossl-modules/legacy.so@"),
    ("openssl-misc", "", "!openssl: usr/bin/openssl@ usr/lib/ssl/misc/tsget.pl"),
    ("openssl-engines", "", "!libssl3: L/libcrypto.so.3@ L/engines-3/padlock.so@"),
    ("sasldb", "", "!libsasl2-modules-db: usr/bin/x@ L/sasl2/libsasldb.so.2@"),
    ("pam", "", "!libpam-modules: usr/bin/x@ L/security/pam_unix.so@"),
    (
        "gpu",
        "",
        "!mesa: usr/bin/x@ L/dri/iris_dri.so@ L/gbm/dri_gbm.so@ L/vdpau/libvdpau_r600.so@ L/libvulkan_intel.so@ \
         usr/share/{vulkan/icd.d/a,drirc.d/b,libdrm/c,glvnd/egl_vendor.d/d}",
    ),
    (
        "magic",
        "",
        "!file: L/libmagic.so.1@; libmagic-mgc: usr/lib/file/magic.mgc usr/share/misc/magic.mgc \
         usr/share/file/magic/x etc/magic.mime",
    ),
    (
        "fontconfig",
        "",
        "!app: L/libfontconfig.so.1@; fontconfig-config: etc/fonts/fonts.conf usr/share/fontconfig/conf.avail/a.conf \
         usr/share/xml/fontconfig/fonts.dtd",
    ),
    ("kerberos", "", "!app: L/libkrb5.so.3@; krb5-pkinit: L/krb5/plugins/preauth/pkinit.so@"),
    ("icu", "", "!app: L/libicuuc.so.76@; icu-data: usr/share/icu/76.1/icudt76l.dat"),
    ("sasl", "", "!app: L/libsasl2.so.2@; libsasl2-modules: L/sasl2/libplain.so.2@"),
    ("kerberos-configuration", "", "!app: L/libkrb5.so.3@; krb5-config: etc/krb5.conf"),
    ("fonts", "", "!app: L/libfontconfig.so.1@; fonts-dejavu: usr/share/fonts/truetype/a.ttf"),
    ("gdk-pixbuf", "", "!app: L/libgdk_pixbuf-2.0.so.0@; loaders: L/gdk-pixbuf-2.0/2.10.0/loaders/png.so@"),
    ("mime-types", "", "!media-types: usr/share/x; mime-support: etc/mime.types"),
    (
        "desktop",
        "",
        "!app: usr/bin/app@ usr/share/icons/hicolor/48x48/apps/a.png usr/share/{applications/a.desktop,pixmaps/a.xpm}",
    ),
    ("x11-compose", "", "!libx11-data: usr/bin/x@ usr/share/X11/locale/C/Compose"),
    (
        "git-tools",
        "",
        "!git: usr/bin/git@; dash: usr/bin/dash@; sed: usr/bin/sed@; coreutils: usr/bin/{cat,uname,sort}@",
    ),
    ("postgresql-sh-file", "", "!postgresql: usr/lib/postgresql/17/bin/postgres@; dash: usr/bin/{sh,dash}@"),
    ("postgresql-jit", "", "!postgresql: usr/bin/x@ usr/lib/postgresql/17/lib/llvmjit.so@"),
    (
        "nginx-modules",
        "",
        "!nginx: usr/sbin/nginx@; mod: usr/share/nginx/modules/a.so@ usr/share/nginx/html/index.html",
    ),
    ("nginx-conf", "", "!nginx: usr/sbin/nginx@; nginx-common: etc/nginx/{mime.types,nginx.conf}"),
    (
        "java",
        "",
        "!jre: usr/lib/jvm/java-21/bin/java@; rest: usr/lib/jvm/java-21/{lib/modules,conf/net.properties} \
         etc/java-21-openjdk/net.properties",
    ),
    ("postgresql-data", "", "!postgresql: usr/lib/postgresql/17/bin/postgres@; data: usr/share/postgresql/17/a.bki"),
];

/// Returns the paths of a pattern without wild cards, one for each choice of its braces.
fn paths(text: &str) -> Vec<String> {
    let pattern = Pattern::parse(&text.replace("L/", &format!("{LIB}/"))).unwrap();
    let spelled = |text: &str| Pattern::parse(text).unwrap().alternatives.len();
    assert!(spelled(text) == pattern.alternatives.len(), "{text}");
    let join = |parts: &Vec<crate::rules::glob::Part>| {
        let names = parts.iter().map(|part| match part {
            crate::rules::glob::Part::Literal(name) => name.as_str(),
            other => panic!("{other:?} is no name"),
        });
        names.collect::<Vec<_>>().join("/")
    };
    let slash = if text.ends_with('/') { "/" } else { "" };
    pattern.alternatives.iter().map(|parts| join(parts) + slash).collect()
}

/// Builds a case's packages; returns them with every path.
fn packages(text: &str) -> (Needed, Vec<String>) {
    let (mut world, mut all) = (Needed::new(), Vec::new());
    for package in text.split(';') {
        let (name, entries) = package.trim().split_once(':').unwrap();
        let mut made = Vec::new();
        for path in entries.split_whitespace().flat_map(paths) {
            made.push(match (path.strip_suffix('@'), path.strip_suffix('/')) {
                (Some(path), _) => binary(path, elf(&[])),
                (_, Some(path)) => entry(path, EntryKind::Directory, 0o755),
                _ => file(&path),
            });
            all.push(path.trim_end_matches('@').to_owned());
        }
        world = match (name.strip_prefix('!'), name.strip_prefix('+')) {
            (Some(name), _) => world.named(name, "", made),
            (_, Some(name)) => world.add(name, Why::Implicit("always".into()), &[], made),
            _ => world.pulled(name, "", made),
        };
    }
    let masters = "usr/share/base-passwd";
    let world =
        world.text_if("base-passwd", &format!("{masters}/passwd.master"), "games:*:5:60:games:/usr/games:/no\n");
    (world.text_if("base-passwd", &format!("{masters}/group.master"), "games:*:60:\n"), all)
}

/// Returns what is selected: paths of packages, and the accounts.
fn selected(world: &Needed) -> BTreeSet<String> {
    let accounts = dump(&world.select(), "state");
    let accounts = accounts.lines().filter(|line| line.contains("/etc/passwd")).map(str::to_owned);
    world.kept().into_iter().chain(accounts).collect()
}

fn fit(patterns: &[Pattern], paths: &[String], kind: &str, rule: &Rule) {
    for pattern in patterns {
        let fits = paths.iter().any(|path| pattern.fits(path.trim_end_matches('/')));
        assert!(fits, "rule `{}`: no case tells what `{kind}: {}` does: {paths:?}", rule.name, pattern.text);
    }
}

fn holds(rule: &Rule, value: &str, text: &str) {
    let world = || packages(text).0;
    let asked = |world: Needed| match &rule.feature {
        Some(feature) => world.feature(feature, Some(value)),
        None => world,
    };
    let with = selected(&asked(world()));
    // A feature goes with the rule that knows it.
    let without = taken_out::without(&rule.name, || selected(&world()));
    assert_ne!(with, without, "rule `{}` changes nothing", rule.name);
    let all = packages(text).1;
    let added: Vec<String> = with.difference(&without).cloned().collect();
    let removed: Vec<String> = without.difference(&with).cloned().collect();
    let keeps = rule.keeps(Some(value));
    if rule.narrows.is_empty() {
        fit(&keeps, &added, "keep", rule);
    } else {
        fit(&keeps, &with.iter().cloned().collect::<Vec<_>>(), "keep", rule);
    }
    let directories = all.iter().filter(|path| path.ends_with('/'));
    fit(&rule.files, &added.iter().chain(directories).cloned().collect::<Vec<_>>(), "files", rule);
    fit(&rule.narrows, &removed, "narrows", rule);
    fit(&rule.off, &removed, "off", rule);
    fit(&rule.wait, &removed, "wait", rule);
    fit(&rule.when, &all, "when", rule);
    fit(&rule.wait_for, &all, "for", rule);
    if let Some(unless) = &rule.unless {
        assert_eq!(selected(&world().feature(unless, None)), without, "feature `{unless}` lifts rule `{}`", rule.name);
    }
    // What waits is kept with any of what it waits for.
    for reader in all.iter().filter(|path| rule.wait_for.iter().any(|pattern| pattern.fits(path))) {
        let read = selected(&world().also(reader));
        let lost: Vec<&String> = removed.iter().filter(|path| !read.contains(*path)).collect();
        assert!(lost.is_empty(), "rule `{}`: with {reader}, these still wait: {lost:?}", rule.name);
    }
    // A condition that does not hold: nothing is kept.
    let mut bare = asked(world());
    for (name, pack) in &mut bare.0.packs {
        pack.entries.retain(|entry| {
            !rule.when.iter().any(|pattern| pattern.fits(&entry.path))
                && (rule.implicit.is_some() || !rule.is_with(name))
        });
    }
    if !rule.when.is_empty() || !rule.with.is_empty() && rule.implicit.is_none() {
        let idle = selected(&bare);
        assert!(added.iter().all(|path| !idle.contains(path)), "rule `{}` holds without its condition", rule.name);
    }
}

#[test]
fn every_rule_changes_what_it_says() {
    let rules: Vec<&Rule> = built_in().collect();
    for (name, ..) in CASES {
        assert!(rules.iter().any(|rule| rule.name == *name), "there is no rule `{name}`");
    }
    let mut failed = 0;
    for rule in rules {
        // Those change what is locked; a test of resolution has them.
        if rule.implicit.is_some() && rule.files.is_empty() && !rule.always {
            continue;
        }
        let case = CASES.iter().find(|case| case.0 == rule.name);
        let (_, value, text) = case.unwrap_or_else(|| panic!("rule `{}` has no case", rule.name));
        let case = std::panic::AssertUnwindSafe(|| holds(rule, value, text));
        failed += usize::from(std::panic::catch_unwind(case).is_err());
    }
    assert_eq!(failed, 0, "rules that do not do what they say; each is told above");
}
