use std::fmt::Write as _;

use super::*;
use crate::select::account::{AccountKind, AccountRequest, Primary};

fn root() -> Root {
    let mut root = Root::new("amd64", "x86_64-linux-gnu");
    for name in ["root", "www-data"] {
        root.users.insert(name.to_owned(), Some(format!("/home/{name}")));
        root.groups.insert(name.to_owned());
    }
    for name in ["adm", "staff", "nogroup"] {
        root.groups.insert(name.to_owned());
    }
    root.begin("app");
    for file in ["usr/bin/app", "usr/bin/app8.4", "etc/app/a.conf", "etc/app/b.conf", "usr/share/app/default.conf"] {
        root.add(file, Thing::File(Some(file.as_bytes().into())));
    }
    root.add("var/log/app", Thing::Directory);
    root.add("usr/share/app/large", Thing::File(None));
    root
}

fn findings(script: &str) -> Findings {
    let scripts = [("postinst".to_owned(), format!("#!/bin/sh\nset -e\n{script}"))];
    let questions = [("app/port".to_owned(), "80".to_owned())];
    let package = Scripts { package: "app", scripts: &scripts, questions: &questions, triggers: "" };
    read(&mut root(), &package, "postinst").unwrap()
}

fn octal(mode: Option<u32>) -> String {
    mode.map_or("-".to_owned(), |mode| format!("{mode:o}"))
}

/// Writes what a script comes to as a person reads it.
fn run(script: &str) -> String {
    let findings = findings(script);
    let mut text = String::new();
    for (rule, effect) in &findings.effects {
        match effect {
            Effect::Directory { path, mode } => writeln!(text, "{rule}: {path}/ {}", octal(*mode)),
            Effect::Link { path, target } => writeln!(text, "{rule}: {path} -> {target}"),
            Effect::File { path, text: content, mode, like } => {
                writeln!(text, "{rule}: {path} = {:?} {} {like:?}", String::from_utf8_lossy(content), octal(*mode))
            }
            Effect::Owner { path, user, group } => writeln!(text, "{rule}: {path} {user:?}:{group:?}"),
            Effect::Mode { path, change } => writeln!(text, "{rule}: {path} {change}"),
            Effect::Remove { path } => writeln!(text, "{rule}: no {path}"),
            Effect::Alternative(a) => {
                writeln!(text, "{rule}: {} {} {} {} {:?}", a.link, a.name, a.path, a.priority, a.slaves)
            }
            Effect::Divert { path, to, by } => writeln!(text, "{rule}: {path} => {to} for {by:?}"),
            Effect::Account(request) => {
                let AccountRequest { name, kind, system, uid, home, shell, groups, primary, create_home, .. } = request;
                let kind = match kind {
                    AccountKind::User => "user",
                    AccountKind::Group => "group",
                    AccountKind::Member => "member",
                };
                let primary = match primary {
                    Primary::Own => "own",
                    Primary::Named(name) => name,
                };
                writeln!(
                    text,
                    "{rule}: {kind} {name} {system} {uid:?} {primary} {home:?} {shell:?} {groups:?} {}",
                    octal(*create_home)
                )
            }
            Effect::Pam => writeln!(text, "{rule}"),
        }
        .unwrap();
    }
    for line in &findings.unhandled {
        writeln!(text, "? {line}").unwrap();
    }
    text
}

#[test]
fn a_first_installation_is_followed() {
    insta::assert_snapshot!(run(r#"
case "$1" in
  configure)
    if [ -z "$2" ]; then mkdir -p -m 750 /var/lib/app; fi
    if [ -n "$2" ]; then rm -rf /var/lib/app; fi
    if dpkg --compare-versions "$2" lt-nl 2.0; then touch /never; fi
    for x in php phar; do
      ln -s /etc/app/$x /etc/app/on/${x}.conf
    done
    [ -e /var/lib/app ] && chown -R www-data:adm /var/lib/app
    for f in /etc/app/*.conf; do chmod 640 "$f"; done
    install -d -o www-data -g adm -m 2750 /run/app
  ;;
  abort-*) touch /never ;;
  *) echo "unknown" >&2; exit 1 ;;
esac
touch /after
exit 0
touch /never
"#), @r#"
    directories: /var/lib/app/ 750
    links: /etc/app/on/php.conf -> /etc/app/php
    links: /etc/app/on/phar.conf -> /etc/app/phar
    owners: /var/lib/app Some("www-data"):Some("adm")
    owners: /etc/app/a.conf 640
    owners: /etc/app/b.conf 640
    directories: /run/app/ 2750
    owners: /run/app Some("www-data"):Some("adm")
    files: /after = "" - None
    "#);
}

#[test]
fn variables_functions_and_substitutions_are_known() {
    insta::assert_snapshot!(run(r##"
dir=/etc/${DPKG_MAINTSCRIPT_PACKAGE}
arch=$(dpkg --print-architecture)
make() {
  local where="$1"; shift
  for name; do touch "$where/$name.$arch"; done
}
make "$dir" one "two three"
echo "tuple=`dpkg-architecture -qDEB_HOST_MULTIARCH`" > $dir/tuple
x=/a/b.tar.gz
printf '%s %s\n' "${x##*/}" "${x%.*}" >> $dir/tuple
cat > $dir/here <<END
arch=$arch \$kept
END
. /usr/share/debconf/confmodule
db_get app/port
echo "$RET" > $dir/port
n=1; n=$((n + 2)); echo $n > $dir/sum
"##), @r#"
    files: /etc/app/one.amd64 = "" - None
    files: /etc/app/two three.amd64 = "" - None
    files: /etc/app/tuple = "tuple=x86_64-linux-gnu\n" - None
    files: /etc/app/tuple = "tuple=x86_64-linux-gnu\nb.tar.gz /a/b.tar\n" - None
    files: /etc/app/here = "arch=amd64 $kept\n" - None
    files: /etc/app/port = "80\n" - None
    files: /etc/app/sum = "3\n" - None
    "#);
}

