//! Writes a layer.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::error::broken;
use super::files::{self, MAX_DOCUMENT, Output, file, read};
use super::{BLOB, Contract, Error, PLAN, RECORD};
use crate::canon;
use crate::diag::Silent;
use crate::digest::{DiffId, Digest};
use crate::layer::{self, Context, Layer, NoFrames, Workers, layer_key};
use crate::select::LayerPlan;
use crate::spec::Compression;

/// The most bytes of a record.
const MAX_RECORD: u64 = 4 << 20;

/// What `layer` says of a layer; keys in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerRecord {
    /// The layer; none where its plan is empty.
    pub layer: Option<Layer>,
    /// Its name.
    pub name: String,
    /// Key of its plan, with the compression ([`layer_key`]).
    pub plan: Digest,
}

/// A layer that no `layer` operation has written: one of a base, as `layers` lists it, or of any image. As text it is
/// JSON; keys in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaseLayer {
    /// Of its tar.
    pub diff_id: DiffId,
    /// Of its bytes as they are stored.
    pub digest: Digest,
    /// Their media type.
    pub media_type: String,
    /// Their number.
    pub size: u64,
}

impl fmt::Display for BaseLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&canon::ordered(self)))
    }
}

impl FromStr for BaseLayer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }
}

/// Writes the layer of the plan at `plan/plan`, whose packs' data stands at `data/KEY`. Writes `out/layer`, a
/// [`LayerRecord`], and unless the plan is empty `out/blob`.
///
/// # Errors
/// No plan; data that is not there or not that of the plan; an output that cannot be written.
pub fn layer(
    contract: Contract,
    compression: Compression,
    (plan, data): (&Path, &Path),
    out: &Path,
    workers: &Workers,
) -> Result<(), Error> {
    contract.check()?;
    let bytes = read(&plan.join(PLAN), MAX_DOCUMENT, "the plan of a layer")?;
    let plan =
        LayerPlan::from_bytes(&bytes).ok_or_else(|| broken("the plan of a layer", "it is not of this format"))?;
    drop(bytes);
    let out = Output::start(out)?;
    let mut record = LayerRecord { layer: None, name: plan.name.clone(), plan: layer_key(&plan, compression) };
    if !plan.is_empty() {
        let open = |key: &Digest| file(&data.join(key.hex()), "the data of a package").map_err(io::Error::other);
        let context = Context { data: &open, compression, workers, frames: &NoFrames, progress: &Silent };
        let mut blob = io::BufWriter::with_capacity(1 << 20, out.create(BLOB)?);
        let written = layer::write(&context, &plan, &mut blob);
        record.layer = Some(written.map_err(|source| Error::Layer { name: plan.name.clone(), source })?);
        io::Write::flush(&mut blob).map_err(|source| out.failed(BLOB, source))?;
    }
    out.write(RECORD, &canon::ordered(&record))?;
    out.commit()
}

/// Reads what [`layer()`] wrote to `directory`, shown as `what`: the record, and of a layer that is not empty its blob,
/// which has the digest and the size that the record says.
///
/// # Errors
/// What is not there, no record, or a blob of other bytes.
pub fn read_layer(directory: &Path, what: &str) -> Result<(LayerRecord, Option<File>), Error> {
    let path = directory.join(RECORD);
    let record: LayerRecord = serde_json::from_slice(&read(&path, MAX_RECORD, what)?)
        .map_err(|error| broken(what, format!("its record does not parse: {error}")))?;
    let blob = match &record.layer {
        Some(layer) => Some(blob(&directory.join(BLOB), what, layer.digest, layer.size)?),
        None => None,
    };
    Ok((record, blob))
}

/// Reads the list of a base's layers; none where there is no such list.
pub(super) fn read_base_layers(directory: &Path) -> Result<Option<Vec<BaseLayer>>, Error> {
    let path = directory.join("layers");
    if !path.exists() {
        return Ok(None);
    }
    let what = "the list of the base's layers";
    let layers = serde_json::from_slice(&read(&path, MAX_RECORD, what)?);
    layers.map(Some).map_err(|error| broken(what, error.to_string()))
}

/// Opens a blob, whose bytes must have this digest and size.
pub(crate) fn blob(path: &Path, what: &str, digest: Digest, size: u64) -> Result<File, Error> {
    let mut opened = file(path, what)?;
    let failed = |source| Error::Read { what: what.to_owned(), path: path.display().to_string(), source };
    let found = files::digest(&mut opened).map_err(failed)?;
    if found == (digest, size) {
        return Ok(opened);
    }
    let (found, length) = found;
    Err(broken(what, format!("its bytes are {found}, {length} of them, and its record says {digest}, {size}")))
}
