//! Licence expressions (SPDX 2.3, annex D).

use std::collections::BTreeSet;

/// Returns `text` where it is a valid expression of ids that the list has today or of `LicenseRef-…`.
pub(super) fn valid(text: &str) -> Option<&str> {
    spdx::Expression::parse(text).is_ok().then_some(text)
}

/// Returns the expression that all of these hold; `None` of nothing.
///
/// Parts that are the same are said once, in the order of their texts.
pub(super) fn all<'a>(expressions: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut parts = BTreeSet::new();
    for expression in expressions {
        if expression.contains('(') || expression.contains(" OR ") {
            let alone = !expression.contains(" OR ");
            parts.insert(if alone { expression.to_owned() } else { format!("({expression})") });
        } else {
            parts.extend(expression.split(" AND ").map(|part| part.trim().to_owned()));
        }
    }
    (!parts.is_empty()).then(|| parts.into_iter().collect::<Vec<_>>().join(" AND "))
}

/// Returns the ids of an expression that are `LicenseRef-…`.
pub(super) fn references(expression: &str) -> impl Iterator<Item = &str> {
    expression.split([' ', '(', ')']).filter(|word| word.starts_with("LicenseRef-"))
}

/// Returns whether the expression is one id alone.
pub(super) fn is_one(expression: &str) -> bool {
    !expression.contains([' ', '(', '+'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_joined_once_each() {
        let joined =
            all(["MIT", "GPL-2.0-or-later AND MIT", "Apache-2.0 OR MIT", "GPL-3.0-or-later WITH GCC-exception-3.1"]
                .into_iter());
        let joined = joined.unwrap();
        assert_eq!(
            joined,
            "(Apache-2.0 OR MIT) AND GPL-2.0-or-later AND GPL-3.0-or-later WITH GCC-exception-3.1 AND MIT"
        );
        assert!(valid(&joined).is_some() && valid("GPL").is_none());
        assert_eq!(all(std::iter::empty()), None);
        assert_eq!(
            references("(LicenseRef-a AND MIT) OR LicenseRef-b").collect::<Vec<_>>(),
            ["LicenseRef-a", "LicenseRef-b"]
        );
    }
}