#[test]
fn what_is_not_decided_is_reported_and_never_guessed() {
    insta::assert_snapshot!(run(r#"
if frobnicate --check; then touch /maybe; else echo no; fi
if [ -e /proc/x ]; then echo fine; else true; fi
touch "/etc/$(date)"
[ -d /sys/y ] || exit 1
touch /sure
if [ -c /dev/z ]; then exit 0; fi
touch /after
frob /etc/app
eval "$(cat /usr/share/app/large)"
cp /usr/share/app/large /etc/app/
"#), @r#"
    files: /sure = "" - None
    ? frobnicate --check
    ? touch /maybe # a condition around it is not decided
    ? touch "/etc/$(date)" # an argument is not known
    ? touch /after # a condition around it is not decided
    ? frob /etc/app
    ? eval "$(cat /usr/share/app/large)" # what it evaluates is not known
    ? cp /usr/share/app/large /etc/app/ # what it copies is not at hand
    "#);
}

#[test]
fn accounts_are_asked_for_once() {
    insta::assert_snapshot!(run(r#"
if ! getent passwd app >/dev/null; then
  adduser --system --quiet --home /var/lib/app --no-create-home --group --shell /bin/false --gecos "App,,," app
fi
getent passwd www-data >/dev/null || adduser --system www-data
adduser --system --home /srv/two --ingroup adm two
addgroup --system shared
adduser app shared
adduser --quiet app shared
useradd -r -M -d /nonexistent -s /usr/sbin/nologin -G adm,shared -u 150 three
usermod -a -G adm two
id -Gn app | grep -qw shared || touch /never
chown app:shared /var/log/app
chown nobody-knows /var/log/app
"#), @r#"
    accounts: user app true None own Some("/var/lib/app") Some("/bin/false") [] -
    accounts: user two true None adm Some("/srv/two") None [] 755
    accounts: group shared true None own None None [] -
    accounts: member app true None own None None ["shared"] -
    accounts: user three true Some(150) own Some("/nonexistent") Some("/usr/sbin/nologin") ["adm", "shared"] -
    accounts: member two true None own None None ["adm"] -
    owners: /var/log/app Some("app"):Some("shared")
    ? chown nobody-knows /var/log/app # the user or the group is not known
    "#);
}

#[test]
fn the_tools_of_dpkg_and_of_packages_are_known() {
    insta::assert_snapshot!(run(r#"
for b in app; do
  update-alternatives --install /usr/bin/$b-it $b /usr/bin/${b}8.4 84 \
    --slave /usr/share/man/man1/$b.1 $b.1 /usr/share/man/man1/${b}8.4.1
done
update-alternatives --install /usr/bin/x x "$(date)" 5
dpkg-statoverride --list /var/log/app || dpkg-statoverride --update --add www-data adm 02750 /var/log/app
dpkg-divert --package app --add --rename --divert /usr/bin/other.real /usr/bin/other
ucf /usr/share/app/default.conf /etc/app/app.conf
ucfr app /etc/app/app.conf
t=$(mktemp)
sed -e "s/^usr.*/found/" /usr/share/app/default.conf > $t
ucf --three-way $t /etc/app/edited.conf
rm -f $t
find /etc/app -name 'a*' -type f -exec chmod 600 {} \;
find /var/log/app -empty -type d -name nothing -delete
py3compile -p app
ldconfig
deb-systemd-helper enable app.service || true
make-ssl-cert generate-default-snakeoil
pam-auth-update --package
"#), @r#"
    alternatives: /usr/bin/app-it app /usr/bin/app8.4 84 [("/usr/share/man/man1/app.1", "app.1", "/usr/share/man/man1/app8.4.1")]
    dpkg-statoverride: /var/log/app Some("www-data"):Some("adm")
    dpkg-statoverride: /var/log/app 02750
    dpkg-divert: /usr/bin/other => /usr/bin/other.real for Some("app")
    files: /etc/app/app.conf = "usr/share/app/default.conf" - Some("/usr/share/app/default.conf")
    files: /etc/app/edited.conf = "found" - None
    owners: /etc/app/a.conf 600
    owners: /etc/app/app.conf 600
    pam-auth-update
    ? update-alternatives --install /usr/bin/x x "$(date)" 5 # this form is not read
    "#);
    let found = findings("ldconfig\nupdate-rc.d x defaults\n");
    assert_eq!(found.covered.keys().copied().collect::<Vec<_>>(), ["ld.so.cache"]);
    assert!(found.unhandled.is_empty());
}

fn scripts(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn a_preinst_does_not_see_its_own_package() {
    let text = "#!/bin/sh\nif [ -e /etc/app/a.conf ]; then frob; fi\nrm -rf /usr/share/app\n";
    let scripts = scripts(&[("preinst", text)]);
    let package = Scripts { package: "app", scripts: &scripts, questions: &[], triggers: "" };
    assert_eq!(read(&mut root(), &package, "preinst").unwrap(), Findings::default());
}

#[test]
fn answers_come_from_config_and_triggers_are_followed() {
    let postinst = "#!/bin/sh\ncase $1 in triggered) frob $2;; *) db_get app/port; [ $RET = 81 ] && touch /x;; esac\n";
    let scripts = scripts(&[
        ("config", "#!/bin/sh\nif [ -d /var/log/app ]; then db_set app/port 81; fi\n"),
        ("postinst", postinst),
    ]);
    let questions = [("app/port".to_owned(), "80".to_owned())];
    let triggers = "interest-noawait /usr/lib/x\n";
    let package = Scripts { package: "app", scripts: &scripts, questions: &questions, triggers };
    let found = read(&mut root(), &package, "postinst").unwrap();
    assert_eq!(found.effects.len(), 1);
    assert_eq!(found.unhandled, ["frob $2"]);
}

#[test]
fn other_languages_are_not_read() {
    let scripts = scripts(&[("postinst", "#!/usr/bin/perl\nuse strict;\n")]);
    let package = Scripts { package: "app", scripts: &scripts, questions: &[], triggers: "" };
    assert_eq!(read(&mut root(), &package, "postinst").unwrap().unhandled, ["#!/usr/bin/perl"]);
}

#[test]
fn hostile_scripts_end() {
    for script in [
        "while true; do :; done",
        "f() { f; f; }; f",
        "f() { eval f; }; f",
        "x=a; while :; do x=$x$x; done; echo $x > /y",
        ". /usr/share/app/default.conf",
        "for a in $(seq 900); do for b in $(seq 900); do for c in $(seq 900); do touch /$a/$b/$c; done; done; done",
        "if a; then if b; then if c; then if d; then exit 1; fi; fi; fi; fi; exit 1",
        "a=$(b=$(c=$(d=$(e=$(f)))))",
        "case $(x) in a) y;; b) z;; esac",
    ] {
        findings(script);
    }
    let nested = (0..9).fold("exit 1".to_owned(), |inner, _| format!("if frob; then {inner}; else {inner}; fi"));
    findings(&nested);
}

/// Pieces of scripts put together at random come to something, without a panic and within bounds.
#[test]
fn any_script_comes_to_something() {
    const PIECES: [&str; 30] = [
        "if frob; then ",
        "else ",
        "fi; ",
        "for x in 1 $y *; do ",
        "done; ",
        "case $x in a) ",
        ";; *) ",
        "esac; ",
        "touch /a/$x; ",
        "x=$(echo $1); ",
        "mkdir -p /b; ",
        "mv /a/1 /b; ",
        "rm -rf /a; ",
        "cp -a /etc/app /c; ",
        "exit $z; ",
        "return; ",
        "f() { ",
        "}; ",
        "f; ",
        "| ",
        "&& ",
        "|| ",
        "! ",
        "read x; ",
        "echo a > /d; ",
        "chown -R www-data /etc; ",
        "chmod u+x,g=u /c; ",
        "find / -name '*' -exec rm {} \\; ",
        "ln -s . /etc/app/l; ",
        "break; ",
    ];
    let mut state = 7_u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 40).unwrap()
    };
    for _ in 0..1000 {
        let script: String = (0..random() % 20).map(|_| PIECES[random() % PIECES.len()]).collect();
        assert!(findings(&script).unhandled.len() <= 20);
    }
}
