use std::fmt::Write as _;

use super::*;

fn word(parts: &Word) -> String {
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Text { text: inner, quoted: true } => write!(text, "'{inner}'").unwrap(),
            Part::Text { text: inner, .. } => text.push_str(inner),
            Part::Parameter { name, change, .. } => match change {
                Change::None => write!(text, "${name}").unwrap(),
                Change::Default(word_, colon) => {
                    write!(text, "${{{name}{}-{}}}", if *colon { ":" } else { "" }, word(word_)).unwrap()
                }
                Change::Suffix(word_, long) => write!(text, "${{{name}%{long}{}}}", word(word_)).unwrap(),
                other => write!(text, "${{{name} {other:?}}}").unwrap(),
            },
            Part::Command { list, .. } => write!(text, "$({})", dump(list)).unwrap(),
            Part::Arithmetic(inner) => write!(text, "$(({inner}))").unwrap(),
            Part::Other => text.push('?'),
        }
    }
    text
}

fn one(command: &Command) -> String {
    match &command.kind {
        Kind::Simple { assignments, words, redirects } => {
            let assigned = assignments.iter().map(|(name, value)| format!("{name}={}", word(value)));
            let redirected = redirects.iter().map(|redirect| {
                format!("{}{:?}:{}", redirect.descriptor, redirect.operator, word(&redirect.word).replace('\n', "\\n"))
            });
            assigned.chain(words.iter().map(word)).chain(redirected).collect::<Vec<_>>().join(" ")
        }
        Kind::Pipeline { negated, stages } => {
            let stages: Vec<_> = stages.iter().map(one).collect();
            format!("{}{}", if *negated { "! " } else { "" }, stages.join(" | "))
        }
        Kind::Chain { first, rest } => rest.iter().fold(one(first), |left, (and, right)| {
            format!("({left} {} {})", if *and { "&&" } else { "||" }, one(right))
        }),
        Kind::Group(list, _) => format!("{{{}}}", dump(list)),
        Kind::Subshell(list, _) => format!("[{}]", dump(list)),
        Kind::If { arms, otherwise, .. } => {
            let arms: Vec<_> = arms.iter().map(|(c, b)| format!("if {} then {}", dump(c), dump(b))).collect();
            format!("{} else {}", arms.join(" el"), dump(otherwise))
        }
        Kind::For { name, words, body, .. } => {
            let words = words.as_ref().map(|words| words.iter().map(word).collect::<Vec<_>>().join(","));
            format!("for {name} in {words:?} {{{}}}", dump(body))
        }
        Kind::While { until, condition, body, .. } => format!("while {until} {} {{{}}}", dump(condition), dump(body)),
        Kind::Case { word: subject, arms, .. } => {
            let arms: Vec<_> = arms
                .iter()
                .map(|(patterns, body)| {
                    format!("{}) {}", patterns.iter().map(word).collect::<Vec<_>>().join("|"), dump(body))
                })
                .collect();
            format!("case {} {}", word(subject), arms.join(" ;; "))
        }
        Kind::Function { name, body } => format!("{name}() {}", one(body)),
    }
}

