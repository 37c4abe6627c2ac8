//! A gRPC key management service in front of a PKCS#11 HSM.
//!
//! A caller sends a command; `decide` (in `kms-core`) answers with a permit, a demand for
//! approvals, or a refusal; the [`engine`] carries out what is permitted against the [`hsm`] and
//! the [`store`]; and what happened is in the [`audit`] log before the caller hears of it.

pub mod audit;
pub mod clock;
pub mod config;
pub mod directory;
pub mod doctor;
pub mod engine;
pub mod grpc;
pub mod health;
pub mod hsm;
pub mod init;
pub mod listener;
pub mod metrics;
pub mod openid;
pub mod process;
pub mod rebuild;
pub mod scrape;
pub mod serve;
pub mod store;
pub mod trust;
