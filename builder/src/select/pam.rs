//! `/etc/pam.d/common-*` as pam-auth-update(8) would write them of the configurations that packages ship.
//!
//! In: the text of `usr/share/pam-configs/*` and of the templates in `usr/share/pam`. Out: one text per service type.

use std::collections::BTreeMap;

/// Types of services: the end of the file's name, the field of a configuration, the word in a line.
pub(super) const TYPES: [(&str, &str, &str); 5] = [
    ("account", "Account", "account"),
    ("auth", "Auth", "auth"),
    ("password", "Password", "password"),
    ("session", "Session", "session"),
    ("session-noninteractive", "Session-noninteractive", "session"),
];

/// The most configurations that are looked at; Debian has some forty.
const MAX_PROFILES: usize = 512;

/// One configuration's fields.
type Profile = BTreeMap<String, String>;

/// Returns the configurations that are on by default, in the order in which their modules are asked.
pub(super) fn profiles<'a>(files: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<Profile> {
    let mut all: Vec<(i64, &str, Profile)> = files
        .map(|(name, text)| {
            let profile = parse(text);
            let priority = profile.get("Priority").and_then(|number| number.trim().parse().ok()).unwrap_or(0);
            (priority, name, profile)
        })
        .filter(|(_, _, profile)| profile.get("Default").is_some_and(|word| word.trim() == "yes"))
        .collect();
    all.sort_by(|a, b| (b.0, b.1).cmp(&(a.0, a.1)));
    let mut chosen: Vec<(&str, Profile)> = Vec::new();
    for (_, name, profile) in all.into_iter().take(MAX_PROFILES) {
        let conflicts = |a: &Profile, b: &str| {
            a.get("Conflicts").is_some_and(|names| names.split(',').any(|other| other.trim() == b))
        };
        if !chosen.iter().any(|(other, with)| conflicts(with, name) || conflicts(&profile, other)) {
            chosen.push((name, profile));
        }
    }
    chosen.into_iter().map(|(_, profile)| profile).collect()
}

fn parse(text: &str) -> Profile {
    let mut profile = Profile::new();
    let mut field = String::new();
    for line in text.lines() {
        let head = line.split_once(':').filter(|(name, rest)| {
            !name.is_empty()
                && !name.contains(char::is_whitespace)
                && (rest.is_empty() || rest.starts_with([' ', '\t']))
        });
        if let Some((name, rest)) = head {
            field = name.trim_end_matches("-Final").to_owned();
            profile.insert(field.clone(), rest.trim().to_owned());
        } else if !line.trim().is_empty() && !field.is_empty() {
            let value = profile.entry(field.clone()).or_default();
            if !value.is_empty() {
                value.push('\n');
            }
            value.push_str(line.trim());
        }
    }
    if profile.get("Session-Interactive-Only").is_none_or(|word| word != "yes") {
        for end in ["-Type", "", "-Initial"] {
            if let Some(value) = profile.get(&format!("Session{end}")).cloned() {
                profile.insert(format!("Session-noninteractive{end}"), value);
            }
        }
    }
    profile
}

/// Returns a template with the modules of the configurations in their two places; `None` where it has no places.
pub(super) fn fill(template: &str, field: &str, word: &str, profiles: &[Profile]) -> Option<String> {
    let mut text = String::new();
    // Which marker is waited for, and whether lines are passed over until it comes.
    let markers = [
        ("# here are the per-package modules (the \"Primary\" block)", Some("Primary")),
        ("# here's the fallback if no module succeeds", None),
        ("# and here are more per-package modules (the \"Additional\" block)", Some("Additional")),
        ("# end of pam-auth-update config", None),
    ];
    let mut state = 0;
    for line in template.lines() {
        let marker = markers.get(state).filter(|(marker, _)| line.starts_with(marker));
        if marker.is_none() && matches!(state, 1 | 3) {
            continue;
        }
        text.push_str(line);
        text.push('\n');
        if let Some((_, block)) = marker {
            state += 1;
            if let Some(block) = block {
                text.push_str(&modules(block, field, word, profiles));
            }
        }
    }
    (state == markers.len()).then_some(text)
}

