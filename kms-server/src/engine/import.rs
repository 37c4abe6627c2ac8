//! Keys that come in from outside: import parameters, and the unwrapping inside the HSM.

use super::request::{self, Remembered};
use super::settle::Lane;
use super::{Call, Engine, ImportParameters, Reply, store_fault};
use crate::hsm::{Capability, Op, Work, Wrapped};
use kms_core::action::Action;
use kms_core::decide::import_token_key;
use kms_core::deployment::Environment;
use kms_core::error::{Error, Kind, Result};
use kms_core::import_token::{ImportToken, LIFETIME};
use kms_core::key::{KeySpec, Version, Wrapping};
use kms_core::name::KeyName;
use kms_core::permit::Permit;
use kms_core::replay::Open;
use kms_core::view::View;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

impl Engine {
    /// A public key to wrap with, and the token that goes with it; for a request that was asked
    /// before, the same again.
    pub(super) async fn import_parameters(
        &self,
        call: &Call,
        permit: &Permit,
        view: &View,
        asked: (&KeyName, &KeyName, Wrapping),
    ) -> Result<ImportParameters> {
        let Some(id) = call.request else {
            return self.parameters(permit, view, asked).await;
        };
        let tag = request::tagged(id, &(Action::GetImportParameters, asked))?;
        let caller = call.caller.to_string();
        if let Some(Reply::ImportParameters(given)) = self.remembered(&call.caller, &tag).await? {
            return Ok(*given);
        }
        let given = self.parameters(permit, view, asked).await?;
        let result = Remembered::ImportParameters(Box::new(given.clone()));
        let memory = request::memory(&caller, &tag, self.now(), result)?;
        self.parts
            .store
            .commit(&[], &[memory])
            .await
            .map_err(|e| store_fault(&e))?;
        Ok(given)
    }

    async fn parameters(
        &self,
        permit: &Permit,
        view: &View,
        (key, wrapping, mechanism): (&KeyName, &KeyName, Wrapping),
    ) -> Result<ImportParameters> {
        let mechanisms = self.wrapping_mechanisms();
        self.allows_wrapping(view, &mechanisms, mechanism)?;
        let (target, _) = view.key(key).ok_or_else(|| Error::not_found(key))?;
        let (holder, _) = view
            .key(wrapping)
            .ok_or_else(|| Error::not_found(wrapping))?;
        let version = view
            .primary(holder)
            .ok_or_else(|| Error::not_found(wrapping))?;
        let public_key = version
            .learned
            .as_ref()
            .and_then(|l| l.public_key.clone())
            .ok_or_else(|| Error::internal("an import-wrapping version has no public key"))?;
        let token = ImportToken {
            target: view.next_id(target)?,
            wrapping: version.name.clone(),
            mechanism,
            expires: self.now().plus_millis(LIFETIME),
        };
        let mac = self.authenticate(permit, view, &token).await?;
        Ok(ImportParameters {
            key: key.clone(),
            wrapping: version.name.clone(),
            public_key,
            mechanism,
            mechanisms,
            token: token.to_bytes(&mac),
            expires: token.expires,
        })
    }

    /// Makes sure that a token is ours before anything that it says is believed.
    pub(super) async fn believe(
        &self,
        permit: &Permit,
        view: &View,
        token: &ImportToken,
        mac: &[u8; 32],
    ) -> Result<()> {
        let ours = self.authenticate(permit, view, token).await?;
        if bool::from(ours.as_slice().ct_eq(mac)) {
            self.allows_wrapping(view, &self.wrapping_mechanisms(), token.mechanism)
        } else {
            Err(Error::invalid(
                "import_token",
                "this import token was not given by this deployment; get new import parameters",
            ))
        }
    }

    /// Unwraps the material inside the HSM, while we hold the wrapped form. What the HSM will not
    /// take is the caller's to mend, and the change is given up.
    pub(super) async fn unwrap_now(
        &self,
        lane: &mut Lane,
        open: &Open,
        permit: &Permit,
        call: &Call,
        (token, blob, spec): (&ImportToken, &Vec<u8>, &KeySpec),
    ) -> Result<()> {
        let seat = self.seat.load_full();
        let (by, _) = seat
            .view
            .version(&token.wrapping)
            .ok_or_else(|| Error::not_found(&token.wrapping))?;
        let wrapped = Wrapped {
            by: by.id,
            fingerprint: fingerprint(by)?,
            mechanism: token.mechanism,
            blob: blob.clone(),
        };
        match self.parts.hsm.unwrap(permit, &wrapped, spec).await {
            Ok(_learned) => Ok(()),
            Err(error) if error.kind() == Kind::Unknown => {
                lane.open = Some(open.clone());
                Err(error)
            }
            Err(error) => {
                self.give_up(lane, open, permit, &call.caller, &error)
                    .await?;
                Err(error)
            }
        }
    }

    pub(super) fn wrapping_mechanisms(&self) -> Vec<Wrapping> {
        let report = self.parts.hsm.report();
        [
            (Capability::OaepSha256, Wrapping::OaepSha256),
            (Capability::OaepSha1, Wrapping::OaepSha1),
        ]
        .into_iter()
        .filter(|(capability, _)| report.has(*capability))
        .map(|(_, wrapping)| wrapping)
        .collect()
    }

    /// SHA-1 is the exception: in development, and only where the HSM has nothing better.
    pub(super) fn allows_wrapping(
        &self,
        view: &View,
        here: &[Wrapping],
        asked: Wrapping,
    ) -> Result<()> {
        if !here.contains(&asked) {
            let names: Vec<&str> = here.iter().map(|w| w.name()).collect();
            return Err(Error::invalid(
                "mechanism",
                format!(
                    "this HSM does not have {}; it has: {}",
                    asked.name(),
                    names.join(", ")
                ),
            ));
        }
        let better = here.contains(&Wrapping::OaepSha256);
        let production = view.founded()?.environment == Environment::Production;
        if asked == Wrapping::OaepSha1 && (better || production) {
            return Err(Error::refused(if better {
                "this HSM has RSA-OAEP with SHA-256: use that instead of SHA-1"
            } else {
                "RSA-OAEP with SHA-1 is refused in production; that takes an HSM that has SHA-256"
            }));
        }
        Ok(())
    }

    async fn authenticate(
        &self,
        permit: &Permit,
        view: &View,
        token: &ImportToken,
    ) -> Result<Vec<u8>> {
        let key = import_token_key(view)?;
        let input = Zeroizing::new(token.authenticated());
        let work = Work {
            id: key.id,
            fingerprint: fingerprint(key)?,
            op: Op::Hmac { input },
        };
        let outputs = self.parts.hsm.apply(permit, vec![work]).await?;
        let output = outputs.into_iter().next();
        let mac = output.ok_or_else(|| Error::internal("the HSM gave no answer"))??;
        Ok(mac.to_vec())
    }
}

/// The recorded fingerprint of a version.
pub(super) fn fingerprint(version: &Version) -> Result<String> {
    let learned = version.learned.as_ref().map(|l| l.fingerprint.clone());
    learned.ok_or_else(|| Error::internal(format!("{} has no fingerprint", version.name)))
}
