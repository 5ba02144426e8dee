//! Config, manifest, index; layouts and archives.
