//! The group `real`: what tarsia would install, held against what apt would.
//!
//! Packages are drawn from the whole archive by a seed, for each release and architecture, alone and in groups. Both
//! read the same lists: apt fetches them into a private state with an empty package database, and tarsia verifies and
//! reads what apt fetched. The implicit packages, which apt knows nothing of, are left out with all that only they
//! lead to.
//!
//! `.ci/run` draws fewer than `.ci/full`, which sets `TARSIA_FULL`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tarsia::archive::{Index, Keyring, Policy, archives_of};
use tarsia::diag::{Diagnose as _, Source};
use tarsia::digest::Digest;
use tarsia::fetch::apt_sources;
use tarsia::lock::{PackagesFile, Why};
use tarsia::resolve::{Catalogue, ResolveOptions, resolve_from};
use tarsia::spec::{Distro, Platform, Spec};

use crate::program::Place;
use crate::signing;
use crate::world::{DATE, rfc2822};

/// The draw is the same in every run, as long as the archive is.
const SEED: u64 = 20_260_101;

/// A release with what `Distro` calls it.
const RELEASES: [Distro; 2] = [Distro::Debian12, Distro::Debian13];
const PLATFORMS: [Platform; 2] = [Platform::Amd64, Platform::Arm64];

/// What is asked for: package names, `name-` for what may not be installed, `name=version`.
type Asked = Vec<String>;

/// apt's private state, and the archives in it as tarsia verified them.
struct World {
    /// What it is called.
    name: String,
    /// The beginning of a spec, up to its packages.
    head: String,
    platform: Platform,
    place: Place,
    indexes: Vec<Index>,
}

impl World {
    /// Returns a release as the machine's own mirror has it.
    fn of(distro: Distro, platform: Platform) -> Self {
        let mirrors = machine_mirrors();
        let mut sources = String::new();
        for archive in archives_of(distro) {
            let mirror = &mirrors.get(archive.name).unwrap_or_else(|| panic!("no apt source for {}", archive.name))[0];
            for suite in archive.suites {
                let (key, components) = (key(archive.name, suite), archive.components.join(" "));
                writeln!(sources, "deb [signed-by={key}] {mirror} {suite} {components}").unwrap();
            }
        }
        let head = format!("distro: {}\n", distro.as_str());
        let name = format!("{} {}", distro.as_str(), platform.architecture());
        let mut world = Self { name, head, platform, place: Place::new(), indexes: Vec::new() };
        world.update(&sources);
        let keyring = Keyring::distro(distro);
        let list = format!("main/binary-{}/Packages", platform.architecture());
        let suites = archives_of(distro)
            .iter()
            .flat_map(|archive| archive.suites.iter().map(move |suite| (archive.name, *suite)));
        world.indexes = suites
            .map(|(archive, suite)| {
                let directory = format!("_dists_{suite}_");
                world.read(&keyring, archive, suite, (&format!("{directory}InRelease"), &directory, &list))
            })
            .collect();
        world
    }

    /// Returns an archive of stanzas that are written by hand.
    fn written(stanzas: &str) -> Self {
        let place = Place::new();
        let (secret, public) = signing::generate_key(7);
        let key = place.write("key.asc", &public);
        place.write("archive/Packages", stanzas);
        let digest = Digest::of(stanzas.as_bytes()).hex();
        let release = format!("Date: {}\nSHA256:\n {digest} {} Packages\n", rfc2822(DATE), stanzas.len());
        place.write("archive/InRelease", signing::clearsign(&secret, &release, DATE));
        let uri = format!("file:{}", place.path("archive").display());
        let sources = format!("deb [signed-by={}] {uri} ./\n", key.display());
        let head = format!("archives:\n  hand: {{uri: \"{uri}\", suite: ./, signed-by: key.asc}}\n");
        let mut world =
            Self { name: "by hand".to_owned(), head, platform: Platform::Amd64, place, indexes: Vec::new() };
        world.update(&sources);
        let keyring = Keyring::from_certificates("key.asc", public.as_bytes()).unwrap();
        let index = world.read(&keyring, "hand", "./", ("_InRelease", "_", "Packages"));
        world.indexes = vec![index];
        world
    }

