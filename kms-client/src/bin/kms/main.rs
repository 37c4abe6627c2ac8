//! `kms`
fn main() {}
