//! A tree that has the right shape in, a [`Spec`] out: defaults, and what parts must hold together.
//!
//! Works on trees with mistakes too, so that mistakes of both kinds are told at once: what has no right shape has
//! been reported, and is passed over here.

use std::collections::{BTreeMap, BTreeSet};

use super::error::{Error, Report};
use super::form;
use super::node::{Key, Node, Value};
use super::shape::not_yet;
use super::{
    ArchiveSpec, Compression, Distro, DpkgDb, Feature, Keep, LayerSpec, LocalPackage, Never, PackageRequest, Platform,
    Run, SbomSpec, SliceName, Spanned, Spec, base, checks, files, users,
};
use crate::diag::Span;
use crate::digest::Digest;
use crate::tree::ImagePath;

/// PATH of every image that sets no other.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Names of the distro's own archives.
const DISTRO_ARCHIVES: &[&str] = &["debian", "debian-security"];
/// What stands for an archive where a package is a file of the spec's own.
const LOCAL_ARCHIVE: &str = super::LOCAL;

/// Returns the spec that `root` says, with `stem` for a name; mistakes go to `report`.
pub(super) fn lower(root: &Node, stem: &str, report: &mut Report) -> Spec {
    let mut canonical = String::new();
    root.canonical(&["name", "extends", "variants"], &mut canonical);
    let name = name(root, stem, report);
    let distro = root.get("distro").and_then(|node| {
        let value = node.text().and_then(Distro::from_word)?;
        Some(Spanned { value, span: node.span })
    });
    let archives = archives(root, distro.is_some(), report);
    let Requests { requests: packages, excluded, sliced } = packages(root, distro.is_some(), report);
    let debs = debs(root, report);
    let users = users::users(root, report);
    let groups = users::groups(root, &users, report);
    let run = run(root, report);
    let named = users.contains_key(&run.user.value) || users::BUILT_IN.iter().any(|(user, _)| *user == run.user.value);
    if packages.is_empty()
        && root.get("base").is_none()
        && debs.is_empty()
        && !named
        && !run.user.value.starts_with(|first: char| first.is_ascii_digit())
    {
        report
            .add_unless_known(Error::Value, run.user.span, format!("there is no user `{}`", run.user.value))
            .hint(format!("add `{}: {{uid: 10001}}` under `users`", run.user.value));
    }
    Spec {
        source: report.joined(),
        name,
        variant: None,
        variants: variants(root),
        distro,
        platforms: platforms(root, report),
        archives,
        packages,
        debs,
        excluded,
        keep: keep(root.get("keep")).unwrap_or_default(),
        features: features(root, report),
        slices: local(root.get("slices")),
        sliced,
        rules: local(root.get("rules")),
        also: also(root, report),
        never: never(root, report),
        files: files::files(root, report),
        users,
        groups,
        certificates: certificates(root, report),
        run,
        labels: texts_by_key(root.get("labels")),
        layers: layers(root, report),
        sbom: sbom(root),
        checks: checks::checks(root, report),
        base: base::base(root, report),
        digest: Digest::of(canonical.as_bytes()),
        explicit: canonical,
    }
}

fn name(root: &Node, stem: &str, report: &mut Report) -> String {
    if let Some(name) = root.get("name").and_then(Node::text) {
        return name.to_owned();
    }
    if root.get("name").is_none() && !(form::NAME.valid)(stem) {
        let at = root.span.start;
        report
            .add(Error::Value, Span { start: at, end: at }, format!("the file's name `{stem}` gives no image name"))
            .hint("add `name:` with lower-case letters, digits and single `.`, `_` or `-` between them");
    }
    stem.to_owned()
}

fn variants(root: &Node) -> Vec<String> {
    let entries = root.get("variants").map(Node::entries).unwrap_or_default();
    let there = entries.iter().filter(|(_, node)| node.value != Value::Null);
    let mut names: Vec<String> = there.map(|(key, _)| key.text.clone()).collect();
    names.sort();
    names
}

