//! The flags of the program. One meaning, one flag, wherever it stands.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use tarsia::fetch::MirrorFlag;
use tarsia::spec::Platform;

use super::commands::{
    add, attach, attest, audit, build, buildkit, cache, check, completions, diff, fetch, init, inspect, keygen, learn,
    llb, lock, man, outdated, push, release, remove, sbom, schema, sign, test, vendor, verify, why, worker,
};
use super::size::parse_size;

/// Build byte-reproducible distroless images from signed packages
#[derive(Debug, Parser)]
#[command(name = "tarsia", version, max_term_width = 100)]
#[command(disable_help_subcommand = true, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) globals: Globals,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One variant per command, in the order in which help lists them.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a starter spec
    Init(init::Arguments),
    /// Add packages to a spec and its lock
    Add(add::Arguments),
    /// Remove packages from a spec and its lock
    Remove(remove::Arguments),
    /// Check a spec and its lock without building
    Check(check::Arguments),
    /// Pin every input of a spec
    Lock(lock::Arguments),
    /// Show what an update would move
    Outdated(outdated::Arguments),
    /// Download locked inputs into the store
    Fetch(fetch::Arguments),
    /// Write all inputs of a lock into a directory
    Vendor(vendor::Arguments),
    /// Build images from specs
    Build(build::Arguments),
    /// Print the graph of BuildKit operations that builds a spec
    Llb(llb::Arguments),
    /// Run a spec's checks in its built image
    Test(test::Arguments),
    /// Propose files that a run of the image asked for
    Learn(learn::Arguments),
    /// Explain why a file is, or is not, in an image
    Why(why::Arguments),
    /// Show layers, packages, files and surface of an image
    Inspect(inspect::Arguments),
    /// Explain how two images or locks differ
    Diff(diff::Arguments),
    /// Print an image's SBOM
    Sbom(sbom::Arguments),
    /// Check an image against a policy
    Audit(audit::Arguments),
    /// Create a signing key pair
    Keygen(keygen::Arguments),
    /// Sign an image
    Sign(sign::Arguments),
    /// Sign a statement about an image
    Attest(attest::Arguments),
    /// Publish an image with its evidence
    Push(push::Arguments),
    /// Add documents to a published image
    Attach(attach::Arguments),
    /// Push, sign, attest and write release assets in one go
    Release(release::Arguments),
    /// Check an image's signatures, and rebuild it to compare
    Verify(verify::Arguments),
    /// Answer BuildKit as a frontend or an SBOM scanner
    #[command(hide = true)]
    Buildkit(buildkit::Arguments),
    /// Run one operation of a build graph
    Worker(worker::Arguments),
    /// Manage the store
    Cache(cache::Arguments),
    /// Print the JSON Schema of specs
    Schema(schema::Arguments),
    /// Print completions for a shell
    Completions(completions::Arguments),
    /// Print the manual page
    Man(man::Arguments),
}

/// How the program speaks; every command takes these.
#[derive(Debug, Clone, Copy, Default, Args)]
#[command(next_help_heading = "Output options")]
pub(crate) struct Globals {
    /// Print the answer, and any error, as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Print errors only, and no progress
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    /// Say more
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
}

/// Where the store is.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Store options")]
pub(crate) struct StoreFlag {
    /// Store directory [default: tarsia in the user's cache]
    #[arg(long, value_name = "DIR", env = "TARSIA_STORE", hide_env_values = true)]
    pub(crate) store: Option<PathBuf>,
}

/// Where the store is and how far it is trusted.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Store options")]
pub(crate) struct StoreFlags {
    #[command(flatten)]
    pub(crate) directory: StoreFlag,

    /// Hash everything that is read from the store again
    #[arg(long)]
    pub(crate) paranoid: bool,
}

/// What may be reached, and where.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Network options")]
pub(crate) struct NetworkFlags {
    /// Mirror to try first, for one archive or for all
    #[arg(long = "mirror", value_name = "[ARCHIVE=]URI", env = "TARSIA_MIRROR", hide_env_values = true)]
    #[arg(value_delimiter = ' ', value_parser = parse_mirror)]
    pub(crate) mirrors: Vec<MirrorFlag>,

