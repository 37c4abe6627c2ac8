//! The bodies of the fuzz targets, which an ordinary test runs too.

#[path = "../../softhsm-tests/src/outside_bytes.rs"]
pub mod outside_bytes;