fn platforms(root: &Node, report: &mut Report) -> Vec<Spanned<Platform>> {
    let mut all: Vec<Spanned<Platform>> = Vec::new();
    for node in root.get("platforms").map(Node::items).unwrap_or_default() {
        let Some(value) = node.text().and_then(Platform::from_oci) else { continue };
        match all.iter().find(|platform| platform.value == value) {
            Some(first) => twice(report, node.span, first.span, &format!("platform `{}`", value.oci())),
            None => all.push(Spanned { value, span: node.span }),
        }
    }
    all
}

fn archives(root: &Node, distro: bool, report: &mut Report) -> BTreeMap<String, ArchiveSpec> {
    let mut all = BTreeMap::new();
    for (key, node) in root.get("archives").map(Node::entries).unwrap_or_default() {
        if distro && DISTRO_ARCHIVES.contains(&key.text.as_str()) {
            report
                .add(Error::Conflict, key.span, format!("archive `{}` is the distro's own", key.text))
                .hint("give it another name, or leave `distro` out");
            continue;
        }
        if key.text == LOCAL_ARCHIVE {
            report
                .add(Error::Conflict, key.span, format!("archive `{LOCAL_ARCHIVE}` is the spec's own directory"))
                .hint("give it another name");
            continue;
        }
        let text = |name: &str| node.get(name).and_then(Node::text);
        let (Some(uri), Some(suite), Some(signed_by)) = (text("uri"), text("suite"), local(node.get("signed-by")))
        else {
            continue;
        };
        let components = texts(node.get("components"));
        let flat = suite.ends_with('/');
        if flat != components.is_empty() {
            let at = node.get("components").or_else(|| node.get("suite")).map_or(node.span, |node| node.span);
            let (text, hint) = if flat {
                ("a flat archive has no components", "leave out `components`, or the slash at the end of `suite`")
            } else {
                (
                    "the key `components` is missing",
                    "add `components: [main]`; the `suite` of a flat archive ends in a slash",
                )
            };
            report.add_unless_known(Error::MissingKey, at, text.to_owned()).hint(hint);
        }
        let required = node.get("require-key").map(Node::items).unwrap_or_default();
        let archive = ArchiveSpec {
            uri: trim_slashes(uri),
            suite: suite.to_owned(),
            components,
            signed_by,
            min_signatures: number(node.get("min-signatures")).unwrap_or(1),
            require_key: required.iter().filter_map(Node::text).map(str::to_ascii_uppercase).collect(),
            auth: text("auth").is_some(),
            ca: local(node.get("ca")),
        };
        all.insert(key.text.clone(), archive);
    }
    all
}

/// What `packages` asks for.
struct Requests {
    requests: Vec<Spanned<PackageRequest>>,
    excluded: Vec<Spanned<String>>,
    sliced: Vec<Spanned<SliceName>>,
}

