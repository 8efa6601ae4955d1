//! Lanes of this repository.
fn main() {}
