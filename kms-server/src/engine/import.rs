//! Keys that come in from outside: import parameters, and the unwrapping inside the HSM.

use super::request::{self, Remembered};
use super::settle::Lane;
use super::{Call, Engine, ImportParameters, Reply, store_fault};
use crate::hsm::{Op, Work, Wrapped};
use kms_core::action::Action;
use kms_core::attestation::Deployed;
use kms_core::class::Class;
use kms_core::decide::{import_parameters_key, import_token_key};
use kms_core::error::{Error, Kind, Result};
use kms_core::import::{Given, Parameters, Shown, Wrapper};
use kms_core::import_token::{ImportToken, LIFETIME};
use kms_core::key::{Key, KeySpec, Version, Wrapping};
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
        asked: (&KeyName, &KeyName, Option<Wrapping>),
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
        (key, wrapping, mechanism): (&KeyName, &KeyName, Option<Wrapping>),
    ) -> Result<ImportParameters> {
        let (target, _) = view.key(key).ok_or_else(|| Error::not_found(key))?;
        let (holder, _) = view
            .key(wrapping)
            .ok_or_else(|| Error::not_found(wrapping))?;
        let mechanism = mechanism.unwrap_or(holder.method());
        self.has(mechanism, holder.in_two_steps())?;
        let version = view
            .primary(holder)
            .ok_or_else(|| Error::not_found(wrapping))?;
        let token = ImportToken {
            target: view.next_id(target)?,
            wrapping: version.name.clone(),
            mechanism,
            expires: self.now().plus_millis(LIFETIME),
        };
        let mac = self.authenticate(permit, view, &token).await?;
        let given = Given {
            deployment: Deployed::from(view.founded()?),
            token: self.token_at_hand(),
            key: key.clone(),
            class: target.class,
            two_steps: holder.in_two_steps(),
            wrapper: self.wrapper(holder, version).await?,
            issued: self.now(),
        };
        let parameters = Parameters::of(given, &token, token.to_bytes(&mac));
        let signer = import_parameters_key(view)?;
        let signed = self.sign(permit, signer, parameters.encode()?).await?;
        Ok(ImportParameters { parameters, signed })
    }

    /// The wrapping key as the token shows it now, whatever was recorded.
    async fn wrapper(&self, holder: &Key, version: &Version) -> Result<Wrapper> {
        let objects = self.parts.hsm.objects().await?;
        let mut ours = objects.into_iter().filter(|o| o.id == Some(version.id));
        let object = ours
            .find(|object| object.class != "public")
            .ok_or_else(|| Error::internal(format!("the token does not show {}", version.name)))?;
        let learned = version.learned.as_ref();
        let forces = match &holder.intake {
            Some(intake) if intake.two_steps => None,
            Some(intake) => Some(intake.class),
            None => Some(Class::DataAtRest),
        };
        Ok(Wrapper {
            version: version.name.clone(),
            cka_id: version.id,
            fingerprint: fingerprint(version)?,
            public_key: learned
                .and_then(|l| l.public_key.clone())
                .unwrap_or_default(),
            partner: holder.source().cloned(),
            attributes: Shown {
                sensitive: object.sensitive,
                extractable: object.extractable,
                local: object.local,
                mechanisms: object.mechanisms,
            },
            forces,
            vendor_attestation: None,
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
        if !bool::from(ours.as_slice().ct_eq(mac)) {
            return Err(Error::invalid(
                "import_token",
                "this import token was not given by this deployment; get new import parameters",
            ));
        }
        self.is_not_void(token).await?;
        let by = token.wrapping.key();
        let (holder, _) = view.key(by).ok_or_else(|| Error::not_found(by))?;
        self.has(token.mechanism, holder.in_two_steps())
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
        let holder = seat.view.key(token.wrapping.key());
        let two_steps = holder.is_some_and(|(holder, _)| holder.in_two_steps());
        let wrapped = Wrapped {
            by: by.id,
            fingerprint: fingerprint(by)?,
            mechanism: token.mechanism,
            two_steps,
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

    /// Whether this HSM unwraps it. Whether it may be used is the policy's to say.
    fn has(&self, mechanism: Wrapping, two_steps: bool) -> Result<()> {
        let report = self.parts.hsm.report();
        if report.unwraps(mechanism, two_steps) {
            return Ok(());
        }
        let all = Wrapping::ALL.iter();
        let here: Vec<&str> = all
            .filter(|one| report.unwraps(**one, one.is_hybrid()))
            .map(|one| one.name())
            .collect();
        let how = if two_steps { " in two steps" } else { "" };
        Err(Error::invalid(
            "mechanism",
            format!(
                "this HSM does not unwrap {}{how}; it has: {}",
                mechanism.name(),
                here.join(", ")
            ),
        ))
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
        let mac = self.single(permit, work).await?;
        Ok(mac.to_vec())
    }
}

/// The recorded fingerprint of a version.
pub(super) fn fingerprint(version: &Version) -> Result<String> {
    let learned = version.learned.as_ref().map(|l| l.fingerprint.clone());
    learned.ok_or_else(|| Error::internal(format!("{} has no fingerprint", version.name)))
}