    #[command(flatten)]
    pub(crate) registry: RegistryFlags,

    /// Vendored inputs to look into before the network
    #[arg(long, value_name = "DIR|FILE", env = "TARSIA_VENDOR", hide_env_values = true)]
    pub(crate) vendor: Option<PathBuf>,

    /// Use no network
    #[arg(long)]
    pub(crate) offline: bool,
}

/// How registries are reached.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Network options")]
pub(crate) struct RegistryFlags {
    /// Trust the authorities in this PEM file too
    #[arg(long, value_name = "FILE", env = "TARSIA_CA", hide_env_values = true)]
    pub(crate) ca: Option<PathBuf>,

    /// Speak plain HTTP to registries of other machines too
    #[arg(long)]
    pub(crate) plain_http: bool,

    /// Host that may turn registry logins into tokens; may be repeated
    #[arg(long = "token-host", value_name = "HOST")]
    pub(crate) token_hosts: Vec<String>,
}

/// How an image is reached that need not be on this machine.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SourceFlags {
    #[command(flatten)]
    pub(crate) store: StoreFlags,

    #[command(flatten)]
    pub(crate) registry: RegistryFlags,
}

/// How much of the machine may be used; never what the result is.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Machine options")]
pub(crate) struct MachineFlags {
    /// Threads to use [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) threads: Option<u32>,

    /// Memory for buffers, as 192MiB or 1GiB
    #[arg(long, value_name = "SIZE", default_value = "192MiB", value_parser = parse_size)]
    pub(crate) memory: u64,
}

/// What the outside world of a command is.
#[derive(Debug, Clone, Args)]
pub(crate) struct WorldFlags {
    #[command(flatten)]
    pub(crate) store: StoreFlags,

    #[command(flatten)]
    pub(crate) network: NetworkFlags,

    #[command(flatten)]
    pub(crate) machine: MachineFlags,
}

/// Which variant of a spec is meant.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct VariantFlag {
    /// Variant of the spec to work on
    #[arg(long = "variant", value_name = "NAME")]
    pub(crate) variant: Option<String>,
}

/// Which platforms of a spec are meant.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct PlatformFlag {
    /// Only this platform, as linux/arm64; may be repeated
    #[arg(long = "platform", value_name = "OS/ARCH", value_parser = parse_platform)]
    pub(crate) platforms: Vec<Platform>,
}

/// Parses `[ARCHIVE=]URI`.
fn parse_mirror(text: &str) -> Result<MirrorFlag, String> {
    MirrorFlag::parse(text).ok_or_else(|| "a mirror is an `https:`, `http:` or `file:` address".to_owned())
}

pub(crate) fn parse_platform(text: &str) -> Result<Platform, String> {
    Platform::from_oci(text).ok_or_else(|| "known are linux/amd64 and linux/arm64".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_of_the_command_line_holds_together() {
        <Arguments as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn a_spec_may_stand_before_or_behind_the_packages_to_update() {
        let parse = |line: &str| {
            let Command::Lock(lock) = Arguments::try_parse_from(line.split(' ')).unwrap().command else { panic!() };
            lock.specs_and_update().map(|(specs, update)| {
                (specs.iter().map(|spec| spec.display().to_string()).collect::<Vec<_>>().join(" "), update)
            })
        };
        let packages = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        let web = || "web.yaml".to_owned();
        assert_eq!(parse("tarsia lock web.yaml").unwrap(), (web(), None));
        assert_eq!(parse("tarsia lock web.yaml --update").unwrap(), (web(), packages(&[])));
        assert_eq!(parse("tarsia lock --update web.yaml").unwrap(), (web(), packages(&[])));
        assert_eq!(parse("tarsia lock web.yaml --update zlib1g tar").unwrap(), (web(), packages(&["zlib1g", "tar"])));
        assert_eq!(parse("tarsia lock --update zlib1g ./s").unwrap(), ("./s".to_owned(), packages(&["zlib1g"])));
        assert_eq!(parse("tarsia lock a b --update -q").unwrap(), ("a b".to_owned(), packages(&[])));
        assert!(parse("tarsia lock --update zlib1g").is_err());
        assert!(parse("tarsia lock").is_err());
    }
}
