//! The judgement of the key management service: who may do what, which state allows it, and what
//! the formats are. Pure: no input or output, no clock, no randomness, no threads.
//!
//! A [`caller::Caller`] sends a command; `decide` answers with a [`permit::Permit`], a demand for
//! approvals, or a refusal. The shell around this crate carries out what is permitted.

pub mod action;
pub mod attestation;
pub mod backup;
pub mod binding;
pub mod caller;
pub mod certificate;
pub mod chain;
pub mod class;
mod codec;
pub mod command;
pub mod component;
#[cfg(feature = "policy")]
pub mod decide;
pub mod deployment;
pub mod destination;
pub mod due;
pub mod emergency;
pub mod envelope;
pub mod error;
pub mod frame;
pub mod graph;
pub mod id;
pub mod import;
pub mod import_token;
pub mod key;
pub mod lifecycle;
pub mod name;
pub mod nir;
pub mod permit;
pub mod plan;
pub mod plane;
#[cfg(feature = "policy")]
pub mod policy;
pub mod proposal;
pub mod pseudonym;
pub mod quota;
pub mod rebuild;
pub mod record;
pub mod renewal;
pub mod replay;
pub mod report;
pub mod revision;
pub mod role;
pub mod space;
pub mod state;
pub mod time;
pub mod usage;
pub mod value;
pub mod view;
mod wrapping;

pub use error::{Error, Kind, Result};
