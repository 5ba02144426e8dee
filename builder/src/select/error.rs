//! What can stop a selection.

use std::sync::Arc;

use crate::diag::{Diagnose, Label, Source, Span};
use crate::spec::nearest;
use crate::tree::ImagePath;

/// A place in the spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub(super) source: Arc<Source>,
    pub(super) span: Span,
}

/// Why files cannot be selected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The lock has no section for the platform.
    #[error("cannot select files for `{0}`: the lock has no such platform")]
    Platform(String),
    /// The lock's `keep` is none that this release knows.
    #[error("cannot select files: the lock says `keep: {0}`, which this release cannot do")]
    Keep(String),
    /// A locked package was not opened.
    #[error("cannot select files of `{0}`: the package was not opened")]
    Missing(String),
    /// A locked package names a layer that the lock does not list.
    #[error("cannot select files of `{package}`: the lock lists no layer `{layer}`")]
    Layer {
        /// The package.
        package: String,
        /// Its layer.
        layer: String,
    },
    /// A package ships a path that has no place in an image.
    #[error("cannot select files of `{package}`: {problem}")]
    Path {
        /// The package.
        package: String,
        /// What is wrong.
        problem: String,
    },
    /// Two packages ship different things at one path.
    #[error("cannot put {path} into the image: `{first}` ships {first_is}, `{second}` ships {second_is}")]
    Conflict {
        /// The path.
        path: ImagePath,
        /// The package whose name sorts first.
        first: String,
        /// What it ships.
        first_is: String,
        /// The other package.
        second: String,
        /// What that one ships.
        second_is: String,
    },
    /// A package ships a path below something that is no directory.
    #[error("cannot put {path} of `{package}` into the image: `{owner}` makes {ancestor} {what}")]
    Below {
        /// The path.
        path: ImagePath,
        /// The package that ships it.
        package: String,
        /// The ancestor that is no directory.
        ancestor: ImagePath,
        /// Who makes it so.
        owner: String,
        /// What it is.
        what: String,
    },
    /// An entry of the spec's `files` does not fit.
    #[error("cannot place {path}: {problem}")]
    File {
        /// The path as it would stand in the image.
        path: ImagePath,
        /// What is in the way.
        problem: String,
        /// The entry.
        place: Option<Place>,
    },
    /// A user or group name that nobody defines.
    #[error("cannot resolve {kind} `{name}`")]
    Account {
        /// `user` or `group`.
        kind: &'static str,
        /// The name.
        name: String,
        /// Where it is used.
        place: Option<Place>,
    },
    /// A number or name of a user or group stands for two.
    #[error("cannot give {kind} `{name}` the number {number}: it is {other}")]
    Number {
        /// `user` or `group`.
        kind: &'static str,
        /// The name.
        name: String,
        /// The number.
        number: u32,
        /// Whose it is.
        other: String,
        /// Where the spec says it.
        place: Option<Place>,
    },
    /// A number that was made from a name, and that another name has.
    #[error("cannot give {kind} `{name}` ({by}) the number {number}, which its name decides: it is `{other}`'s")]
    Taken {
        /// `user` or `group`.
        kind: &'static str,
        /// The name.
        name: String,
        /// The number.
        number: u32,
        /// Whose it is.
        other: String,
        /// Who asks for the account.
        by: String,
        /// The line of a spec that settles it.
        line: String,
    },
    /// A name or home that a line of `/etc/passwd` cannot hold.
    #[error("cannot write {kind} `{name}` into {file}: {problem}")]
    Field {
        /// `user` or `group`.
        kind: &'static str,
        /// The name.
        name: String,
        /// `/etc/passwd` or `/etc/group`.
        file: &'static str,
        /// What is wrong.
        problem: &'static str,
        /// Where the spec says it.
        place: Option<Place>,
    },
    /// A certificate that is none.
    #[error("cannot add certificate `{name}`: {problem}")]
    Certificate {
        /// The file.
        name: String,
        /// What is wrong.
        problem: &'static str,
        /// Where the spec names it.
        place: Option<Place>,
    },
    /// A base whose directories are laid out as before merged /usr, under packages that are laid out as after.
    #[error("cannot put packages on the base: its {0} is a directory, and in Debian's packages it is a link into /usr")]
    Unmerged(String),
    /// A pattern that is no glob.
    #[error("cannot select by `{glob}`: {problem}")]
    Glob {
        /// The pattern.
        glob: String,
        /// What is wrong.
        problem: String,
    },
    /// A `never` drops what something kept needs.
    #[error("cannot drop {path} of `{owner}` by `{never}`: {needed}")]
    Never {
        /// Which entry.
        never: String,
        /// What it drops.
        path: ImagePath,
        /// Whose it is.
        owner: String,
        /// What needs it, as a sentence.
        needed: String,
        /// The entry.
        place: Option<Place>,
    },
    /// A kept ELF file needs what is not there.
    #[error("cannot keep {path} of `{owner}`: it needs `{name}`, {}", match wrong {
        Some(other) => format!("and {other} is for another machine"),
        None => "which nothing in the lock ships".to_owned(),
    })]
    Needed {
        /// The file.
        path: ImagePath,
        /// Whose it is.
        owner: String,
        /// SONAME or path.
        name: String,
        /// A file of that name that it cannot load.
        wrong: Option<ImagePath>,
    },
    /// A script that must run has nothing to run it.
    #[error("cannot keep {path} of `{owner}`: it is run by `{interpreter}`, which nothing in the lock ships")]
    Interpreter {
        /// The script.
        path: ImagePath,
        /// Whose it is.
        owner: String,
        /// What its first line says.
        interpreter: String,
    },
    /// A feature that no rule knows.
    #[error("cannot select by feature `{name}`: no rule knows it")]
    Feature {
        /// Its name.
        name: String,
        /// Those that are known, with what they keep.
        known: Vec<(String, String)>,
        /// The entry.
        place: Option<Place>,
    },
    /// A character set that the C library of the lock does not know.
    #[error("cannot keep what converts `{charset}`: the C library knows no such character set")]
    Charset {
        /// Its name.
        charset: String,
        /// How many it knows.
        known: usize,
    },
    /// Symbolic links that lead in a circle.
    #[error("cannot follow {0}: too many symbolic links")]
    Loop(ImagePath),
    /// Slices that cannot be followed.
    #[error("cannot select by slices: {error}")]
    Slice {
        /// Why.
        error: Box<crate::rules::slices::Error>,
        /// Where the spec asks for them.
        place: Option<Place>,
    },
    /// A part of the input that does not fit the rest.
    #[error("cannot select local files: {0}")]
    Local(String),
}

