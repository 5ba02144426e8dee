//! Licence expressions (SPDX 2.3, annex D), as far as documents look into them.

use crate::license::read_spdx;

/// Returns `text` as documents write it, where it is a valid expression.
pub(super) fn valid(text: &str) -> Option<String> {
    read_spdx(text).map(|expression| expression.to_string())
}

/// Returns the ids of an expression that are `LicenseRef-…`.
pub(super) fn references(expression: &str) -> impl Iterator<Item = &str> {
    expression.split([' ', '(', ')']).filter(|word| word.starts_with("LicenseRef-"))
}

/// Returns whether the expression is one id of SPDX's list alone.
pub(super) fn is_listed_id(expression: &str) -> bool {
    !expression.contains([' ', '(', '+']) && !expression.starts_with("LicenseRef-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_expression_names() {
        let text = "(LicenseRef-a AND MIT) OR LicenseRef-b";
        assert_eq!(references(text).collect::<Vec<_>>(), ["LicenseRef-a", "LicenseRef-b"]);
        assert!(is_listed_id("MIT") && !is_listed_id("LicenseRef-a") && !is_listed_id("MIT AND Zlib"));
        assert_eq!((valid("mit").as_deref(), valid("nonsense licence")), (Some("MIT"), None));
    }
}
