//! `tarsia inspect`.

use std::fmt::Write as _;

use clap::Args;
use tarsia::diag::Problems;
use tarsia::ops::{self, Detail, Inspection, ManifestSummary, PackageContents};

use crate::cli::Answer;
use crate::cli::arguments::{PlatformFlag, SourceFlags};
use crate::cli::output::plain;
use crate::cli::session::Session;
use crate::cli::size::{counted, human_size};

/// How many paths of one sort a person is shown.
const SHOWN: usize = 10;

/// Flags of `inspect`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Image to look at: a directory, an archive, or oci:DIR[:TAG], oci-archive:FILE[:TAG],
    /// docker-archive:FILE[:REF], docker://HOST/NAME[:TAG|@DIGEST]
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,

    /// List every file
    #[arg(long)]
    pub(crate) files: bool,

    /// Show what each layer holds, and what an update of each package would make others pull again
    #[arg(long)]
    pub(crate) layers: bool,

    /// Show each layer as a tree of packages and files by size
    #[arg(long)]
    pub(crate) tree: bool,

    #[command(flatten)]
    pub(crate) platform: PlatformFlag,

    #[command(flatten)]
    pub(crate) source: SourceFlags,
}

/// Prints what an image holds.
pub(crate) fn run(session: &Session, arguments: &Arguments) -> Result<Answer, Problems> {
    let SourceFlags { store, registry } = &arguments.source;
    let found = session.reaching(store, registry, false, |reach| {
        let Arguments { files, layers, tree, .. } = *arguments;
        ops::inspect(reach, &arguments.image, &arguments.platform.platforms, Detail { files, layers, tree })
    })?;
    let shown = if session.globals.verbose { usize::MAX } else { SHOWN };
    session.answer(&found, &text(&found, arguments, shown))?;
    Ok(Answer::Yes)
}

/// Returns an inspection as a person reads it. What comes from the image is shown without control characters.
fn text(found: &Inspection, asked: &Arguments, shown: usize) -> String {
    let mut text = format!("{}\n", found.digest);
    for one in &found.images {
        let _ = writeln!(text, "\n{} {}", plain(&one.platform), one.digest);
        pairs(&mut text, one);
        layers(&mut text, one);
        packages(&mut text, one);
        surface(&mut text, one);
        if asked.layers {
            layer_contents(&mut text, one);
        }
        if asked.tree {
            tree(&mut text, one, shown);
        }
        files(&mut text, one);
    }
    text
}

fn pairs(text: &mut String, one: &ManifestSummary) {
    let words = |words: &[String]| words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
    let mut pairs = vec![
        ("created", plain(&one.created)),
        ("user", plain(&one.user)),
        ("entrypoint", words(&one.entrypoint)),
        ("cmd", words(&one.cmd)),
        ("workdir", plain(&one.workdir)),
    ];
    pairs.extend(one.env.iter().map(|variable| ("env", plain(variable))));
    pairs.extend(one.labels.iter().map(|(key, value)| ("label", plain(&format!("{key}={value}")))));
    for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        let _ = writeln!(text, "  {name:<11} {value}");
    }
}

fn layers(text: &mut String, one: &ManifestSummary) {
    let _ = writeln!(text, "\n  {}", counted(one.layers.len() as u64, "layer"));
    let rows = one.layers.iter().map(|layer| {
        let packages = match layer.packages.len() {
            0 => String::new(),
            1..=4 => layer.packages.join(" "),
            count => format!("{} and {} more", layer.packages[..3].join(" "), count - 3),
        };
        [
            layer.digest.clone(),
            human_size(layer.size),
            human_size(layer.unpacked),
            layer.entries.to_string(),
            plain(&packages),
        ]
    });
    let head = ["digest", "size", "unpacked", "entries", "packages"].map(str::to_owned);
    table(text, [false, true, true, true, false], std::iter::once(head).chain(rows).collect());
}

fn packages(text: &mut String, one: &ManifestSummary) {
    let _ = writeln!(text, "\n  {}", counted(one.packages.len() as u64, "package"));
    let rows = one.packages.iter().map(|package| [plain(&package.name), plain(&package.version)]);
    table(text, [false, false], rows.collect());
}

fn surface(text: &mut String, one: &ManifestSummary) {
    let surface = &one.surface;
    let _ = writeln!(
        text,
        "\n  {} in {}, {} ({} compressed), {}",
        counted(surface.files, "file"),
        if surface.directories == 1 {
            "1 directory".to_owned()
        } else {
            format!("{} directories", surface.directories)
        },
        human_size(surface.bytes),
        human_size(surface.compressed),
        counted(surface.elf, "ELF file"),
    );
    for (name, paths) in [
        ("setuid", &surface.setuid),
        ("writable", &surface.world_writable),
        ("shells", &surface.shells),
        ("capable", &surface.capabilities),
    ] {
        let mut shown: Vec<String> = paths.iter().take(SHOWN).map(|path| plain(path)).collect();
        match paths.len() {
            0 => shown.push("none".to_owned()),
            count if count > SHOWN => shown.push(format!("and {} more", count - SHOWN)),
            _ => {}
        }
        let _ = writeln!(text, "  {name:<11} {}", shown.join(" "));
    }
}

