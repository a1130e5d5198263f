//! Configuration files: `signpost.toml` and `zones/NAME.toml`.
//!
//! Stub of the interface.
