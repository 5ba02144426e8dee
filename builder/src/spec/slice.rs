//! Names of slices: `libc6_libs`, the slice `libs` of the package `libc6`.

/// A slice by its full name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SliceName {
    /// The package.
    pub package: String,
    /// Its slice.
    pub slice: String,
}

impl SliceName {
    /// Splits a full name; `None` for what is none. A package's name has no underscore.
    pub fn parse(text: &str) -> Option<Self> {
        let (package, slice) = text.split_once('_')?;
        let fits = super::form::is_package_name(package) && Self::is_slice(slice);
        fits.then(|| Self { package: package.to_owned(), slice: slice.to_owned() })
    }

    /// Returns whether a text names a slice within a package: a letter, and at least two more letters or digits of lower
    /// case, with single hyphens between them.
    pub fn is_slice(text: &str) -> bool {
        text.starts_with(|first: char| first.is_ascii_lowercase())
            && !text.ends_with('-')
            && !text.contains("--")
            && text.bytes().filter(|byte| *byte != b'-').count() > 2
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    }
}

impl std::fmt::Display for SliceName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}_{}", self.package, self.slice)
    }
}
