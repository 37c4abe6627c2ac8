//! The judgement of the key management service: who may do what, which state allows it, and what
//! the formats are. Pure: no input or output, no clock, no randomness, no threads.
//!
//! A [`caller::Caller`] sends a command; `decide` answers with a [`permit::Permit`], a demand for
//! approvals, or a refusal. The shell around this crate carries out what is permitted.

pub mod action;
pub mod caller;
pub mod class;
pub mod deployment;
pub mod error;
pub mod id;
pub mod key;
pub mod name;
pub mod permit;
pub mod revision;
pub mod role;
pub mod space;
pub mod state;
pub mod time;

pub use error::{Error, Kind, Result};
