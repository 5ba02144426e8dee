//! Scripts that are meant to hurt: each ends soon, and with a report where it has not been followed to its end.

use super::*;

fn findings(script: &str) -> Findings {
    let mut root = Root::new("amd64", "x86_64-linux-gnu");
    for name in ["root", "app"] {
        root.users.insert(name.to_owned(), Some("/root".to_owned()));
        root.groups.insert(name.to_owned());
    }
    root.begin("app");
    for number in 0..400 {
        root.add(&format!("usr/share/app/{}/{number}", number % 40), Thing::File(Some(vec![b'a'; 64].into())));
    }
    root.add("etc/app", Thing::Directory);
    let scripts = [("postinst".to_owned(), format!("#!/bin/sh\n{script}\n"))];
    let package = Scripts { package: "app", scripts: &scripts, questions: &[], triggers: "" };
    read(&mut root, &package, "postinst").unwrap()
}

/// Follows a script, which must not take long.
fn bounded(script: &str) -> Findings {
    let start = std::time::Instant::now();
    let findings = findings(script);
    let shown: String = script.chars().take(60).collect();
    // Unoptimized, on a machine that does other things as well.
    assert!(start.elapsed().as_secs() < 120, "{shown}: {:?}", start.elapsed());
    let kept: usize = findings.effects.iter().map(|(_, effect)| format!("{effect:?}").len()).sum();
    assert!(kept < 64 << 20, "{shown}: {kept}");
    assert!(findings.unhandled.iter().all(|line| line.len() < 1200), "{shown}");
    findings
}

/// Follows a script that is not followed to its end, and says so.
fn reported(script: &str) -> Findings {
    let findings = bounded(script);
    let shown: String = script.chars().take(60).collect();
    assert!(!findings.unhandled.is_empty(), "{shown}");
    findings
}

/// Doubles `$a` up to 128 KiB.
const BIG: &str = "a=aaaaaaaa\nfor i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14; do a=$a$a; done\n";

#[test]
fn loops_and_calls_end() {
    bounded("while true; do :; done");
    bounded("while :; do while :; do while :; do :; done; done; done");
    reported("f() { f; f; }\nf");
    reported("f() { f \"$@\" \"$@\"; }\nf a b c");
    reported("while true; do touch /etc/app/x; done; while [ -e /proc/x ]; do rm /etc/app/x; done");
    reported("eval 'eval \"$0\"'; a='eval \"$a\"'; eval \"$a\"");
    bounded("for i in $(seq 900); do for j in $(seq 900); do for k in $(seq 900); do :; done; done; done");
    bounded("for i in $(seq 900); do for j in $(seq 900); do [ -e /proc/$i ] && touch /etc/app/$i; done; done");
}

#[test]
fn texts_do_not_grow_without_bounds() {
    reported(&format!("{BIG}for i in $(seq 900); do for j in $(seq 900); do eval \"v$i$j=\\$a\"; done; done"));
    reported(&format!(
        "{BIG}for i in $(seq 900); do echo $a > /etc/app/$i; done; while :; do echo $a > /etc/app/x; done"
    ));
    reported(&format!(
        "{BIG}for i in $(seq 900); do set -- \"$@\" $a; done; for i in $(seq 900); do echo \"$@\"; done; rm \"$@\""
    ));
    bounded(&format!("{BIG}echo $a | sed \"s/a/$a/g\" > /etc/app/x"));
    bounded(&format!(
        "{BIG}for i in $(seq 900); do for j in $(seq 900); do case $a in *${{a}}b*) touch /etc/app/y ;; esac; done; done"
    ));
    bounded(&format!(
        "{BIG}for i in $(seq 900); do for j in $(seq 90); do b=${{a%%*a*a*b}}; echo $((a + a + a)); done; done"
    ));
    bounded(&format!("{BIG}mkdir -p /etc/$a"));
    bounded("a=/x\nfor i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do a=$a$a; done\nmkdir -p $a; touch $a; ls $a; rm $a");
    // A text that is cut at a bound is not taken for the whole, wherever its characters end.
    for number in 0..6 {
        let found =
            bounded(&format!("(printf %s {}; {BIG}echo $a$a; echo \u{10348}$a$a$a) > /etc/app/x", "b".repeat(number)));
        assert!(found.effects.is_empty(), "{number}");
    }
}

#[test]
fn files_are_not_gone_over_without_bounds() {
    reported("for i in $(seq 900); do for j in $(seq 90); do chown -R app /usr; done; done");
    bounded("for i in $(seq 900); do for j in $(seq 90); do find / -name '*x*' -exec chmod 600 {} +; done; done");
    bounded("for i in $(seq 900); do for j in $(seq 90); do echo /*/*/*/*; done; done");
    reported("for i in $(seq 900); do cp -r /usr /usr/share/app/$i; done");
    bounded("for i in $(seq 900); do for j in $(seq 90); do mktemp; done; done");
    bounded("for i in $(seq 900); do update-alternatives --install /etc/app/x x /usr/share/app/1/$i $i; done");
}

