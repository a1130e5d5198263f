//! The `signpost` program.

fn main() {}
