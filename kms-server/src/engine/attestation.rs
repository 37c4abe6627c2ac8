//! Attestations of destruction: looked up, and signed in the HSM, at the time of asking.

use super::{Engine, Seat, Signed};
use crate::audit::Journal;
use kms_core::attestation::{Statement, Subject, Trail};
use kms_core::decide::attestation_key;
use kms_core::error::{Error, Result};
use kms_core::lifecycle::Uses;
use kms_core::name::VersionName;
use kms_core::permit::Permit;
use kms_core::value::{Stamped, Value};
use kms_core::view::View;
use std::cmp::Reverse;

/// A signed statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attestation {
    /// What was destroyed.
    pub subject: Subject,
    /// Whether every declared backup that may hold any of it has expired.
    pub is_final: bool,
    /// The statement, and its signature.
    pub signed: Signed,
}

/// Entries read at a time.
const CHUNK: usize = 4096;

impl Engine {
    /// What can be said of this destruction as of now.
    pub(super) async fn attest(
        &self,
        permit: &Permit,
        view: &View,
        subject: Subject,
    ) -> Result<Attestation> {
        let signer = attestation_key(view)?;
        let trail = self.trail(&subject).await?;
        self.is_gone(view, &subject).await?;
        let known = self.known_at_hand();
        let last = |name: &VersionName| known.last(name);
        let token = self.token_at_hand();
        let statement = Statement::of(view, subject.clone(), self.now(), token, &trail, last)?;
        let signed = self.sign(permit, signer, statement.encode()?).await?;
        Ok(Attestation {
            subject,
            is_final: statement.is_final,
            signed,
        })
    }

    /// What the changes log holds of it.
    async fn trail(&self, subject: &Subject) -> Result<Trail> {
        let journal: &dyn Journal = &*self.parts.changes;
        let mut trail = Trail::new(subject.clone());
        let mut next = 0;
        loop {
            let page = journal.read(next, CHUNK).await?;
            let Some((last, _)) = page.last() else {
                return Ok(trail);
            };
            next = last.saturating_add(1);
            for (_, entry) in page {
                trail.feed(&entry)?;
            }
        }
    }

    /// Looks once more: nothing is attested that the token still shows, whatever was recorded.
    async fn is_gone(&self, view: &View, subject: &Subject) -> Result<()> {
        let gone = subject.gone(view)?;
        let objects = self.parts.hsm.objects().await?;
        let there = |id| objects.iter().any(|object| object.id == Some(id));
        match gone.iter().find(|version| there(version.id)) {
            None => Ok(()),
            Some(version) => Err(Error::internal(format!(
                "{} is recorded as destroyed, and the token shows an object under its id",
                version.name
            ))),
        }
    }
}

/// The declared backups of the token, the latest first.
pub(super) fn backups(seat: &Seat) -> Vec<Stamped<Value>> {
    let mut backups: Vec<_> = seat.view.under("backups/").cloned().collect();
    let taken = |stamped: &Stamped<Value>| stamped.value.as_backup().map(|backup| backup.taken);
    backups.sort_by_key(|stamped| Reverse(taken(stamped)));
    backups
}