    /// Sets up the state with these sources, and has apt fetch its lists.
    fn update(&self, sources: &str) {
        let Self { place, platform, .. } = self;
        place.write("etc/sources.list", sources);
        for directory in ["apt.conf.d", "preferences.d", "sources.list.d"] {
            std::fs::create_dir_all(place.path("etc").join(directory)).unwrap();
        }
        for directory in ["lists/partial", "cache/archives/partial"] {
            std::fs::create_dir_all(place.path(directory)).unwrap();
        }
        place.write("status", "");
        let (root, architecture) = (place.path(".").display().to_string(), platform.architecture());
        place.write(
            "apt.conf",
            format!(
                "Dir::State \"{root}\";\nDir::State::lists \"{root}/lists\";\nDir::State::status \"{root}/status\";\n\
                 Dir::Cache \"{root}/cache\";\nDir::Etc \"{root}/etc\";\nDir::Log \"{root}/log\";\n\
                 APT::Architecture \"{architecture}\";\n#clear APT::Architectures;\n\
                 APT::Architectures {{ \"{architecture}\"; }};\nAPT::Sandbox::User \"root\";\n\
                 Acquire::Languages \"none\";\nAcquire::GzipIndexes \"false\";\n\
                 #clear DPkg::Post-Invoke;\n#clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n"
            ),
        );
        let updated = self.apt(&["update", "-qq"]);
        assert!(updated.0, "apt-get update: {}", updated.2);
        // The first run writes the cache that the others share.
        self.apt(&["-s", "install", "base-files"]);
    }

    /// Runs apt-get: whether it agreed, what it printed, what it complained of.
    fn apt(&self, arguments: &[&str]) -> (bool, String, String) {
        let ran = Command::new("apt-get")
            .args(arguments)
            .env("APT_CONFIG", self.place.path("apt.conf"))
            .env("LC_ALL", "C")
            .output()
            .unwrap_or_else(|error| panic!("apt-get: {error}"));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (ran.status.success(), text(&ran.stdout), text(&ran.stderr))
    }

    /// Verifies and reads a list that apt fetched, by the ends of the names that it gave to the files.
    fn read(&self, keyring: &Keyring, archive: &str, suite: &str, files: (&str, &str, &str)) -> Index {
        let (in_release, directory, list) = files;
        let lists = self.place.path("lists");
        let names = crate::program::names(&lists);
        let named = |end: &str| {
            let name = names.iter().find(|name| name.ends_with(end)).unwrap_or_else(|| panic!("no {end} in {names:?}"));
            std::fs::read(lists.join(name)).unwrap()
        };
        let policy = Policy { fresh: false, ..Policy::at(jiff::Timestamp::now().as_second()) };
        let release = keyring.verify(archive, suite, &named(in_release), &policy).unwrap();
        let bytes = named(&format!("{directory}{}", list.replace('/', "_")));
        let file = PackagesFile { digest: Digest::of(&bytes), size: bytes.len() as u64, path: list.to_owned() };
        release.index(vec![(file, Box::new(std::io::Cursor::new(bytes)))]).unwrap()
    }
}

/// What one of both says: packages by name and version, or a refusal.
type Answer = Result<BTreeMap<String, String>, String>;

/// Asks apt.
///
/// `--print-uris` resolves as `-s` does and leaves out only the ordering of what was resolved, which takes most of its
/// time; `apt_simulates_what_it_would_fetch` holds both together.
fn apt_says(world: &World, asked: &[String]) -> Answer {
    let mut arguments = vec!["install", "-qq", "--print-uris", "--no-install-recommends"];
    arguments.extend(asked.iter().map(String::as_str));
    let (agreed, out, err) = world.apt(&arguments);
    if !agreed {
        return Err(format!("{out}{err}"));
    }
    let fetched = out.lines().filter(|line| line.starts_with('\'')).map(|line| {
        let file = line.split(' ').nth(1).unwrap_or_else(|| panic!("{line}"));
        let (name, rest) = file.split_once('_').unwrap_or_else(|| panic!("{line}"));
        let (version, _) = rest.rsplit_once('_').unwrap_or_else(|| panic!("{line}"));
        (name.to_owned(), version.replace("%3a", ":"))
    });
    Ok(fetched.collect())
}

/// What tarsia says, with what only the implicit packages lead to and the names of those apart.
struct Said {
    answer: Answer,
    beside: BTreeMap<String, String>,
    implicit: BTreeSet<String>,
}