fn modules(block: &str, field: &str, word: &str, profiles: &[Profile]) -> String {
    let mut lines: Vec<&str> = Vec::new();
    let of_block =
        profiles.iter().filter(|profile| profile.get(&format!("{field}-Type")).is_some_and(|name| name == block));
    for (number, profile) in of_block.enumerate() {
        let initial = profile.get(&format!("{field}-Initial")).filter(|text| number == 0 && !text.is_empty());
        let text = initial.or_else(|| profile.get(field)).map_or("", String::as_str);
        lines.extend(text.lines().filter(|line| !line.is_empty()));
    }
    if lines.is_empty() && block == "Primary" {
        return format!("{word}\t[default=1]\t\t\tpam_permit.so\n");
    }
    let mut text = String::new();
    let mut left = lines.len();
    if block == "Additional" {
        // A jump out of the last block stays on the stack.
        left = left.saturating_sub(1);
    }
    for line in lines {
        let (module, options) = split_line(line);
        let module = module.replace("end", &left.to_string());
        let options: Vec<&str> = options.split_whitespace().collect();
        text.push_str(&format!("{word}\t{module} {}\n", options.join(" ")));
        left = left.saturating_sub(1);
    }
    text
}

/// Splits a line behind its module: control (in brackets or a word), blanks, module; then the options.
fn split_line(line: &str) -> (&str, &str) {
    let control =
        if line.starts_with('[') { line.find(']').map_or(line.len(), |at| at + 1) } else { word_end(line, 0) };
    let start = line[control..].find(|c: char| !c.is_whitespace()).map_or(line.len(), |at| control + at);
    line.split_at(word_end(line, start))
}

fn word_end(line: &str, from: usize) -> usize {
    line[from..].find(char::is_whitespace).map_or(line.len(), |at| from + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIX: &str = "Name: Unix authentication\nDefault: yes\nPriority: 256\nAuth-Type: Primary\nAuth:\n\t[success=end default=ignore]\tpam_unix.so nullok try_first_pass\nAuth-Initial:\n\t[success=end default=ignore]\tpam_unix.so nullok\n";
    const CAP: &str = "Name: Inheritable Capabilities Management\nDefault: yes\nPriority: 0\nAuth-Type: Additional\nAuth:\n\toptional\t\t\tpam_cap.so\n";
    const TEMPLATE: &str = "# top\n# here are the per-package modules (the \"Primary\" block)\n$auth_primary\n# here's the fallback if no module succeeds\nauth\trequisite\t\t\tpam_deny.so\n# and here are more per-package modules (the \"Additional\" block)\n$auth_additional\n# end of pam-auth-update config\n";

    #[test]
    fn modules_stand_where_pam_auth_update_puts_them() {
        let off = "Name: off\nDefault: no\nPriority: 9\nAuth-Type: Primary\nAuth:\n\trequired pam_off.so\n";
        let profiles = profiles([("capability", CAP), ("off", off), ("unix", UNIX)].into_iter());
        assert_eq!(profiles.len(), 2);
        // As on a Debian system with libpam-cap.
        insta::assert_snapshot!(fill(TEMPLATE, "Auth", "auth", &profiles).unwrap().replace('\t', "→"), @r#"
        # top
        # here are the per-package modules (the "Primary" block)
        auth→[success=1 default=ignore]→pam_unix.so nullok
        # here's the fallback if no module succeeds
        auth→requisite→→→pam_deny.so
        # and here are more per-package modules (the "Additional" block)
        auth→optional→→→pam_cap.so 
        # end of pam-auth-update config
        "#);
        assert!(
            fill(TEMPLATE, "Account", "account", &profiles)
                .unwrap()
                .contains("account\t[default=1]\t\t\tpam_permit.so\n")
        );
        assert_eq!(fill("no markers\n", "Auth", "auth", &profiles), None);
    }
}