#[test]
fn depth_is_bounded() {
    let chain = "a && ".repeat(190);
    let nested = format!("{}{chain}a{}", format!("{{ {chain}").repeat(12), "; }".repeat(12));
    bounded(&nested);
    bounded(&format!("f() {{ {nested}; }}\nf; f"));
    bounded(&format!("{}true", "a && ".repeat(20_000)));
    bounded(&format!("if false; then :;\n{}\nfi", "elif false; then :\n".repeat(40_000)));
    reported(&format!("if [ -e /proc/x ]; then :;\n{}\nfi", "elif [ -e /proc/x ]; then :\n".repeat(10_000)));
    for (open, close) in [
        ("(", ")"),
        ("{ ", "; }"),
        ("$(", ")"),
        ("\"$(", ")\""),
        ("`", "`"),
        ("${a:-", "}"),
        ("$((", "))"),
        ("if ", ""),
        ("case a in a) ", ""),
    ] {
        bounded(&format!("{}x{}", open.repeat(5000), close.repeat(5000)));
        bounded(&format!("{}x{}", open.repeat(20), close.repeat(20)));
    }
    bounded(&"f() { ".repeat(5000));
}

#[test]
fn what_is_no_shell_is_reported_soon() {
    for script in
        ["echo 'open", "echo \"open", "cat <<EOF\nopen", "echo ${open", "echo `open", "touch /etc/app/x\0y", "a=(b c)"]
    {
        assert!(reported(script).effects.is_empty(), "{script}");
    }
    for piece in [
        "a[",
        "cat <<E\nE\n",
        "a[ ",
        "${",
        "$(",
        "'",
        "\"",
        "\\",
        "<<",
        "a=$",
        ";;",
        "case ",
        "\u{10348}",
        "# x\n",
        "a|",
        "a;",
        "$'\\'",
        "`\\`",
    ] {
        bounded(&piece.repeat((1 << 17) / piece.len()));
    }
}

#[test]
fn nothing_is_put_where_an_image_has_no_place_and_nothing_is_lost_unsaid() {
    let effects = |script: &str| {
        let found = bounded(script);
        let effects: Vec<String> = found.effects.iter().map(|(_, effect)| format!("{effect:?}")).collect();
        (effects.join("\n"), found.unhandled.join("\n"))
    };
    for (script, says) in [
        ("touch /../../etc/app/x", "path: \"/etc/app/x\""),
        ("touch /etc//app/./x", "path: \"/etc/app/x\""),
        ("cd /etc/app; mkdir y; touch y/x", "path: \"/etc/app/y/x\""),
        ("(cd /etc/app; :); touch x", "path: \"/x\""),
        ("cd /usr/share/app/39 && for i in 3*9; do chown app $i; done", "path: \"/usr/share/app/39/39\""),
        ("trap 'touch /etc/app/x' EXIT; exit 0", "path: \"/etc/app/x\""),
        ("find /usr/share/app/39 -name 39 | xargs chown app", "path: \"/usr/share/app/39/39\""),
    ] {
        let (effects, unhandled) = effects(script);
        assert!(effects.contains(says) && unhandled.is_empty(), "{script}\n{effects}\n{unhandled}");
    }
    let (found, unhandled) = effects("exec touch /etc/app/x; touch /never");
    assert!(found.contains("/etc/app/x") && !found.contains("/never") && unhandled.is_empty(), "{found}\n{unhandled}");
    for (script, says) in [
        ("useradd -u 4294967295 app", "number is none"),
        ("ln -s b /etc/app/a; ln -s a /etc/app/b; touch /etc/app/a", "has no place"),
        ("cd $(hostname); touch x", "not known"),
        ("cd /etc/app; [ -e /proc/x ] && cd /; touch x", "not known"),
        ("rm -rf /", "removes"),
        ("rm -rf /etc/app/../..", "removes"),
        ("chown -R app /", "root directory"),
        ("dpkg -L app | xargs chown app", "not known"),
        ("useradd -G app -s /bin/sh new; usermod -G app -s /bin/sh new", "it changes an account"),
        ("printf '%s\\n' '-----BEGIN PRIVATE KEY-----' > /etc/app/key", "a private key"),
        ("openssl genrsa > /etc/app/key", "openssl"),
        ("update-alternatives --install /etc/app/x '' /etc/app/y 1", "not read"),
        ("update-alternatives --install /etc/app/x .. /etc/app/y 1", "not read"),
        ("dpkg-divert --add --divert /.. /etc/app/x", "has no place"),
    ] {
        let (effects, unhandled) = effects(script);
        assert!(unhandled.contains(says), "{script}\n{effects}\n{unhandled}");
    }
    let (nothing, unhandled) = effects("cd $(mktemp -d); touch x; mkdir y; rm -r y x");
    assert_eq!((nothing.as_str(), unhandled.as_str()), ("", ""));
    let long = "x/".repeat(3000);
    assert!(effects(&format!("ln -s {long} /etc/app/x")).1.contains("too long"));
    assert!(effects(&format!("touch /etc/{}", "y".repeat(300))).1.contains("has no place"));
}