/// Asks tarsia.
fn tarsia_says(world: &World, catalogue: &Catalogue<'_>, asked: &[String]) -> Said {
    let (head, platform) = (&world.head, world.platform.oci());
    let mut text = format!("version: 1\nname: draw\n{head}platforms: [{platform}]\npackages:\n");
    for word in asked {
        match (word.strip_suffix('-'), word.split_once('=')) {
            (Some(excluded), _) => writeln!(text, "  - \"!{excluded}\"").unwrap(),
            (None, Some((name, version))) => writeln!(text, "  - \"{name} = {version}\"").unwrap(),
            (None, None) => writeln!(text, "  - {word}").unwrap(),
        }
    }
    let spec =
        Spec::parse(&Source::new("draw.yaml", text), "draw").unwrap_or_else(|problems| panic!("{asked:?}: {problems}"));
    let lock = match resolve_from(&spec, catalogue, &ResolveOptions::default()) {
        Ok(lock) => lock,
        Err(error) => {
            let answer = Err(format!("{error}\n{}", error.hints().join("\n")));
            return Said { answer, beside: BTreeMap::new(), implicit: BTreeSet::new() };
        }
    };
    let is_implicit = |name: &str| lock.packages.iter().any(|p| p.name == name && matches!(p.why, Why::Implicit(_)));
    let (mut answer, mut beside) = (BTreeMap::new(), BTreeMap::new());
    for package in lock.packages.iter().filter(|package| !matches!(package.why, Why::Implicit(_))) {
        let to = match &package.why {
            Why::Dependency(chain) if is_implicit(&chain[0]) => &mut beside,
            _ => &mut answer,
        };
        to.insert(package.name.clone(), package.version.clone());
    }
    let implicit = lock.packages.iter().map(|package| package.name.clone()).filter(|name| is_implicit(name)).collect();
    Said { answer: Ok(answer), beside, implicit }
}

/// Returns the base addresses that this machine's apt is set up for, by archive.
fn machine_mirrors() -> BTreeMap<String, Vec<String>> {
    let apt = PathBuf::from("/etc/apt");
    let parts = apt.join("sources.list.d");
    let mut sources = apt_sources::parse_list(&std::fs::read_to_string(apt.join("sources.list")).unwrap_or_default());
    let names = if parts.is_dir() { crate::program::names(&parts) } else { Vec::new() };
    for name in names {
        let text = std::fs::read_to_string(parts.join(&name)).unwrap_or_default();
        match name.rsplit_once('.') {
            Some((_, "sources")) => sources.extend(apt_sources::parse_deb822(&text)),
            Some((_, "list")) => sources.extend(apt_sources::parse_list(&text)),
            _ => {}
        }
    }
    apt_sources::mirrors(&sources)
}

/// Returns the file with a key that signs a suite; tarsia looks at what is signed for itself.
fn key(archive: &str, suite: &str) -> String {
    let release = suite.split('-').next().unwrap();
    let part = if archive == "debian-security" { "security-automatic" } else { "automatic" };
    format!("{}/src/archive/keys/debian-{release}-{part}.gpg", env!("CARGO_MANIFEST_DIR"))
}

/// SplitMix64: the same numbers in every run.
struct Draw(u64);

impl Draw {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % below as u64) as usize
    }
}

/// Returns what is asked for: `singles` packages alone, `groups` of two or three together, as many with an exclusion.
fn draw(
    names: &[&str],
    singles: usize,
    groups: usize,
    exclusions: &mut dyn FnMut(&str, usize) -> Option<String>,
) -> Vec<Asked> {
    let mut draw = Draw(SEED);
    let mut drawn: BTreeSet<usize> = BTreeSet::new();
    while drawn.len() < singles.min(names.len()) {
        drawn.insert(draw.next(names.len()));
    }
    let mut all: Vec<Asked> = drawn.into_iter().map(|at| vec![names[at].to_owned()]).collect();
    for _ in 0..groups {
        let size = 2 + draw.next(2);
        let mut group: Vec<String> = (0..size).map(|_| names[draw.next(names.len())].to_owned()).collect();
        group.dedup();
        all.push(group);
    }
    for _ in 0..groups {
        let name = names[draw.next(names.len())];
        if let Some(excluded) = exclusions(name, draw.next(1 << 16)) {
            all.push(vec![name.to_owned(), format!("{excluded}-")]);
        }
    }
    all
}

/// A reason why an answer may differ from apt's.
struct Reason {
    name: &'static str,
    /// Of what was asked, apt's answer, tarsia's, and the names of Essential packages.
    holds: fn(&[String], &Answer, &Answer, &BTreeSet<&str>) -> bool,
}

