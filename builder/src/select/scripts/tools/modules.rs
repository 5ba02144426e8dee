//! Tools that switch parts of a service on: PHP's and Apache's modules, PAM's configurations, and what reads sysusers.d.

use super::super::effects::Effect;
use super::super::expand::Truth;
use super::super::machine::Machine;
use super::super::root::{Thing, UNKNOWN};
use super::{has, options, value};

/// Follows the command where it is one of these.
pub(super) fn run(machine: &mut Machine<'_>, name: &str, words: &[&str]) -> Option<Truth> {
    if words.iter().any(|word| word.contains(UNKNOWN)) {
        return None;
    }
    Some(match name {
        "php_invoke" | "phpenmod" => php(machine, name, words),
        "phpquery" => {
            let (options, _) = options(words, &["-v", "-s", "-m"]);
            let version = value(&options, &["v"]).unwrap_or_default().to_owned();
            if has(&options, &["M"]) {
                for name in machine.root.names(&format!("/etc/php/{version}/mods-available")) {
                    if let Some(module) = name.strip_suffix(".ini") {
                        machine.print(&format!("{module}\n"));
                    }
                }
            } else if has(&options, &["S"]) {
                for sapi in sapis(machine, &version) {
                    machine.print(&format!("{sapi}\n"));
                }
            } else {
                machine.print(&UNKNOWN.to_string());
                return Some(Truth::Unknown);
            }
            Truth::Yes
        }
        "apache2_invoke" | "a2enmod" | "a2enconf" | "a2ensite" => apache(machine, name, words),
        "a2query" => {
            let (options, _) = options(words, &["-m", "-c", "-s"]);
            let kinds = [("m", "mods", "load"), ("c", "conf", "conf"), ("s", "sites", "conf")];
            let asked = kinds.iter().find_map(|(option, kind, suffix)| {
                let name = value(&options, &[option])?;
                Some(format!("/etc/apache2/{kind}-enabled/{name}.{suffix}"))
            });
            match asked {
                Some(path) => Truth::from(machine.root.find_link(&path).is_some()),
                None => {
                    machine.print(&UNKNOWN.to_string());
                    Truth::Unknown
                }
            }
        }
        "pam-auth-update" => {
            if has(&options(words, &["--root"]).0, &["--remove"]) {
                return Some(Truth::Yes);
            }
            machine.effect("pam-auth-update", Effect::Pam);
            Truth::Yes
        }
        "systemd-sysusers" => {
            let (_, operands) = options(words, &["--root", "--replace", "--inline"]);
            let all = machine.root.names("/usr/lib/sysusers.d");
            match operands.is_empty() {
                true => all.iter().for_each(|file| sysusers(machine, file)),
                false => operands.iter().for_each(|file| sysusers(machine, file)),
            }
            machine.cover("sysusers");
            Truth::Yes
        }
        "pg_updatedicts" => {
            let dictionaries = ["/usr/share/hunspell", "/usr/share/myspell/dicts"];
            if dictionaries.iter().any(|path| machine.root.names(path).iter().any(|name| name.ends_with(".aff"))) {
                machine.unhandled("dictionaries for full text search are not made");
            }
            Truth::Yes
        }
        "configure_client_version" | "configure_doc_version" | "configure_contrib_version" => {
            machine.cover("documentation");
            Truth::Yes
        }
        "su" | "runuser" => {
            let (options, operands) = options(words, &["-s", "-c", "--shell", "--command", "-g", "-G"]);
            let command = value(&options, &["c", "--command"]).map(str::to_owned);
            match command {
                // Whether a file is the user's: in a fresh root it is not yet.
                Some(command) if command.trim_start().starts_with("test -O") || command.contains("[ -O") => Truth::No,
                _ => {
                    let _ = operands;
                    machine.unhandled("a program is run as another user");
                    Truth::Unknown
                }
            }
        }
        _ => return None,
    })
}

/// Notes the names of a sysusers.d file, so that later conditions find them.
fn sysusers(machine: &mut Machine<'_>, file: &str) {
    let path = if file.starts_with('/') { file.to_owned() } else { format!("/usr/lib/sysusers.d/{file}") };
    let Some(text) = machine.root.text(&path) else { return };
    for line in String::from_utf8_lossy(&text).lines() {
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("u" | "u!"), Some(name)) => {
                machine.root.users.entry(name.to_owned()).or_insert(None);
                machine.root.groups.insert(name.to_owned());
            }
            (Some("g"), Some(name)) => drop(machine.root.groups.insert(name.to_owned())),
            (Some("m"), Some(name)) => {
                if let Some(group) = words.next() {
                    machine.root.users.entry(name.to_owned()).or_insert(None);
                    machine.root.groups.insert(group.to_owned());
                    machine.root.members.insert((name.to_owned(), group.to_owned()));
                }
            }
            _ => {}
        }
    }
}

