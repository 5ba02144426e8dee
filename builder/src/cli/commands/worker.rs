//! `tarsia worker`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use tarsia::diag::Problems;
use tarsia::ops::worker::{self, Asked, Assembly, BaseLayer, Contract, Indexes};
use tarsia::spec::{Compression, Platform};

use crate::cli::Answer;
use crate::cli::arguments::{MachineFlags, parse_platform};
use crate::cli::session::Session;

/// Flags of `worker`.
#[derive(Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What a graph and a worker must agree on.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct ContractFlag {
    /// Contract of the graph, as 1.3.5.1; one of another release is refused
    #[arg(long, value_name = "E.R.P.W")]
    pub(crate) contract: Contract,
}

/// The operations of a graph.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Open a layer's packages: an index of each, and their data
    Open {
        #[command(flatten)]
        contract: ContractFlag,

        /// Packages to open; with a path, the one there in its directory
        #[arg(required = true, value_name = "LAYER/NAME=DIGEST[@PATH]")]
        packages: Vec<Asked>,

        /// Each package, as NAME/deb
        #[arg(long = "in", value_name = "DIR", default_value = "/in")]
        input: PathBuf,

        #[command(flatten)]
        opened: Opened,

        #[command(flatten)]
        machine: MachineFlags,
    },
    /// Open the spec's own files: an index, and their data
    OpenLocal {
        #[command(flatten)]
        contract: ContractFlag,

        #[command(flatten)]
        job: JobFlag,

        #[command(flatten)]
        context: ContextFlag,

        /// Each fetched file, as HEX/file
        #[arg(long, value_name = "DIR", default_value = "/fetched")]
        fetched: PathBuf,

        #[command(flatten)]
        opened: Opened,
    },
    /// Open the image that the spec builds on: an index, and its layers
    OpenBase {
        #[command(flatten)]
        contract: ContractFlag,

        #[command(flatten)]
        platform: PlatformOf,

        #[command(flatten)]
        job: JobFlag,

        #[command(flatten)]
        context: ContextFlag,

        #[command(flatten)]
        opened: Opened,
    },
    /// Select what is kept: one plan per layer
    Select {
        #[command(flatten)]
        contract: ContractFlag,

        #[command(flatten)]
        platform: PlatformOf,

        #[command(flatten)]
        job: JobFlag,

        /// Indexes of packages: directories with one per package
        #[arg(long, value_name = "DIR", default_value = "/indexes")]
        indexes: PathBuf,

        #[command(flatten)]
        own: Own,

        /// Takes the plans, as LAYER/plan
        #[arg(long, value_name = "DIR", default_value = "/plans")]
        plans: PathBuf,
    },
    /// Write a layer from its plan and its packages' data
    Layer {
        #[command(flatten)]
        contract: ContractFlag,

        /// How the layer is stored, as zstd-3 or gzip-6
        #[arg(long, value_name = "WORD")]
        compression: Compression,

        /// The layer's plan
        #[arg(long, value_name = "DIR", default_value = "/plan")]
        plan: PathBuf,

        /// Data of the layer's packages
        #[arg(long, value_name = "DIR", default_value = "/data")]
        data: PathBuf,

        /// Takes the layer, as blob and layer
        #[arg(long, value_name = "DIR", default_value = "/layer")]
        layer: PathBuf,

        #[command(flatten)]
        machine: MachineFlags,
    },
    /// Write the image as an OCI layout, and the documents about it
    Assemble(Box<Assemble>),
    /// Unpack a layer onto a root filesystem
    Rootfs {
        #[command(flatten)]
        contract: ContractFlag,

        /// The layer; or, of a base, all of its layers
        #[arg(long, value_name = "DIR", default_value = "/layer")]
        layer: PathBuf,

        /// What the layer's blob is, where no record is beside it, as JSON
        #[arg(long, value_name = "RECORD")]
        of: Option<BaseLayer>,

        /// The root filesystem
        #[arg(long, value_name = "DIR", default_value = "/root")]
        root: PathBuf,
    },
}

/// Where the job is.
#[derive(Debug, Args)]
pub(crate) struct JobFlag {
    /// The spec, its lock, and what is built of them
    #[arg(long, value_name = "DIR", default_value = "/job")]
    job: PathBuf,
}

/// Where the spec's directory is.
#[derive(Debug, Args)]
pub(crate) struct ContextFlag {
    /// The spec's directory, or what of it the spec names
    #[arg(long, value_name = "DIR", default_value = "/context")]
    context: PathBuf,
}

