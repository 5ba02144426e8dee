//! What a plain (unquoted) scalar is: YAML 1.2.2 section 10.3, less everything that YAML 1.1 reads differently.

/// A plain scalar's meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plain {
    /// Nothing, `~` or `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A decimal integer without leading zeros.
    Int(i64),
    /// A number that is no such integer.
    Float,
    /// Different things to different readers; the text completes "`x` is ...".
    Ambiguous(&'static str),
    /// A text to every reader.
    Text,
}

/// Returns what every reader of YAML takes `text` for.
pub(super) fn resolve(text: &str) -> Plain {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Plain::Null,
        "true" | "True" | "TRUE" => return Plain::Bool(true),
        "false" | "False" | "FALSE" => return Plain::Bool(false),
        "<<" => return Plain::Ambiguous("a merge key for YAML 1.1"),
        "=" => return Plain::Ambiguous("a default key for YAML 1.1"),
        "y" | "Y" | "yes" | "Yes" | "YES" | "n" | "N" | "no" | "No" | "NO" | "on" | "On" | "ON" | "off" | "Off"
        | "OFF" => return Plain::Ambiguous("true or false for YAML 1.1, a text for YAML 1.2"),
        _ => {}
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let Some(first) = unsigned.chars().next().filter(|first| first.is_ascii_digit() || *first == '.') else {
        return Plain::Text;
    };
    if matches!(unsigned, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN") {
        return Plain::Float;
    }
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits(unsigned) {
        if unsigned.len() > 1 && first == '0' {
            return Plain::Ambiguous("octal for YAML 1.1, decimal for YAML 1.2");
        }
        if text.starts_with('+') {
            return Plain::Ambiguous("a number with a sign, or a text");
        }
        return text.parse().map_or(Plain::Ambiguous("a number beyond 64 bits"), Plain::Int);
    }
    if let Some(("0", rest)) = unsigned.split_at_checked(1)
        && let Some(tail) = rest.strip_prefix(['o', 'x', 'b'])
        && !tail.is_empty()
        && tail.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'_')
    {
        return Plain::Ambiguous("a number in another base");
    }
    if is_float(unsigned) {
        return Plain::Float;
    }
    if first.is_ascii_digit() && unsigned.contains('_') {
        let bare = unsigned.replace('_', "");
        if digits(&bare) || is_float(&bare) {
            return Plain::Ambiguous("a number for YAML 1.1, a text for YAML 1.2");
        }
    }
    if is_sexagesimal(unsigned) {
        return Plain::Ambiguous("a number in base 60 for YAML 1.1, a text for YAML 1.2");
    }
    if is_timestamp(text) {
        return Plain::Ambiguous("a date for YAML 1.1, a text for YAML 1.2");
    }
    Plain::Text
}

/// Returns whether `text` is `.5`, `1.`, `1.5` or `1e3`, without a sign.
fn is_float(text: &str) -> bool {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    if let Some(exponent) = exponent {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        if exponent.is_empty() || !exponent.bytes().all(|byte| byte.is_ascii_digit()) {
            return false;
        }
    }
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    !(whole.is_empty() && fraction.is_empty()) && whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit())
}

/// Returns whether `text` is `12:30` or `1:02:03`.
fn is_sexagesimal(text: &str) -> bool {
    let mut parts = text.split(':');
    let head = parts.next().unwrap_or_default();
    let mut tails = 0;
    let fit = parts.all(|part| {
        tails += 1;
        let part = part.split_once('.').map_or(part, |(whole, _)| whole);
        matches!(part.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9'])
    });
    fit && tails > 0 && !head.is_empty() && head.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_')
}

/// Returns whether `text` begins with a date and goes on as YAML 1.1's timestamps do.
fn is_timestamp(text: &str) -> bool {
    let date = text.split(['T', 't', ' ', '\t']).next().unwrap_or_default();
    let parts: Vec<&str> = date.split('-').collect();
    let [year, month, day] = parts[..] else { return false };
    year.len() == 4
        && [month, day].iter().all(|part| matches!(part.len(), 1 | 2))
        && [year, month, day].iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_mean_one_thing_or_are_refused() {
        for (text, expected) in [
            ("", Plain::Null),
            ("null", Plain::Null),
            ("true", Plain::Bool(true)),
            ("0", Plain::Int(0)),
            ("-7", Plain::Int(-7)),
            ("8080", Plain::Int(8080)),
            ("1.22", Plain::Float),
            ("1.", Plain::Float),
            ("1e3", Plain::Float),
            (".inf", Plain::Float),
        ] {
            assert_eq!(resolve(text), expected, "{text}");
        }
        for text in [
            "1.4.2",
            "debian/13",
            "-g",
            "0.1-2",
            "1.2.3-4",
            "linux/amd64",
            ".",
            "..",
            "-",
            "a:1",
            "1000:1000",
            "5e",
            "v1",
        ] {
            assert_eq!(resolve(text), Plain::Text, "{text}");
        }
        for text in [
            "0755",
            "00",
            "0o17",
            "0x1F",
            "+1",
            "1_000",
            "12:30",
            "yes",
            "No",
            "on",
            "OFF",
            "y",
            "<<",
            "2024-01-02",
            "2024-1-2 10:00:00",
            "99999999999999999999",
            "0b1",
        ] {
            assert!(matches!(resolve(text), Plain::Ambiguous(_)), "{text}: {:?}", resolve(text));
        }
    }
}
