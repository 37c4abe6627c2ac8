//! How a renewal campaign stands.

use super::{Engine, Renewed, Reply, Seat};
use kms_core::command::Change;
use kms_core::error::{Error, Result};
use kms_core::name::EdgeName;
use kms_core::renewal::{Renewal, to_renew};
use kms_core::value::Stamped;

/// The edge whose campaign a change moves.
pub(super) fn renewed(change: &Change) -> Option<&EdgeName> {
    if let Change::StartRenewal { name, .. }
    | Change::VerifyRenewal { name, .. }
    | Change::Cutover { name, .. }
    | Change::FinishRenewal { name, .. } = change
    {
        Some(name)
    } else {
        None
    }
}

impl Engine {
    /// The latest campaign of an edge.
    pub(super) fn renewal(&self, seat: &Seat, name: EdgeName) -> Result<Reply> {
        let view = &seat.view;
        let (edge, _) = view.edge(&name).ok_or_else(|| Error::not_found(&name))?;
        let (key, revision) = view
            .key(&edge.key)
            .ok_or_else(|| Error::not_found(&edge.key))?;
        let to_renew = to_renew(view, edge);
        let to_renew = to_renew.into_iter().map(|edge| edge.name.clone()).collect();
        Ok(Reply::Renewal(Box::new(Renewed {
            translated: self.translated(key.renewal.as_deref(), key),
            edge: name,
            key: Stamped {
                value: key.clone(),
                revision,
            },
            to_renew,
        })))
    }

    /// What a change of a campaign gave, with how the campaign stands now.
    pub(super) fn with_campaign(&self, reply: Reply, edge: Option<EdgeName>) -> Result<Reply> {
        let Some(edge) = edge else {
            return Ok(reply);
        };
        self.renewal(&self.seat.load_full(), edge)
    }

    fn translated(&self, renewal: Option<&Renewal>, key: &kms_core::key::Key) -> u64 {
        let successor = renewal.map(|renewal| key.name.version(renewal.successor));
        let usages = self.statistics.usages();
        let usage = successor.as_ref().and_then(|version| usages.of(version));
        usage.map_or(0, |usage| usage.processed)
    }
}