/// For which platform.
#[derive(Debug, Args)]
pub(crate) struct PlatformOf {
    /// The platform, as linux/arm64
    #[arg(long, value_name = "OS/ARCH", value_parser = parse_platform)]
    platform: Platform,
}

/// Where what was opened goes.
#[derive(Debug, Args)]
pub(crate) struct Opened {
    /// Takes the indexes
    #[arg(long, value_name = "DIR", default_value = "/index")]
    index: PathBuf,

    /// Takes the data, by layer
    #[arg(long, value_name = "DIR", default_value = "/data")]
    data: PathBuf,
}

/// What a spec may have beside its packages.
#[derive(Debug, Args)]
pub(crate) struct Own {
    /// Index of the spec's own files
    #[arg(long, value_name = "DIR", default_value = "/local")]
    local: PathBuf,

    /// Index of the image that the spec builds on
    #[arg(long, value_name = "DIR", default_value = "/base")]
    base: PathBuf,
}

/// Flags of `worker assemble`.
#[derive(Debug, Args)]
pub(crate) struct Assemble {
    #[command(flatten)]
    contract: ContractFlag,

    #[command(flatten)]
    job: JobFlag,

    /// Indexes of packages by platform, as linux-amd64
    #[arg(long, value_name = "DIR", default_value = "/indexes")]
    indexes: PathBuf,

    #[command(flatten)]
    own: Own,

    /// Layers of the image that the spec builds on, by platform
    #[arg(long, value_name = "DIR", default_value = "/blobs")]
    blobs: PathBuf,

    /// Layers by platform and name
    #[arg(long, value_name = "DIR", default_value = "/layers")]
    layers: PathBuf,

    #[command(flatten)]
    context: ContextFlag,

    /// What else the documents say
    #[arg(long, value_name = "DIR", default_value = "/told")]
    told: PathBuf,

    /// Takes the image
    #[arg(long, value_name = "DIR", default_value = "/oci")]
    oci: PathBuf,

    /// Takes the documents
    #[arg(long, value_name = "DIR", default_value = "/evidence")]
    evidence: PathBuf,

    #[command(flatten)]
    machine: MachineFlags,
}

/// Runs one operation; `assemble` prints the image's digest.
pub(crate) fn run(session: &Session, arguments: &Arguments) -> Result<Answer, Problems> {
    let threads = |machine: &MachineFlags| machine.threads.unwrap_or(session.environment.threads).max(1) as usize;
    match &arguments.command {
        Command::Open { contract, packages, input, opened, machine } => worker::open(
            contract.contract,
            packages,
            input,
            (&opened.index, &opened.data),
            (threads(machine), machine.memory),
        )?,
        Command::OpenLocal { contract, job, context, fetched, opened } => {
            worker::open_local(contract.contract, &job.job, (&context.context, fetched), (&opened.index, &opened.data))?
        }
        Command::OpenBase { contract, platform, job, context, opened } => worker::open_base(
            contract.contract,
            (&job.job, platform.platform),
            &context.context,
            (&opened.index, &opened.data),
        )?,
        Command::Select { contract, platform, job, indexes, own, plans } => worker::select(
            contract.contract,
            (&job.job, platform.platform),
            Indexes { packages: indexes, local: &own.local, base: &own.base },
            plans,
        )?,
        Command::Layer { contract, compression, plan, data, layer, machine } => {
            worker::layer(contract.contract, *compression, (plan, data), layer, (threads(machine), machine.memory))?
        }
        Command::Assemble(assemble) => {
            let assembly = Assembly {
                job: &assemble.job.job,
                indexes: &assemble.indexes,
                local: &assemble.own.local,
                base: &assemble.own.base,
                blobs: &assemble.blobs,
                layers: &assemble.layers,
                context: &assemble.context.context,
                told: &assemble.told,
                threads: threads(&assemble.machine),
                memory: assemble.machine.memory,
            };
            let outputs = (assemble.oci.as_path(), assemble.evidence.as_path());
            let (digest, warnings) = worker::assemble(assemble.contract.contract, &assembly, outputs)?;
            session.warnings(&warnings);
            session.answer(&serde_json::json!({ "digest": digest.to_string() }), &format!("{digest}\n"))?;
        }
        Command::Rootfs { contract, layer, of, root } => {
            worker::rootfs(contract.contract, layer, of.as_ref(), root)?;
        }
    }
    Ok(Answer::Yes)
}
