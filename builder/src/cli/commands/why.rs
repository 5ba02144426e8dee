//! `tarsia why`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use tarsia::diag::Problems;
use tarsia::ops::{self, PackageReason, PathReason, WhyOptions, WhyOutcome};

use crate::cli::Answer;
use crate::cli::arguments::{PlatformFlag, VariantFlag, WorldFlags};
use crate::cli::session::Session;
use crate::cli::size::human_size;

/// Flags of `why`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Spec to explain, or an image with its evidence beside it or attached to it
    #[arg(value_name = "SPEC|IMAGE")]
    pub(crate) spec: PathBuf,

    /// Package, or path in the image
    #[arg(value_name = "PACKAGE|PATH", required_unless_present = "package")]
    pub(crate) subject: Option<String>,

    /// Tell how far this package is kept, and why
    #[arg(long, value_name = "PACKAGE", conflicts_with = "subject")]
    pub(crate) package: Option<String>,

    /// Print every chain of reasons, not the shortest alone
    #[arg(long)]
    pub(crate) all: bool,

    #[command(flatten)]
    pub(crate) variant: VariantFlag,

    #[command(flatten)]
    pub(crate) platform: PlatformFlag,

    #[command(flatten)]
    pub(crate) world: WorldFlags,
}

/// Prints the chain of reasons; the answer is no where what was asked for is not in.
pub(crate) fn run(session: &Session, arguments: &Arguments) -> Result<Answer, Problems> {
    let options = WhyOptions {
        platforms: arguments.platform.platforms.clone(),
        variant: arguments.variant.variant.clone(),
        all: arguments.all,
        package: arguments.package.is_some(),
    };
    let subject = arguments.package.as_ref().or(arguments.subject.as_ref()).map_or("", String::as_str);
    let tell = |found: &WhyOutcome| {
        session.warnings(&found.warnings);
        session.answer(found, &text(found))?;
        Ok(if found.is_in() { Answer::Yes } else { Answer::No })
    };
    if let Some(image) = ops::image_path(&arguments.spec) {
        let beside = image.path().unwrap_or(Path::new("."));
        return session
            .in_world(&arguments.world, beside, |world| tell(&ops::why_image(world, &image, subject, &options)?));
    }
    session.in_world(&arguments.world, &arguments.spec, |world| {
        tell(&ops::why(world, &arguments.spec, subject, &options)?)
    })
}

/// Returns the answers as a person reads them; platforms with the same answer share it.
fn text(found: &WhyOutcome) -> String {
    let mut told: Vec<(Vec<&str>, &ops::Answer)> = Vec::new();
    for (platform, answer) in &found.answers {
        match told.iter_mut().find(|(_, other)| *other == answer) {
            Some((platforms, _)) => platforms.push(platform),
            None => told.push((vec![platform], answer)),
        }
    }
    let several = told.len() > 1;
    let mut text = String::new();
    for (platforms, answer) in told {
        if several {
            let _ = writeln!(text, "{}:", platforms.join(", "));
        }
        match answer {
            ops::Answer::Package(package) => {
                let _ = writeln!(text, "{}", format!("{} {}", package.package, package.version).trim_end());
                lines(&mut text, &of_package(package));
            }
            ops::Answer::NoPackage { hints } => {
                let _ = writeln!(text, "{} is not in the lock", found.subject);
                hints.iter().for_each(|hint| lines(&mut text, &[("hint", hint.clone())]));
            }
            ops::Answer::Path(path) => {
                let _ = writeln!(text, "{}", path.path);
                lines(&mut text, &of_path(path));
            }
            ops::Answer::NoPath { path, dropped } if dropped.is_empty() => {
                let _ = writeln!(text, "{path} is not in the image: no package of the lock ships it");
            }
            ops::Answer::Unknown { path } => {
                let _ = writeln!(text, "{path} is not in the image, and which package ships it cannot be told");
            }
            ops::Answer::NoPath { path, dropped } => {
                let _ = writeln!(text, "{path} is not in the image");
                dropped.iter().for_each(|why| lines(&mut text, &[("dropped", why.clone())]));
            }
        }
    }
    text
}