/// Every reason there is; what none of these explains fails the test.
const REASONS: &[Reason] = &[
    Reason {
        name: "tarsia searches on where apt gives up",
        holds: |_, apt, tarsia, _| {
            let gave_up = |said: &String| {
                ["unmet dependencies", "broken packages", "generated breaks"].iter().any(|words| said.contains(words))
            };
            apt.as_ref().is_err_and(gave_up) && tarsia.is_ok()
        },
    },
    Reason {
        name: "apt keeps Essential packages that an alternative brought which it then gave up",
        holds: |_, apt, tarsia, essential| match (apt, tarsia) {
            (Ok(apt), Ok(tarsia)) => {
                tarsia.iter().all(|(name, version)| apt.get(name) == Some(version))
                    && apt
                        .keys()
                        .filter(|name| !tarsia.contains_key(*name))
                        .all(|name| essential.contains(name.as_str()))
            }
            _ => false,
        },
    },
    Reason {
        name: "of several requests apt follows another one first, and meets a dependency by what that brings",
        holds: |asked, apt, tarsia, _| match (apt, tarsia) {
            (Ok(apt), Ok(tarsia)) => {
                let differ = |a: &BTreeMap<String, String>, b: &BTreeMap<String, String>| {
                    a.iter().filter(|(name, version)| b.get(*name) != Some(version)).count()
                };
                asked.len() > 1 && differ(apt, tarsia) + differ(tarsia, apt) <= 3
            }
            _ => false,
        },
    },
];

struct Outcome {
    tried: usize,
    equal: usize,
    refused: usize,
    explained: BTreeMap<&'static str, Vec<String>>,
    unexplained: Vec<String>,
}

/// Asks both for everything, on two threads or more.
fn compare(world: &World, catalogue: &Catalogue<'_>, all: &[Asked]) -> Outcome {
    let all_of = world.indexes.iter().flat_map(|index| &index.candidates);
    let essential: BTreeSet<&str> =
        all_of.filter(|candidate| candidate.essential).map(|candidate| candidate.name.as_str()).collect();
    let next = AtomicUsize::new(0);
    let outcome =
        Mutex::new(Outcome { tried: 0, equal: 0, refused: 0, explained: BTreeMap::new(), unexplained: Vec::new() });
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(asked) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut apt = apt_says(world, asked);
                    let Said { answer: mut tarsia, mut beside, implicit } = tarsia_says(world, catalogue, asked);
                    // Implicit packages can be dependencies as well, and lead to what others need too: they are left
                    // out on both sides, and what they lead to counts where apt has it.
                    if let (Ok(apt), Ok(tarsia)) = (&mut apt, &mut tarsia) {
                        apt.retain(|name, _| !implicit.contains(name));
                        beside.retain(|name, _| apt.contains_key(name));
                        tarsia.append(&mut beside);
                    }
                    let mut outcome = outcome.lock().unwrap();
                    outcome.tried += 1;
                    let told = || format!("{}: {}: {}", world.name, asked.join(" "), difference(&apt, &tarsia));
                    match (&apt, &tarsia) {
                        (Ok(apt), Ok(tarsia)) if apt == tarsia => outcome.equal += 1,
                        (Err(_), Err(said)) => {
                            assert!(
                                asked
                                    .iter()
                                    .any(|word| said.contains(&format!("`{}", word.split(['=', '-']).next().unwrap()))),
                                "{said}"
                            );
                            outcome.equal += 1;
                            outcome.refused += 1;
                        }
                        _ => match REASONS.iter().find(|reason| (reason.holds)(asked, &apt, &tarsia, &essential)) {
                            Some(reason) => outcome.explained.entry(reason.name).or_default().push(told()),
                            None => outcome.unexplained.push(told()),
                        },
                    }
                }
            });
        }
    });
    let mut outcome = outcome.into_inner().unwrap();
    outcome.unexplained.sort();
    outcome
}

/// Tells two answers apart, in words.
fn difference(apt: &Answer, tarsia: &Answer) -> String {
    match (apt, tarsia) {
        (Ok(apt), Ok(tarsia)) => {
            let only = |a: &BTreeMap<String, String>, b: &BTreeMap<String, String>| {
                let only = a.iter().filter(|(name, version)| b.get(*name) != Some(version));
                only.map(|(name, version)| format!("{name} {version}")).collect::<Vec<_>>().join(", ")
            };
            format!("apt alone has [{}], tarsia alone has [{}]", only(apt, tarsia), only(tarsia, apt))
        }
        (Err(said), Ok(_)) => format!("apt refuses: {}", said.trim()),
        (Ok(_), Err(said)) => format!("tarsia refuses: {}", said.trim()),
        (Err(_), Err(_)) => "both refuse".to_owned(),
    }
}

