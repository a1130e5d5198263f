//! Watching files: what changed below a directory, and only that.
//!
//! Stub of the interface.
