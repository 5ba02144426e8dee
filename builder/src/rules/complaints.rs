//! What interpreters say of a module that is not there.
//!
//! They list directories instead of asking for each file, so a trace shows nothing of it; what they write names it. In:
//! what a program wrote. Out: ends of paths, any of which would be the module.

/// One way to complain: what stands before the name, what stands behind it, and the ends of paths that it may have, with
/// `%` for the name.
struct Complaint {
    before: &'static str,
    behind: char,
    /// Dots in the name are directories.
    dotted: bool,
    ends: &'static [&'static str],
}

const COMPLAINTS: [Complaint; 5] = [
    // Of Python a package (its directory), a module, and a compiled one.
    Complaint {
        before: "No module named '",
        behind: '\'',
        dotted: true,
        ends: &["/%/__init__.py", "/%.py", "/%.abi3.so", "/%.cpython-*.so"],
    },
    Complaint { before: "Can't locate ", behind: ' ', dotted: false, ends: &["/%"] },
    Complaint { before: "cannot load such file -- ", behind: ' ', dotted: false, ends: &["/%.rb", "/%.so"] },
    Complaint {
        before: "Cannot find module '",
        behind: '\'',
        dotted: false,
        ends: &["/%/package.json", "/%", "/%.js"],
    },
    Complaint { before: "error while loading shared libraries: ", behind: ':', dotted: false, ends: &["/%"] },
];

/// The most names of one text.
const MAX_NAMES: usize = 100;

/// Returns, for each name that is complained of, the ends of paths that it may have; a `*` in one stands for anything
/// within a component.
pub fn complaints(text: &str) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for complaint in &COMPLAINTS {
        for rest in text.split(complaint.before).skip(1) {
            let end = rest.find([complaint.behind, '\n']).unwrap_or(rest.len());
            let name = rest[..end].trim().trim_start_matches('/');
            let plain = |c: char| c.is_ascii_alphanumeric() || "._-+/@".contains(c);
            if name.is_empty() || name.len() > 255 || !name.chars().all(plain) || all.len() >= MAX_NAMES {
                continue;
            }
            let name = if complaint.dotted { name.replace('.', "/") } else { name.to_owned() };
            let ends: Vec<String> = complaint.ends.iter().map(|end| end.replace('%', &name)).collect();
            if !all.contains(&ends) {
                all.push(ends);
            }
        }
    }
    all
}

/// Returns whether `path` ends so.
pub fn ends_so(path: &str, end: &str) -> bool {
    match end.split_once('*') {
        None => path.ends_with(end),
        Some((before, behind)) => path.strip_suffix(behind).is_some_and(|path| {
            let directory = path.rfind('/').map_or("", |_| path);
            directory.rfind(before).is_some_and(|at| !directory[at + before.len()..].contains('/'))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpreters_name_what_they_lack() {
        let text = "Traceback\nModuleNotFoundError: No module named 'lxml.etree'\nCan't locate Foo/Bar.pm in @INC (you may\n\
                    x: error while loading shared libraries: libz.so.1: cannot open shared object file\n\
                    cannot load such file -- json/ext\nError: Cannot find module 'acorn'\nNo module named '$(x)'\n";
        let first: Vec<String> = complaints(text).into_iter().map(|ends| ends[0].clone()).collect();
        assert_eq!(
            first,
            ["/lxml/etree/__init__.py", "/Foo/Bar.pm", "/json/ext.rb", "/acorn/package.json", "/libz.so.1"]
        );
        let python = &complaints(text)[0];
        let fits = |path: &str| python.iter().any(|end| ends_so(path, end));
        assert!(fits("usr/lib/python3/dist-packages/lxml/etree.cpython-313-x86_64-linux-gnu.so"));
        assert!(fits("usr/lib/python3/dist-packages/lxml/etree.py") && !fits("usr/lib/python3/lxml/xetree.py"));
        assert!(!fits("usr/lib/lxml/etree.cpython-313/x.so"));
    }
}
