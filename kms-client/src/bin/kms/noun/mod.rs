//! One file for each noun: what its verbs ask, and how the answers look.

pub(crate) mod access;
mod aftermath;
pub(crate) mod attestation;
pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod ceremony;
pub(crate) mod completions;
pub(crate) mod context;
mod csv_file;
pub(crate) mod domain;
pub(crate) mod edge;
mod edge_graph;
pub(crate) mod emergency;
pub(crate) mod export;
pub(crate) mod file;
pub(crate) mod hsm;
pub(crate) mod import;
pub(crate) mod inventory;
pub(crate) mod key;
pub(crate) mod login;
pub(crate) mod policy;
pub(crate) mod proposal;
pub(crate) mod pseudonym;
pub(crate) mod quota;
pub(crate) mod random;
pub(crate) mod report;
pub(crate) mod rewrap;
pub(crate) mod rotation;
pub(crate) mod space;
pub(crate) mod status;
pub(crate) mod version;

use clap::Args;

/// For what makes something.
#[derive(Debug, Args)]
pub(crate) struct Once {
    /// A UUID: asking again with the same one within 24 hours gives the same result instead of a
    /// second one. Give it where a script may have to ask again after an unknown outcome.
    #[arg(
        long,
        value_name = "UUID",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) request_id: String,
}

/// For what moves something to another state.
#[derive(Debug, Args)]
pub(crate) struct Move {
    /// Why, for the audit log.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Go on only if this is still the current etag.
    #[arg(
        long,
        value_name = "ETAG",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) etag: String,
    #[command(flatten)]
    pub(crate) once: Once,
}
