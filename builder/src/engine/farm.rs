//! Builds on BuildKit daemons: packages are opened and layers written there, all else happens here.