fn sapis(machine: &Machine<'_>, version: &str) -> Vec<String> {
    let root = format!("/etc/php/{version}");
    let names = machine.root.names(&root).into_iter();
    let sapis = names.filter(|name| {
        let place = machine.root.find(&format!("{root}/{name}/conf.d"));
        place.is_some_and(|place| place.thing == Thing::Directory)
    });
    sapis.collect()
}

/// Links a module's configuration into the directories of PHP's servers, as `phpenmod` does.
fn php(machine: &mut Machine<'_>, name: &str, words: &[&str]) -> Truth {
    let (version, sapi, modules): (String, String, Vec<String>) = if name == "php_invoke" {
        match words {
            ["enmod", version, sapi, modules @ ..] => {
                (version.to_string(), sapi.to_string(), modules.iter().map(|module| module.to_string()).collect())
            }
            _ => return Truth::Yes,
        }
    } else {
        let (options, operands) = options(words, &["-v", "-s"]);
        let version = value(&options, &["v"]).unwrap_or("ALL").to_owned();
        let sapi = value(&options, &["s"]).unwrap_or("ALL").to_owned();
        (version, sapi, operands.iter().map(|module| module.to_string()).collect())
    };
    let digits = |name: &String| name.starts_with(|c: char| c.is_ascii_digit());
    let versions = if version == "ALL" {
        machine.root.names("/etc/php").into_iter().filter(digits).collect()
    } else {
        vec![version]
    };
    for version in versions {
        let all = sapis(machine, &version);
        let wanted: Vec<&String> = all.iter().filter(|name| sapi == "ALL" || **name == sapi).collect();
        for module in &modules {
            let module = module.split('/').next().unwrap_or(module);
            let available = format!("/etc/php/{version}/mods-available/{module}.ini");
            if machine.root.find(&available).is_none() {
                // phpenmod warns and goes on.
                continue;
            }
            let priority = match machine.root.text(&available) {
                Some(text) => priority(&String::from_utf8_lossy(&text)),
                None => {
                    machine.unhandled("the module's configuration is not at hand");
                    continue;
                }
            };
            for sapi in &wanted {
                let path = format!("/etc/php/{version}/{sapi}/conf.d/{priority}-{module}.ini");
                if machine.root.find_link(&path).is_none() {
                    if machine.is_sure() {
                        machine.root.make(&path, Thing::Link(available.clone()));
                    }
                    machine.effect("php-modules", Effect::Link { path, target: available.clone() });
                } else {
                    machine.cover("php-modules");
                }
            }
        }
    }
    machine.cover("php-modules");
    Truth::Yes
}

/// Returns the number in `; priority=20`, by default 20.
fn priority(text: &str) -> String {
    let found = text.lines().find_map(|line| {
        let rest = line.trim_start_matches([';', ' ', '\t']).strip_prefix("priority")?;
        let digits = rest.trim_start().strip_prefix('=')?.trim();
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.to_owned()).filter(|digits| !digits.is_empty())
    });
    found.unwrap_or_else(|| "20".to_owned())
}

/// Links a module, a configuration or a site of Apache, as `a2enmod` does.
fn apache(machine: &mut Machine<'_>, name: &str, words: &[&str]) -> Truth {
    let (command, names): (&str, Vec<&str>) = match (name, words) {
        ("apache2_invoke", [command, names @ ..]) => {
            (command, names.iter().copied().filter(|name| !matches!(*name, "restart" | "reload")).collect())
        }
        (_, words) => (name.trim_start_matches("a2"), options(words, &[]).1),
    };
    let (kind, suffixes): (&str, &[&str]) = match command {
        "enmod" => ("mods", &["load", "conf"]),
        "enconf" => ("conf", &["conf"]),
        "ensite" => ("sites", &["conf"]),
        _ => return Truth::Yes,
    };
    for name in names {
        let name = name.trim_end_matches(".conf").trim_end_matches(".load");
        for suffix in suffixes {
            let available = format!("/etc/apache2/{kind}-available/{name}.{suffix}");
            if machine.root.find(&available).is_none() {
                continue;
            }
            let path = format!("/etc/apache2/{kind}-enabled/{name}.{suffix}");
            let target = format!("../{kind}-available/{name}.{suffix}");
            if machine.root.find_link(&path).is_none() {
                if machine.is_sure() {
                    machine.root.make(&path, Thing::Link(target.clone()));
                }
                machine.effect("apache-modules", Effect::Link { path, target });
            }
        }
    }
    machine.cover("apache-modules");
    Truth::Yes
}