fn of_package(package: &PackageReason) -> Vec<(&'static str, String)> {
    let mut pairs = vec![("why", package.why.clone())];
    pairs.extend(package.rule.iter().map(|rule| ("rule", rule.clone())));
    let told = [("source", &package.source), ("archive", &package.archive), ("layer", &package.layer)];
    pairs.extend(told.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name, value.clone())));
    if let Some(kept) = &package.kept {
        let size = if kept.size > 0 { format!(", {}", human_size(kept.size)) } else { String::new() };
        let files = if kept.files == 1 { "file" } else { "files" };
        pairs.push(("kept", format!("{} {files}{size}", kept.files)));
        pairs.extend(kept.reasons.iter().map(|reason| ("reason", reason.clone())));
        pairs.extend(chain(&kept.chain));
    }
    if package.script_only {
        pairs.push(("note", "only maintainer scripts use it: none of its files are kept".to_owned()));
    }
    pairs
}

fn of_path(path: &PathReason) -> Vec<(&'static str, String)> {
    let mut pairs: Vec<_> = path.links.iter().map(|link| ("through", link.clone())).collect();
    pairs.extend(path.target.iter().map(|target| ("link to", target.clone())));
    let version = path.version.as_ref().map_or_else(String::new, |version| format!(" {version}"));
    pairs.push(("from", format!("{}{version}", path.origin)));
    if let Some(package) = &path.package {
        pairs.push(("why", package.why.clone()));
        pairs.extend(package.rule.iter().map(|rule| ("rule", rule.clone())));
    }
    pairs.push(("kept by", path.reason.clone()));
    for steps in &path.chains {
        pairs.extend(chain(steps));
    }
    if let Some(digest) = &path.digest {
        pairs.push(("size", human_size(path.size)));
        pairs.push(("digest", digest.clone()));
    }
    pairs.extend(path.layer.iter().map(|layer| ("layer", layer.clone())));
    if !path.replaced.is_empty() {
        pairs.push(("instead of", format!("the same path in {}", path.replaced.join(", "))));
    }
    pairs
}

/// Returns a chain as lines; one of a single step says no more than the reason does.
fn chain(steps: &[ops::Step]) -> Vec<(&'static str, String)> {
    let word = |number: usize| if number == 0 { "chain" } else { "" };
    let lines =
        steps.iter().enumerate().map(|(number, step)| (word(number), format!("{}: {}", step.what, step.because)));
    if steps.len() > 1 { lines.collect() } else { Vec::new() }
}

fn lines(text: &mut String, pairs: &[(&str, String)]) {
    for (name, value) in pairs {
        let _ = writeln!(text, "  {name:<10} {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(answer: ops::Answer) -> WhyOutcome {
        WhyOutcome {
            subject: "libgreet1".to_owned(),
            answers: [("linux/amd64".to_owned(), answer)].into(),
            warnings: Vec::new(),
        }
    }

    #[test]
    fn a_package_is_told_with_its_chain() {
        let found = outcome(ops::Answer::Package(Box::new(PackageReason {
            package: "libgreet1".to_owned(),
            version: "1.0".to_owned(),
            why: "hello > libgreet1".to_owned(),
            rule: None,
            source: "greet".to_owned(),
            archive: "debian".to_owned(),
            layer: "base".to_owned(),
            script_only: false,
            kept: None,
        })));
        assert!(found.is_in());
        insta::assert_snapshot!(text(&found), @r"
        libgreet1 1.0
          why        hello > libgreet1
          source     greet
          archive    debian
          layer      base
        ");
    }

    #[test]
    fn what_is_not_there_is_a_no() {
        let found = outcome(ops::Answer::NoPath { path: "/x".to_owned(), dropped: Vec::new() });
        assert!(!found.is_in());
        insta::assert_snapshot!(text(&found), @"/x is not in the image: no package of the lock ships it");
    }
}
