//! Opens the image that a spec builds on.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::broken;
use super::files::{MAX_DOCUMENT, Output, read};
use super::layer::BaseLayer;
use super::{BASE, Contract, Job};
use crate::canon;
use crate::diag::Problems;
use crate::digest::{DiffId, Digest};
use crate::engine::local::{self, Base};
use crate::image::BaseConfig;
use crate::package::PackIndex;
use crate::spec::Platform;
use crate::store::Store;

/// A [`Base`] as it is stored.
#[derive(Serialize, Deserialize)]
struct Stored {
    /// The image that the lock names.
    locked: Digest,
    platform: String,
    index: PackIndex,
    layers: Vec<(String, Digest, u64)>,
    diff_ids: Vec<DiffId>,
    /// As JSON.
    config: Vec<u8>,
}

/// Opens the base of the job's spec, which stands beneath `context`, for one platform. Writes `index/base`, what stands
/// in it, and below `data/base/` its layers: each as `HEX`, and `layers`, which lists them.
///
/// # Errors
/// No base, another one than the lock names, or one that does not hold together; outputs that cannot be written.
pub fn open_base(
    contract: Contract,
    (job, platform): (&Path, Platform),
    context: &Path,
    (index, data): (&Path, &Path),
) -> Result<(), Problems> {
    contract.check()?;
    let job = Job::read(job)?;
    job.platform(platform)?;
    let (index, data) = (Output::start(index)?, Output::start(data)?);
    let store = Store::private(data.scratch())?;
    let opened = local::open_base(&job.spec, context, Some(&job.lock), &store, platform)?;
    let Base { index: read, config } = opened.ok_or_else(|| broken("the job", "its spec builds on no image"))?;
    data.directory(BASE)?;
    let mut layers = Vec::new();
    let mut seen = BTreeSet::new();
    for (layer, diff_id) in config.layers.iter().zip(&config.diff_ids) {
        let name = format!("{BASE}/{}", layer.digest.hex());
        if seen.insert(layer.digest) {
            std::fs::rename(store.blob_path(&layer.digest), data.path(&name))
                .map_err(|source| data.failed(&name, source))?;
        }
        let media_type = layer.media_type.clone();
        layers.push(BaseLayer { media_type, digest: layer.digest, size: layer.size, diff_id: *diff_id });
    }
    data.write(&format!("{BASE}/layers"), &canon::ordered(&layers))?;
    let stored = Stored {
        locked: locked(&job)?,
        platform: platform.oci().to_owned(),
        index: read,
        layers: config.layers.iter().map(|layer| (layer.media_type.clone(), layer.digest, layer.size)).collect(),
        diff_ids: config.diff_ids.clone(),
        config: canon::compact(&config.config),
    };
    let bytes = postcard::to_stdvec(&stored).expect("plain data can always be written");
    index.write(BASE, &bytes)?;
    drop(store);
    Ok(Output::commit_all([index, data])?)
}

/// Reads what [`open_base`] wrote to `index` for this job; nothing where the spec builds on no image.
///
/// # Errors
/// An index that is not there, no index, or one of another base or platform.
pub fn read_base(job: &Job, platform: Platform, index: &Path) -> Result<Option<Base>, Problems> {
    let Some(base) = &job.spec.base else { return Ok(None) };
    let what = format!("the index of the base for {}", platform.oci());
    let wrong = |problem: &str| Problems::from(broken(what.as_str(), problem));
    let bytes = read(&index.join(BASE), MAX_DOCUMENT, &what)?;
    let Ok((stored, [])) = postcard::take_from_bytes::<Stored>(&bytes) else {
        return Err(wrong("it is not of this format"));
    };
    let Stored { locked: found, platform: made_for, index, layers, diff_ids, config } = stored;
    if found != locked(job)? || made_for != platform.oci() {
        return Err(wrong(&format!("it is of {found} for {made_for}")));
    }
    let config = serde_json::from_slice(&config).map_err(|error| wrong(&error.to_string()))?;
    if !index.holds() || layers.len() != diff_ids.len() {
        return Err(wrong("it does not hold together"));
    }
    let config = BaseConfig::of_parts(layers, diff_ids, config, base.explicit.clone());
    Ok(Some(Base { index, config }))
}

/// Returns the digest by which the lock names the base.
fn locked(job: &Job) -> Result<Digest, Problems> {
    let input = job.lock.inputs.iter().find(|input| input.kind == "base");
    Ok(input.ok_or_else(|| broken("the job", "its lock names no base"))?.digest)
}