impl Error {
    fn place(&self) -> Option<&Place> {
        match self {
            Self::File { place, .. }
            | Self::Account { place, .. }
            | Self::Number { place, .. }
            | Self::Field { place, .. }
            | Self::Certificate { place, .. }
            | Self::Feature { place, .. }
            | Self::Slice { place, .. }
            | Self::Never { place, .. } => place.as_ref(),
            _ => None,
        }
    }
}

/// Returns the package that ships a library of this name, as Debian policy 8.1 has it: `libfoo.so.1` is in `libfoo1`.
fn package_of(soname: &str) -> Option<String> {
    let (name, version) = soname.split_once(".so.")?;
    let between = if name.ends_with(|last: char| last.is_ascii_digit()) { "-" } else { "" };
    (!name.contains('/')).then(|| format!("{name}{between}{version}").to_lowercase().replace('_', "-"))
}

impl Diagnose for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Platform(_) => "select::platform",
            Self::Keep(_) => "select::keep",
            Self::Missing(_) => "select::missing",
            Self::Layer { .. } => "select::layer",
            Self::Path { .. } => "select::path",
            Self::Conflict { .. } => "select::conflict",
            Self::Below { .. } => "select::below",
            Self::File { .. } => "select::file",
            Self::Account { .. } => "select::account",
            Self::Number { .. } => "select::number",
            Self::Taken { .. } => "select::number",
            Self::Field { .. } => "select::field",
            Self::Certificate { .. } => "select::certificate",
            Self::Unmerged(_) => "select::unmerged-base",
            Self::Glob { .. } => "select::glob",
            Self::Never { .. } => "select::never",
            Self::Needed { .. } => "select::needed",
            Self::Interpreter { .. } => "select::interpreter",
            Self::Feature { .. } => "select::feature",
            Self::Charset { .. } => "select::charset",
            Self::Loop(_) => "select::loop",
            Self::Slice { .. } => "select::slice",
            Self::Local(_) => "select::local",
        }
    }

    fn labels(&self) -> Vec<Label> {
        self.place()
            .map(|place| Label { source: place.source.clone(), span: place.span, text: String::new() })
            .into_iter()
            .collect()
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Platform(_) | Self::Layer { .. } => vec!["run `tarsia lock`".to_owned()],
            Self::Keep(_) => vec!["use `keep: needed`, `keep: runtime` or `keep: all`".to_owned()],
            Self::Conflict { path, .. } => {
                vec![format!("put a file of your own at `{path}` with `files:`, or leave one of the packages out")]
            }
            Self::Account { kind, name, .. } => {
                let section = if *kind == "user" { "users" } else { "groups" };
                let number = if *kind == "user" { "uid" } else { "gid" };
                vec![format!("define it: `{section}: {{{name}: {{{number}: 10001}}}}`")]
            }
            Self::Unmerged(_) => vec!["build on a base with merged /usr, or leave `packages` out".to_owned()],
            Self::Never { path, .. } => vec![
                "drop what needs it as well".to_owned(),
                format!("or drop it even so: `{{path: {path}, force: true}}`"),
            ],
            Self::Needed { name, owner, .. } => {
                let mut hints: Vec<String> = package_of(name)
                    .map(|package| format!("its package is likely `{package}`: `tarsia add {package}`"))
                    .into_iter()
                    .collect();
                if !owner.starts_with("files[") {
                    hints.push("or leave the file out with `never:`".to_owned());
                }
                hints
            }
            Self::Interpreter { interpreter, .. } => {
                let name = interpreter.rsplit('/').next().unwrap_or(interpreter);
                let package = match name {
                    "sh" => "dash",
                    "python" => "python3",
                    other => other,
                };
                vec![format!("`tarsia add {package}`")]
            }
            Self::Feature { name, known, .. } => {
                let near = nearest(name, known.iter().map(|(name, _)| name.as_str()));
                let near = near.map(|near| format!("did you mean `{near}`?"));
                near.into_iter().chain(known.iter().map(|(name, why)| format!("`{name}`: {why}"))).collect()
            }
            Self::Charset { .. } => vec!["`iconv -l` lists those of a whole system".to_owned()],
            Self::Taken { line, .. } => vec![format!("write `{line}` into the spec")],
            Self::Number { kind, .. } => vec![format!("give the {kind} another number")],
            _ => Vec::new(),
        }
    }
}