fn layer_contents(text: &mut String, one: &ManifestSummary) {
    let head = ["layer", "package", "version", "files", "unpacked", "pulled again with it"].map(str::to_owned);
    let rows = one.contents.iter().flatten().flat_map(|layer| {
        layer.packages.iter().map(|package| {
            [
                layer.layer.to_string(),
                plain(package.name.as_deref().unwrap_or("-")),
                plain(package.version.as_deref().unwrap_or_default()),
                package.files.to_string(),
                human_size(package.bytes),
                package.pulled.map(human_size).unwrap_or_default(),
            ]
        })
    });
    text.push('\n');
    table(text, [true, false, false, true, true, true], std::iter::once(head).chain(rows).collect());
}

fn tree(text: &mut String, one: &ManifestSummary, shown: usize) {
    for layer in one.contents.iter().flatten() {
        let bytes = layer.packages.iter().fold(0, |sum, package| package.bytes.saturating_add(sum));
        let _ =
            writeln!(text, "\n  layer {}, {} ({} compressed)", layer.layer, human_size(bytes), human_size(layer.size));
        for (at, package) in layer.packages.iter().enumerate() {
            let last = at + 1 == layer.packages.len();
            let (branch, trunk) = if last { ("└─", "  ") } else { ("├─", "│ ") };
            let _ = writeln!(
                text,
                "  {branch} {}, {} in {}",
                named(package),
                human_size(package.bytes),
                counted(package.files, "file")
            );
            let paths = package.paths.as_deref().unwrap_or_default();
            for path in paths.iter().take(shown) {
                let _ = writeln!(text, "  {trunk}  {:>9}  {}", human_size(path.size), plain(&path.path));
            }
            if let Some(rest) = paths.get(shown..).filter(|rest| !rest.is_empty()) {
                let bytes = rest.iter().fold(0, |sum, path| path.size.saturating_add(sum));
                let _ = writeln!(
                    text,
                    "  {trunk}  {:>9}  in {} more",
                    human_size(bytes),
                    counted(rest.len() as u64, "file")
                );
            }
        }
    }
}

/// Returns a package with its version, or what stands for no package.
fn named(package: &PackageContents) -> String {
    match (&package.name, &package.version) {
        (Some(name), Some(version)) => plain(&format!("{name} {version}")),
        (Some(name), None) => plain(name),
        (None, _) => "of no package".to_owned(),
    }
}

fn files(text: &mut String, one: &ManifestSummary) {
    let Some(files) = &one.files else { return };
    text.push('\n');
    let rows = files.iter().map(|file| {
        let link = match (&file.target, file.hard_link) {
            (Some(target), true) => format!(" = {target}"),
            (Some(target), false) => format!(" -> {target}"),
            (None, _) => String::new(),
        };
        [
            file.mode.clone(),
            format!("{}:{}", file.uid, file.gid),
            file.size.to_string(),
            plain(&format!("{}{link}", file.path)),
        ]
    });
    table(text, [false, false, true, false], rows.collect());
}

/// Writes rows in columns; those with `right` end together.
fn table<const N: usize>(text: &mut String, right: [bool; N], rows: Vec<[String; N]>) {
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in rows {
        let mut line = String::from(" ");
        for ((cell, width), right) in row.iter().zip(widths).zip(right) {
            let _ = if right { write!(line, " {cell:>width$}") } else { write!(line, " {cell:<width$}") };
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

/// Returns a word in quotes where it would fall apart without.
fn quoted(word: &str) -> String {
    let bare = !word.is_empty() && !word.contains(|c: char| c.is_whitespace() || "\"'\\".contains(c));
    if bare { plain(word) } else { format!("{word:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_aligned_and_have_no_blanks_at_the_end() {
        let mut text = String::new();
        let row = |a: &str, b: &str, c: &str| [a, b, c].map(str::to_owned);
        table(&mut text, [false, true, false], vec![row("digest", "size", "what"), row("a", "12.0 kB", "")]);
        assert_eq!(text, "  digest    size what\n  a      12.0 kB\n");
    }

    #[test]
    fn words_of_an_image_stay_words() {
        assert_eq!((quoted("/bin/x"), quoted("a b"), quoted("")), ("/bin/x".into(), "\"a b\"".into(), "\"\"".into()));
        assert_eq!(plain("a\u{1b}[2Jb"), "a\u{fffd}[2Jb");
    }
}