/// Returns how many packages are drawn alone, and how many groups.
fn counts() -> (usize, usize) {
    #[expect(clippy::disallowed_methods, reason = "the two scripts of `.ci` say how much there is time for")]
    let full = std::env::var_os("TARSIA_FULL").is_some();
    if full { (400, 60) } else { (100, 15) }
}

#[test]
fn what_is_installed_is_what_apt_would_install() {
    let (singles, groups) = counts();
    let mut total = Outcome { tried: 0, equal: 0, refused: 0, explained: BTreeMap::new(), unexplained: Vec::new() };
    for distro in RELEASES {
        for platform in PLATFORMS {
            let world = World::of(distro, platform);
            let catalogue = Catalogue::new(&world.indexes, platform);
            let mut excluded = |name: &str, n: usize| {
                let said = tarsia_says(&world, &catalogue, &[name.to_owned()]).answer.ok()?;
                let others: Vec<&String> = said.keys().filter(|other| *other != name).collect();
                (!others.is_empty()).then(|| others[n % others.len()].clone())
            };
            let all = draw(catalogue.names(), singles, groups, &mut excluded);
            let outcome = compare(&world, &catalogue, &all);
            println!(
                "{}: {} tried, {} equal, of these {} refused by both, {} explained, {} not",
                world.name,
                outcome.tried,
                outcome.equal,
                outcome.refused,
                outcome.explained.values().map(Vec::len).sum::<usize>(),
                outcome.unexplained.len()
            );
            for told in &outcome.unexplained {
                println!("  not explained: {told}");
            }
            total.tried += outcome.tried;
            total.equal += outcome.equal;
            total.refused += outcome.refused;
            for (reason, told) in outcome.explained {
                total.explained.entry(reason).or_default().extend(told);
            }
            total.unexplained.extend(outcome.unexplained);
        }
    }
    println!("{} tried, {} equal, of these {} refused by both", total.tried, total.equal, total.refused);
    for (reason, told) in &total.explained {
        println!("{reason}: {}\n  {}", told.len(), told.join("\n  "));
    }
    assert!(total.unexplained.is_empty(), "not explained:\n{}", total.unexplained.join("\n"));
    assert!(total.equal * 100 >= total.tried * 99, "{} of {} are equal", total.equal, total.tried);
}

#[test]
fn apt_simulates_what_it_would_fetch() {
    let world = World::of(Distro::Debian12, Platform::Amd64);
    for name in ["python3", "nginx-light", "default-jre-headless", "postgresql", "git"] {
        let (agreed, out, err) = world.apt(&["install", "-s", "--no-install-recommends", name]);
        assert!(agreed, "{err}");
        let simulated: BTreeSet<&str> =
            out.lines().filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next()).collect();
        let fetched = apt_says(&world, &[name.to_owned()]).unwrap();
        assert_eq!(simulated, fetched.keys().map(String::as_str).collect(), "{name}");
    }
}

