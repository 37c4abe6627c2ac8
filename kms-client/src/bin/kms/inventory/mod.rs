//! Inventory as code: spaces, domains, edges, keys and quotas, declared in a file.
//!
//! A [`Document`](document::Document) is what the file says, [`State`] is what there is, and
//! [`Plan`](plan::Plan) is what leads from one to the other. Planning is pure; only
//! [`apply`] changes anything.

pub(crate) mod apply;
pub(crate) mod document;
mod draft;
pub(crate) mod export;
pub(crate) mod plan;
mod state;

pub(crate) use draft::shown;
pub(crate) use state::State;