fn packages(root: &Node, distro: bool, report: &mut Report) -> Requests {
    let mut requests: Vec<Spanned<PackageRequest>> = Vec::new();
    let mut excluded: Vec<Spanned<String>> = Vec::new();
    let mut sliced: Vec<Spanned<SliceName>> = Vec::new();
    let mut seen: BTreeMap<String, (Span, bool)> = BTreeMap::new();
    let declared = root.get("archives").map(Node::entries).unwrap_or_default();
    let names: BTreeSet<&str> = declared.iter().map(|(key, _)| key.text.as_str()).collect();
    for node in root.get("packages").map(Node::items).unwrap_or_default() {
        let text_node = node.get("name").unwrap_or(node);
        let slice = text_node.text().and_then(SliceName::parse);
        if let Some(name) = &slice {
            if root.get("slices").is_none() {
                report
                    .add(Error::MissingKey, text_node.span, format!("`{name}` names a slice, and nothing defines it"))
                    .hint("add `slices:` with a directory of definitions");
            }
            if let Some(keep) = node.get("keep") {
                report.add(Error::Conflict, keep.span, "a slice says itself what of its package is kept");
            }
            if let Some(first) = sliced.iter().find(|known| known.value == *name) {
                twice(report, text_node.span, first.span, &format!("slice `{name}`"));
                continue;
            }
            let others = sliced.iter().any(|known| known.value.package == name.package);
            sliced.push(Spanned { value: name.clone(), span: text_node.span });
            if others {
                continue;
            }
        }
        let slice = slice.as_ref().map(|name| (false, name.package.as_str(), None));
        let Some((exclude, name, version)) = slice.or_else(|| text_node.text().and_then(form::parse_package)) else {
            continue;
        };
        if let Some((first, was_excluded)) = seen.insert(name.to_owned(), (text_node.span, exclude)) {
            if was_excluded == exclude {
                twice(report, text_node.span, first, &format!("package `{name}`"));
            } else {
                report
                    .add(Error::Conflict, text_node.span, format!("package `{name}` is both wanted and excluded"))
                    .also(first, "")
                    .hint("remove one of them");
            }
            continue;
        }
        if exclude {
            excluded.push(Spanned { value: name.to_owned(), span: node.span });
            continue;
        }
        let from = node.get("from").and_then(|from| {
            let text = from.text()?;
            let known = names.contains(text) || (distro && DISTRO_ARCHIVES.contains(&text));
            if !known {
                let near = super::error::nearest(text, names.iter().copied().take(100));
                let problem = report.add(Error::Value, from.span, format!("there is no archive `{text}`"));
                match near {
                    Some(near) => problem.hint(format!("did you mean `{near}`?")),
                    None => problem.hint(format!("add `{text}:` under `archives`")),
                };
            }
            Some(text.to_owned())
        });
        let version = version.map(|(relation, version)| (relation.to_owned(), version.to_owned()));
        let keep = keep(node.get("keep"));
        let value = PackageRequest { name: name.to_owned(), version, from, keep };
        requests.push(Spanned { value, span: node.span });
    }
    let listed = root.get("packages").map(Node::items).unwrap_or_default();
    if let Some(first) = listed.iter().find(|node| node.get("deb").is_none())
        && root.get("distro").is_none()
        && declared.is_empty()
    {
        report
            .add(Error::MissingKey, first.span, "packages are asked for, and no archive to take them from")
            .label("from where?")
            .hint("add `distro: debian/13`, or name an archive under `archives`");
    }
    Requests { requests, excluded, sliced }
}

fn debs(root: &Node, report: &mut Report) -> Vec<Spanned<LocalPackage>> {
    let mut all: Vec<Spanned<LocalPackage>> = Vec::new();
    for node in root.get("packages").map(Node::items).unwrap_or_default() {
        let Some(path) = local(node.get("deb")) else { continue };
        match all.iter().find(|known| known.value.path == path.value) {
            Some(first) => twice(report, path.span, first.span, &format!("package file `{}`", path.value)),
            None => {
                let keep = keep(node.get("keep"));
                all.push(Spanned { value: LocalPackage { path: path.value, keep }, span: path.span });
            }
        }
    }
    all
}

fn keep(node: Option<&Node>) -> Option<Keep> {
    Keep::from_word(node?.text()?)
}

fn also(root: &Node, report: &mut Report) -> Vec<Spanned<String>> {
    let nodes = root.get("also").map(Node::items).unwrap_or_default();
    nodes.iter().filter_map(|node| Some(Spanned { value: glob(node, report)?, span: node.span })).collect()
}

