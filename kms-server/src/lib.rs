//! A gRPC key management service in front of a PKCS#11 HSM.

pub mod hsm;
