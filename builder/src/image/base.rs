//! What an image takes over from the one that it is built on.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::read::Opened;
use super::{Descriptor, Settings};
use crate::digest::{DiffId, Digest};

/// Layers and config of a base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseConfig {
    /// Descriptors of its layers, lowest first.
    pub layers: Vec<Descriptor>,
    /// Digests of their tars.
    pub diff_ids: Vec<DiffId>,
    /// Its config.
    pub config: Value,
    /// Keys of `run` that the spec says itself.
    explicit: BTreeSet<String>,
}

impl BaseConfig {
    /// Returns what is taken over from this image where the spec itself says only `explicit` keys of `run`.
    pub fn new(one: &Opened, explicit: BTreeSet<String>) -> Self {
        let layers = one.layers.iter().map(|layer| {
            let media_type = match layer.descriptor.media_type.as_str() {
                // The same bytes by their name in an OCI manifest.
                "application/vnd.docker.image.rootfs.diff.tar.gzip" => "application/vnd.oci.image.layer.v1.tar+gzip",
                other => other,
            };
            Descriptor::new(media_type, layer.descriptor.digest, layer.descriptor.size)
        });
        let diff_ids = one.layers.iter().map(|layer| layer.diff_id).collect();
        Self { layers: layers.collect(), diff_ids, config: one.config.clone(), explicit }
    }

    /// Returns what was taken over earlier: descriptors of layers by media type, digest and size, digests of their tars,
    /// the config, and what the spec says itself.
    pub fn of_parts(
        layers: Vec<(String, Digest, u64)>,
        diff_ids: Vec<DiffId>,
        config: Value,
        explicit: BTreeSet<String>,
    ) -> Self {
        let layers = layers.into_iter().map(|(media_type, digest, size)| Descriptor::new(&media_type, digest, size));
        Self { layers: layers.collect(), diff_ids, config, explicit }
    }

    /// Returns its history, one value per entry.
    pub(super) fn history(&self) -> Vec<Value> {
        let mut history = self.config["history"].as_array().cloned().unwrap_or_default();
        history.iter_mut().filter_map(Value::as_object_mut).for_each(Map::sort_keys);
        history
    }

    /// Returns the inner config: what the base says, under what the spec says. What neither says is tarsia's default.
    pub(super) fn inner(&self, settings: &Settings<'_>, ours: &Map<String, Value>) -> Map<String, Value> {
        let mut inner = self.config["config"].as_object().cloned().unwrap_or_default();
        let says = |key: &str| self.explicit.contains(key);
        let is_empty = |value: Option<&Value>| match value {
            None | Some(Value::Null) => true,
            Some(Value::String(text)) => text.is_empty(),
            Some(Value::Array(all)) => all.is_empty(),
            Some(_) => false,
        };
        if says("entrypoint") && !says("cmd") {
            // The base's arguments were meant for the base's program.
            inner.remove("Cmd");
        }
        for (key, name) in [
            ("user", "User"),
            ("entrypoint", "Entrypoint"),
            ("cmd", "Cmd"),
            ("workdir", "WorkingDir"),
            ("stop-signal", "StopSignal"),
        ] {
            if says(key) {
                inner.remove(name);
            }
            let silent = matches!(name, "User" | "WorkingDir") && is_empty(inner.get(name));
            if (says(key) || silent)
                && let Some(value) = ours.get(name)
            {
                inner.insert(name.to_owned(), value.clone());
            }
        }
        for name in ["ExposedPorts", "Labels", "Volumes"] {
            if let Some(Value::Object(more)) = ours.get(name) {
                let mut all = inner.get(name).and_then(Value::as_object).cloned().unwrap_or_default();
                all.extend(more.clone());
                all.sort_keys();
                inner.insert(name.to_owned(), all.into());
            }
        }
        let env = inner.get("Env").and_then(Value::as_array).cloned().unwrap_or_default();
        let mut env: Vec<(String, String)> = env
            .iter()
            .filter_map(Value::as_str)
            .map(|text| text.split_once('=').unwrap_or((text, "")))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        for (name, value) in &settings.run.env {
            match env.iter_mut().find(|(known, _)| known == name) {
                Some(_) if name == "PATH" && !says("PATH") => {}
                Some(known) => known.1.clone_from(value),
                None => env.push((name.clone(), value.clone())),
            }
        }
        inner.insert("Env".to_owned(), env.iter().map(|(name, value)| json!(format!("{name}={value}"))).collect());
        inner
    }
}
