use super::*;

#[test]
fn built_in_rules_are_sound() {
    let rules: Vec<&Rule> = built_in().collect();
    assert!(rules.len() > 20);
    for rule in &rules {
        assert!(rule.why.len() > 20 && !rule.why.ends_with('.'), "{}", rule.name);
        assert!(rules.iter().filter(|other| other.name == rule.name).count() == 1, "{}", rule.name);
        assert!(rule.keeps(Some("x")).len() == rule.keep.len(), "{}", rule.name);
    }
}

#[test]
fn mistakes_are_told_with_their_place() {
    let mistakes = |text: &str| parse(&Source::new("own.yaml", text)).unwrap_err().to_string();
    for (text, said) in [
        ("rule: x", "a file of rules is a list"),
        ("- why: x", "it has no name"),
        ("- {rule: a, keep: /x}", "it does not say why"),
        ("- {rule: a, why: because, keep: /x}", "`keep` needs a condition"),
        ("- {rule: a, why: because, with: p, keep: x}", "no pattern of absolute paths"),
        ("- {rule: a, why: because, with: p, kept: /x}", "there is no key `kept`"),
        ("- {rule: a, why: because, wait: /x}", "`wait` and `for` go together"),
        ("- {rule: a, why: because, implicit: p}", "`implicit` goes with a package"),
        ("- {rule: a, why: because, off: /x}\n- {rule: a, why: because, off: /y}", "its name is taken"),
    ] {
        assert!(mistakes(text).contains(said), "{text}: {}", mistakes(text));
    }
}
