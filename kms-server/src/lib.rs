//! A gRPC key management service in front of a PKCS#11 HSM.

pub mod audit;
pub mod directory;
pub mod hsm;
pub mod store;