fn dump(list: &List) -> String {
    list.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn tree(text: &str) -> String {
    match parse(text) {
        Ok(list) => dump(&list),
        Err(error) => error.to_string(),
    }
}

#[test]
fn commands_are_read_as_a_shell_reads_them() {
    for (text, expected) in [
        ("a b; c & d\ne", "a b; c; d; e"),
        ("a && b || ! c | d", "((a && b) || ! c | d)"),
        ("if a; then b; elif c; then d; else e; fi", "if a then b elif c then d else e"),
        ("for x in 1 \"2 3\" $y; do echo $x; done", "for x in Some(\"1,'2 3',$y\") {echo $x}"),
        ("for x\ndo :; done", "for x in None {:}"),
        ("while read a b; do :; done < f", "while false read a b {:}"),
        ("case \"$1\" in (a|b) c;; *) ;; esac", "case $1 a|b) c ;; *) "),
        ("case $x in a) if b; then c; fi esac", "case $x a) if b then c else "),
        ("f() { a; }; function g { b; }", "f() {a}; g() {b}"),
        ("(a; b) >&2", "[a; b]"),
        ("X=1 Y= cmd 2>/dev/null >>f", "X=1 Y= cmd 2Write:/dev/null 1Append:f"),
        ("a \\\n  b # c\n# d\ne#f", "a b; e#f"),
        ("echo ${x:-y z} ${x%%.*} $((1 + 2)) ${x/a/b}", "echo ${x:-y z} ${x%true.*} $((1 + 2)) ${x Other}"),
        ("echo \"a $(b \"c d\") e\" `f \\`g\\``", "echo 'a '$(b 'c d')' e' $(f $(g))"),
        ("x=$(case a in b) c;; esac)", "x=$(case a b) c)"),
        ("cat <<-'E' | b\n\tone $x\n\tE\nc", "cat 0Here:'one $x\\n' | b; c"),
        ("cat <<A <<B\n1$x\nA\n2\nB\nc", "cat 0Here:'1'$x'\\n' 0Here:'2\\n'; c"),
        ("[[ a == b* && ! -e c ]] && d", "([[ a == b* && ! -e c ]] && d)"),
        ("if ( a ) then b\nfi", "if [a] then b else "),
        ("echo done fi }", "echo done fi }"),
        ("", ""),
    ] {
        assert_eq!(tree(text), expected, "{text}");
    }
}

#[test]
fn what_is_no_shell_is_an_error_with_its_line() {
    for (text, line) in [
        ("a\nif b; then c", 2),
        ("a\n\n'b", 3),
        ("a; )", 1),
        ("fi", 1),
        ("a\nx=(1 2)", 2),
        ("cat <<E\nx\n", 1),
        ("echo $(a", 1),
        ("echo `a", 1),
        ("echo ${a", 1),
        ("a | | b", 1),
        ("f() a", 1),
        ("for 1 in a; do b; done", 1),
    ] {
        assert_eq!(parse(text).map_err(|error| error.line).expect_err(text), line, "{text}");
    }
}

#[test]
fn depth_is_bounded() {
    for (open, close) in [("(", ")"), ("$(", ")"), ("\"$(", ")\""), ("{ ", "; }"), ("${a:-", "}"), ("if ", "")] {
        let text = format!("{}b{}", open.repeat(5000), close.repeat(5000));
        assert!(parse(&text).is_err(), "{open}");
        assert!(parse(&open.repeat(50_000)).is_err(), "{open}");
    }
    assert!(parse(&"a && ".repeat(20_000)).is_err());
}

/// Pieces of shell put together at random: whatever comes out is read or refused, and never takes long.
#[test]
fn any_text_is_read_or_refused() {
    const PIECES: [&str; 44] = [
        "a", " ", "\n", ";", "&&", "||", "|", "&", "(", ")", "{", "}", "if ", "then ", "fi", "for ", "in ", "do ",
        "done", "case ", "esac", ";;", "$", "${", "$(", "$((", "))", "`", "\"", "'", "\\", "<", ">", "<<E", "E\n", "#",
        "=", "[[ ", " ]]", "x", "é", "\u{0}", "\t", "!",
    ];
    let mut state = 1_u64;
    let mut random = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ z >> 31) % 1000).unwrap()
    };
    let mut read = 0;
    for _ in 0..20_000 {
        let text: String = (0..random() % 24).map(|_| PIECES[random() % PIECES.len()]).collect();
        if let Ok(list) = parse(&text) {
            read += 1;
            for command in &list {
                assert!(text.get(command.start..command.end).is_some(), "{text:?}");
            }
        }
    }
    assert!(read > 1000, "{read}");
}