fn features(root: &Node, report: &mut Report) -> Vec<Spanned<Feature>> {
    let mut all: Vec<Spanned<Feature>> = Vec::new();
    for node in root.get("features").map(Node::items).unwrap_or_default() {
        let Some(text) = node.text().filter(|text| (form::FEATURE.valid)(text)) else { continue };
        let (name, value) = text.split_once(':').map_or((text, None), |(name, value)| (name, Some(value)));
        // `iconv:all` is `iconv`.
        let value = value.filter(|value| *value != "all").map(str::to_owned);
        let feature = Feature { name: name.to_owned(), value };
        match all.iter().find(|known| known.value == feature) {
            Some(first) => twice(report, node.span, first.span, &format!("feature `{text}`")),
            None => all.push(Spanned { value: feature, span: node.span }),
        }
    }
    all
}

fn never(root: &Node, report: &mut Report) -> Vec<Spanned<Never>> {
    let mut all = Vec::new();
    for node in root.get("never").map(Node::items).unwrap_or_default() {
        let Some(glob) = glob(node.get("path").unwrap_or(node), report) else { continue };
        let force = node.get("force").and_then(Node::bool).unwrap_or(false);
        all.push(Spanned { value: Never { glob, force }, span: node.span });
    }
    all
}

/// Returns a glob over paths in the image.
fn glob(node: &Node, report: &mut Report) -> Option<String> {
    let text = node.text()?;
    if let Err(error) = globset::Glob::new(text) {
        report.add_unless_known(Error::Value, node.span, format!("`{text}` is no glob: {}", error.kind()));
    }
    Some(text.to_owned())
}

fn sbom(root: &Node) -> SbomSpec {
    let get = |key: &str| root.get("sbom").and_then(|sbom| sbom.get(key));
    SbomSpec {
        formats: texts(get("formats")),
        author: get("author").and_then(Node::text).map(str::to_owned),
        dpkg_db: match get("dpkg-db").and_then(Node::text) {
            Some("status") => DpkgDb::Status,
            Some("none") => DpkgDb::None,
            _ => DpkgDb::StatusD,
        },
    }
}

fn certificates(root: &Node, report: &mut Report) -> Vec<Spanned<String>> {
    let mut all: Vec<Spanned<String>> = Vec::new();
    let mut seen: BTreeMap<String, Span> = BTreeMap::new();
    for node in root.get("certificates").map(Node::items).unwrap_or_default() {
        let Some(path) = local(Some(node)) else { continue };
        match seen.insert(path.value.clone(), path.span) {
            Some(first) => twice(report, node.span, first, &format!("certificate file `{}`", path.value)),
            None => all.push(path),
        }
    }
    all
}

fn run(root: &Node, report: &mut Report) -> Run {
    let empty = Node { span: Span::default(), value: Value::Null };
    let run = root.get("run").unwrap_or(&empty);
    let user = match run.get("user") {
        Some(node) => {
            let value = node.int().map(|uid| uid.to_string()).or_else(|| node.text().map(str::to_owned));
            let value = value.unwrap_or_else(|| "nonroot".to_owned());
            let fits = |part: &str| part.parse::<u64>().is_ok_and(|id| id <= super::table::MAX_ID as u64);
            if value.starts_with(|first: char| first.is_ascii_digit()) && !value.split(':').all(fits) {
                report.add_unless_known(Error::Value, node.span, format!("`{value}` is out of range"));
            }
            Spanned { value, span: node.span }
        }
        None => Spanned { value: "nonroot".to_owned(), span: Span::default() },
    };
    let mut env = texts_by_key(run.get("env"));
    env.entry("PATH".to_owned()).or_insert_with(|| PATH.to_owned());
    Run {
        user,
        entrypoint: texts(run.get("entrypoint")),
        cmd: texts(run.get("cmd")),
        env,
        workdir: image_path(run.get("workdir"), report).map_or_else(|| "/".to_owned(), |path| path.to_string()),
        ports: ports(run, report),
        volumes: run
            .get("volumes")
            .map(Node::items)
            .unwrap_or_default()
            .iter()
            .filter_map(|node| image_path(Some(node), report))
            .map(|path| path.to_string())
            .collect(),
        stop_signal: run.get("stop-signal").and_then(Node::text).map(str::to_owned),
    }
}

