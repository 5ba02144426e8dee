//! Caches that programs read and that no derivation makes: said, so that nobody misses them unawares.
//!
//! Each is written by a program of its package when dpkg's trigger fires, in a format of that program. Left unsaid are
//! those that are made again or done without where they are missing (fontconfig's, icon themes', GIO's modules'), and
//! those that Debian ships as files (the whole of glibc's gconv-modules.cache, the locales of locales-all).

use super::merge::{Owner, Tree, What};

/// (directory, ending of the files whose presence asks for the cache, the cache, who makes it and who misses it).
const CACHES: &[(&str, &str, &str, &str)] = &[
    (
        "usr/share/mime/packages",
        ".xml",
        "usr/share/mime/mime.cache",
        "update-mime-database: without it GIO tells no file's type by its name or content",
    ),
    (
        "usr/share/glib-2.0/schemas",
        ".gschema.xml",
        "usr/share/glib-2.0/schemas/gschemas.compiled",
        "glib-compile-schemas: without it a program that reads these settings stops",
    ),
    (
        "gdk-pixbuf-2.0/2.10.0/loaders",
        ".so",
        "gdk-pixbuf-2.0/2.10.0/loaders.cache",
        "gdk-pixbuf-query-loaders: without it only built-in image formats are read",
    ),
    (
        "gtk-3.0/3.0.0/immodules",
        ".so",
        "gtk-3.0/3.0.0/immodules.cache",
        "gtk-query-immodules-3.0: without it input methods are not found",
    ),
];

/// Reports every cache that a kept file asks for and nobody ships, once, at the package of the first such file.
pub(super) fn report(tree: &mut Tree<'_>) {
    for (directory, ending, cache, maker) in CACHES {
        if tree.nodes.keys().any(|path| is_at(path.as_str(), cache)) {
            continue;
        }
        let asks = tree.nodes.iter().find_map(|(path, node)| {
            let (parent, name) = path.as_str().rsplit_once('/')?;
            let Owner::Package(number) = node.owner else { return None };
            let file = matches!(node.what, What::File { .. });
            (file && name.ends_with(ending) && is_at(parent, directory)).then_some(number)
        });
        if let Some(number) = asks {
            let package = tree.packages[number].name.to_owned();
            tree.report.unhandled.push((package, "triggers".to_owned(), vec![format!("{maker} (/{cache})")]));
        }
    }
}

/// Returns whether a path is the one of the table, which for private directories leaves out the multi-arch part.
fn is_at(path: &str, wanted: &str) -> bool {
    path == wanted || !wanted.starts_with("usr/") && path.strip_suffix(wanted).is_some_and(|rest| rest.ends_with('/'))
}