/// Stanzas, one a line: name, version, and fields between semicolons.
const STANZAS: &str = "
    versioned 1; Depends: vlib (>= 2)
    vprovider 1; Provides: vlib (= 3)
    unversioned 1; Depends: ulib (>= 2)
    uprovider 1; Provides: ulib
    exact 1; Depends: elib (= 2)
    elib 2
    elib 3
    eprovider 1; Provides: elib (= 2)
    choice 1; Depends: first | second
    first 1; Depends: missing
    second 1
    deep 1; Depends: deep1 | second
    deep1 1; Depends: deep2, leftover
    deep2 1; Depends: deep3
    deep3 1; Depends: missing (>= 1) | elib (>= 9)
    leftover 1
    later 1; Depends: third | fourth, fourth
    third 1
    fourth 1
    breaker 1; Depends: broken; Breaks: broken (<< 2)
    broken 1
    chooser 1; Depends: broken | second; Breaks: broken (<< 2)
    mta1 1; Provides: mta; Conflicts: mta
    mta2 1; Provides: mta; Conflicts: mta
    mailer 1; Depends: mta1 | mta
    anyone 1; Depends: script:any
    script 1; Multi-Arch: allowed
    anybody 1; Depends: plain:any
    plain 1
    foreigner 1; Depends: foreign
    foreign 1; Multi-Arch: foreign
    native 1; Depends: plain:native
    named 1; Depends: plain:amd64
    other 1; Depends: plain:arm64
    pinned 1; Depends: plib (= 1)
    pinned 2; Depends: plib (= 2)
    plib 1
    plib 2
    ranked 1; Depends: rank
    ranka 1; Provides: rank
    rankb 1; Provides: rank; Priority: important
    rankc 1; Provides: rank; Priority: required
    essence 1; Depends: essential-thing
    essa 1; Provides: essential-thing; Priority: required
    essb 1; Provides: essential-thing; Essential: yes
    tied 1; Depends: tie
    tiea 1; Provides: tie
    tieb 1; Provides: tie
    tiec 1; Provides: tie
    drawn 1; Depends: draw; Suggests: drawc; Recommends: drawb
    drawa 1; Provides: draw
    drawb 1; Provides: draw
    drawc 1; Provides: draw
    before 1; Pre-Depends: plain; Depends: second
    circle 1; Depends: circle2
    circle2 1; Depends: circle
    self 1; Provides: selfish; Conflicts: selfish; Depends: selfish
    left 1; Conflicts: right
    right 1
    both 1; Depends: left, right
    back 1; Depends: aside | second, right
    aside 1; Conflicts: right
    single 1; Depends: only
    onlyone 1; Provides: only
    conflicted 1; Depends: plain; Conflicts: plain (>= 1)
    newer 1; Depends: fresh (>= 5)
    fresh 4
    wide 1; Depends: plain (>> 1) | plain (<< 1) | plain (>= 1)
";

/// What is asked for, one a line.
const ASKED: &str = "
    versioned; unversioned; exact; exact elib; elib=2 exact; choice; choice second; deep; deep second-; later; third later
    breaker; broken breaker; chooser; broken chooser; mta1; mta1 mta2; mailer; mailer mta1-; mailer mta2; mta
    anyone; anybody; foreigner; native; named; other; pinned; pinned=1; pinned=1 plib=1; plib=1 pinned
    ranked; ranked rankc-; ranked rankc- rankb-; rank; essence; tied; tied tiec-; drawn; drawn drawa-; before; circle; circle circle2-
    self; selfish; left right; both; back; back right; single; only; conflicted; newer; missing; wide; choice second-
    deep choice; tied drawn; drawn tied; drawa drawn; right aside; aside; leftover deep; pinned plib=2; pinned=3
";

#[test]
fn cases_written_by_hand_end_as_apts_do() {
    let mut stanzas = String::new();
    for line in STANZAS.trim().lines() {
        let mut parts = line.trim().split("; ");
        let (name, version) = parts.next().unwrap().split_once(' ').unwrap();
        let digest = Digest::of(line.as_bytes()).hex();
        writeln!(stanzas, "Package: {name}\nVersion: {version}\nArchitecture: amd64").unwrap();
        if !line.contains("Priority: ") {
            writeln!(stanzas, "Priority: optional").unwrap();
        }
        parts.for_each(|field| writeln!(stanzas, "{field}").unwrap());
        writeln!(stanzas, "Filename: ./{name}_{version}_amd64.deb\nSize: 10\nSHA256: {digest}\n").unwrap();
    }
    let world = World::written(&stanzas);
    let catalogue = Catalogue::new(&world.indexes, world.platform);
    let all: Vec<Asked> = ASKED
        .split([';', '\n'])
        .map(|words| words.split_whitespace().map(str::to_owned).collect())
        .filter(|asked: &Asked| !asked.is_empty())
        .collect();
    let outcome = compare(&world, &catalogue, &all);
    println!("by hand: {} tried, {} equal, of these {} refused by both", outcome.tried, outcome.equal, outcome.refused);
    assert!(outcome.refused > 15 && outcome.tried > 60);
    assert!(outcome.unexplained.is_empty(), "{:#?}", outcome.unexplained);
    // apt takes the first alternative, meets what that excludes, and does not come back.
    let explained: Vec<&String> = outcome.explained.values().flatten().collect();
    assert!(explained.len() == 1 && explained[0].starts_with("by hand: back: apt refuses"), "{explained:#?}");
}
