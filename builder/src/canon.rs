//! The one way a document becomes bytes.
