//! Specs on the command line, each with those of its variants that a command works on.

use std::path::{Path, PathBuf};

use tarsia::diag::Problems;
use tarsia::ops;

use super::arguments::VariantFlag;

/// Returns each spec with the variant that is asked for, or where none is, alone and then with each of its variants.
pub(crate) fn sections<'a>(
    specs: &'a [PathBuf],
    asked: &VariantFlag,
) -> Result<Vec<(&'a Path, Option<String>)>, Problems> {
    let mut all = Vec::new();
    for spec in specs {
        let variants = ops::sections(spec, asked.variant.as_deref())?;
        all.extend(variants.into_iter().map(|variant| (spec.as_path(), variant)));
    }
    Ok(all)
}

/// Returns what messages call a spec, or a variant of it.
pub(crate) fn named(spec: &Path, variant: Option<&str>) -> String {
    match variant {
        Some(variant) => format!("variant `{variant}` of `{}`", spec.display()),
        None => format!("`{}`", spec.display()),
    }
}
