//! Whether wrapped material would come in, without bringing it in. It never becomes an oracle: what
//! can be told from outside costs nothing, and so many trials inside the HSM may fail before the
//! import token is void, counted where a crash does not forget it.

use super::import::fingerprint;
use super::{Engine, store_fault};
use crate::hsm::Wrapped;
use crate::store::{Check, StoreError, Write};
use data_encoding::HEXLOWER;
use kms_core::error::{Error, Kind, Result};
use kms_core::import_token::ImportToken;
use kms_core::key::KeySpec;
use kms_core::name::KeyName;
use kms_core::permit::Permit;
use kms_core::plan::receives;
use kms_core::view::View;
use sha2::{Digest, Sha256};

/// So many trials may fail with one import token.
const FAILURES: u8 = 3;

/// Under `local/`: it is outside the view.
const TRIALS: &str = "local/imports/";

impl Engine {
    /// Everything that an import would find out, but that nothing is left of it.
    pub(super) async fn check_import(
        &self,
        permit: &Permit,
        view: &View,
        (name, token, mac, bytes): (&KeyName, &ImportToken, &[u8; 32], &[u8]),
    ) -> Result<()> {
        self.believe(permit, view, token, mac).await?;
        let (key, _) = view.key(name).ok_or_else(|| Error::not_found(name))?;
        receives(view, key, token, self.latest())?;
        token.mechanism.fits(bytes)?;
        let (by, _) = view
            .version(&token.wrapping)
            .ok_or_else(|| Error::not_found(&token.wrapping))?;
        let (holder, _) = view
            .key(token.wrapping.key())
            .ok_or_else(|| Error::not_found(token.wrapping.key()))?;
        let wrapped = Wrapped {
            by: by.id,
            fingerprint: fingerprint(by)?,
            mechanism: token.mechanism,
            two_steps: holder.in_two_steps(),
            blob: bytes.to_vec(),
        };
        let spec = KeySpec {
            id: token.target,
            label: name.version(token.target.version),
            class: key.class,
            exportable: key.exportable,
            intake: key.intake.clone(),
        };
        // Counted as failed before it is tried: a process that is killed over it has tried.
        let before = self.count_trial(token).await?;
        match self.parts.hsm.rehearse(permit, &wrapped, &spec).await {
            Err(error) if error.kind() == Kind::Invalid => {
                let left = FAILURES.saturating_sub(before.saturating_add(1));
                let after = match left {
                    0 => "its import token is void now: get new import parameters".to_owned(),
                    left => format!("after {left} more failed check(s) its import token is void"),
                };
                Err(Error::invalid(
                    "wrapped_key",
                    format!("{}; {after}", error.message()),
                ))
            }
            // It came in, or nothing was tried: that is no failure.
            tried => {
                self.put_trials(token, before).await?;
                tried
            }
        }
    }

    /// Refuses a token with which too much was tried.
    pub(super) async fn is_not_void(&self, token: &ImportToken) -> Result<()> {
        let entry = self.parts.store.get(&place(token)).await;
        let failed = entry
            .map_err(|e| store_fault(&e))?
            .map(|e| failures(&e.value));
        not_void(failed.unwrap_or(0))
    }

    async fn count_trial(&self, token: &ImportToken) -> Result<u8> {
        let place = place(token);
        let entry = self.parts.store.get(&place).await;
        let entry = entry.map_err(|e| store_fault(&e))?;
        let failed = entry.as_ref().map_or(0, |entry| failures(&entry.value));
        not_void(failed)?;
        let check = match &entry {
            None => Check::Absent(place.clone()),
            Some(entry) => Check::At(place.clone(), entry.revision),
        };
        let write = Write::Put(place, vec![failed.saturating_add(1)]);
        match self.parts.store.commit(&[check], &[write]).await {
            Ok(_) => Ok(failed),
            Err(StoreError::Conflict { .. }) => Err(Error::exhausted(
                "another check of the same import is under way; try again when it has ended",
            )),
            Err(error) => Err(store_fault(&error)),
        }
    }

    async fn put_trials(&self, token: &ImportToken, failed: u8) -> Result<()> {
        let write = Write::Put(place(token), vec![failed]);
        let put = self.parts.store.commit(&[], &[write]).await;
        put.map(drop).map_err(|e| store_fault(&e))
    }
}

fn not_void(failed: u8) -> Result<()> {
    if failed < FAILURES {
        return Ok(());
    }
    Err(Error::invalid(
        "import_token",
        "this import token is void: too many checks with it failed; get new import parameters",
    ))
}

/// What cannot be read counts as void.
fn failures(value: &[u8]) -> u8 {
    value.first().copied().unwrap_or(FAILURES)
}

/// One token, one count.
fn place(token: &ImportToken) -> String {
    let digest = Sha256::digest(token.authenticated());
    format!("{TRIALS}{}", HEXLOWER.encode(&digest))
}