fn ports(run: &Node, report: &mut Report) -> Vec<String> {
    let mut all = Vec::new();
    let mut seen: BTreeMap<String, Span> = BTreeMap::new();
    for node in run.get("ports").map(Node::items).unwrap_or_default() {
        let Some(text) = node.int().map(|port| port.to_string()).or_else(|| node.text().map(str::to_owned)) else {
            continue;
        };
        let port = if text.contains('/') { text } else { format!("{text}/tcp") };
        match seen.insert(port.clone(), node.span) {
            Some(first) => twice(report, node.span, first, &format!("port `{port}`")),
            None => all.push(port),
        }
    }
    all
}

fn layers(root: &Node, report: &mut Report) -> LayerSpec {
    let layers = root.get("layers");
    let get = |key: &str| layers.and_then(|layers| layers.get(key));
    let level = get("level").and_then(|node| Some((node.int()?, node.span)));
    let compression = match get("compression").map(|node| (node.text(), node.span)) {
        Some((Some("gzip"), _)) => {
            if let Some((level, span)) = level
                && !(1..=9).contains(&level)
            {
                report
                    .add_unless_known(Error::Value, span, format!("`{level}` is no level of gzip"))
                    .label("expected 1 to 9");
            }
            Compression::Gzip(number(get("level")).unwrap_or(6))
        }
        word => {
            if let Some((Some("zstd-chunked"), span)) = word {
                not_yet(report, span, "compression: zstd-chunked");
            }
            Compression::Zstd(level.and_then(|(level, _)| i32::try_from(level).ok()).unwrap_or(3))
        }
    };
    LayerSpec { max: number(get("max")).unwrap_or(12), compression }
}

/// Reports `what` as given twice.
pub(super) fn twice(report: &mut Report, again: Span, first: Span, what: &str) {
    report
        .add(Error::Conflict, again, format!("{what} is given twice"))
        .label("again here")
        .also(first, "first here")
        .hint("remove one of them");
}

/// Returns the texts of a list.
pub(super) fn texts(node: Option<&Node>) -> Vec<String> {
    node.map(Node::items).unwrap_or_default().iter().filter_map(Node::text).map(str::to_owned).collect()
}

pub(super) fn texts_by_key(node: Option<&Node>) -> BTreeMap<String, String> {
    let entries: &[(Key, Node)] = node.map(Node::entries).unwrap_or_default();
    entries.iter().filter_map(|(key, node)| Some((key.text.clone(), node.text()?.to_owned()))).collect()
}

/// Returns a number that the shape keeps within 32 bits.
pub(super) fn number(node: Option<&Node>) -> Option<u32> {
    node.and_then(Node::int).and_then(|number| u32::try_from(number).ok())
}

/// Returns a path beneath the spec's directory without `./` and trailing slashes; `.` for the directory itself.
pub(super) fn local(node: Option<&Node>) -> Option<Spanned<String>> {
    let node = node?;
    let text = node.text().filter(|text| (form::LOCAL.valid)(text))?;
    let bare = text.strip_prefix("./").unwrap_or(text);
    let bare = bare.strip_suffix('/').unwrap_or(bare);
    let value = if bare.is_empty() { "." } else { bare };
    Some(Spanned { value: value.to_owned(), span: node.span })
}

/// Returns a path in the image; reports one that the form allows and an image does not (too long, too deep).
pub(super) fn image_path(node: Option<&Node>, report: &mut Report) -> Option<ImagePath> {
    let node = node?;
    let text = node.text()?;
    match ImagePath::parse(text) {
        Ok(path) => Some(path),
        Err(error) => {
            report.add_unless_known(Error::Value, node.span, error.to_string());
            None
        }
    }
}

fn trim_slashes(uri: &str) -> String {
    let trimmed = uri.trim_end_matches('/');
    if trimmed.ends_with(':') { uri.to_owned() } else { trimmed.to_owned() }
}
