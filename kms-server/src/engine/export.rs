//! Keys that leave for another HSM.

use super::import::fingerprint;
use super::settle::Lane;
use super::{Call, Engine};
use crate::hsm::{Capability, Op, Output, Work};
use kms_core::error::{Error, Result};
use kms_core::key::Wrapping;
use kms_core::permit::Permit;
use kms_core::plan::Leaving;
use kms_core::replay::Open;
use kms_core::view::View;

impl Engine {
    /// Whether this HSM wraps so, and nothing better: SHA-1 is for one that has no SHA-256.
    pub(super) fn wraps(&self, mechanism: Wrapping) -> Result<()> {
        let report = self.parts.hsm.report();
        let better = report.has(Capability::OaepSha256);
        let has = match mechanism {
            Wrapping::OaepSha256 => better,
            Wrapping::OaepSha1 => report.has(Capability::OaepSha1),
            Wrapping::RsaAesSha256 | Wrapping::RsaAesSha1 | Wrapping::AesKw | Wrapping::AesKwp => {
                false
            }
        };
        if !has {
            let sentence = format!("this HSM does not wrap by {}", mechanism.name());
            return Err(Error::invalid("mechanism", sentence));
        }
        if mechanism == Wrapping::OaepSha1 && better {
            return Err(Error::refused(
                "this HSM has RSA-OAEP with SHA-256: use that instead of SHA-1",
            ));
        }
        Ok(())
    }

    /// Wraps the key in the HSM, after the log says that it will leave. Whatever goes wrong, the
    /// wrapped form is in nobody's hands then, and the change is given up.
    pub(super) async fn wrap_now(
        &self,
        lane: &mut Lane,
        open: &Open,
        permit: &Permit,
        call: &Call,
        leaving: &Leaving,
    ) -> Result<Output> {
        let seat = self.seat.load_full();
        let wrapped = match work(&seat.view, leaving) {
            Ok(work) => self.parts.hsm.apply(permit, vec![work]).await,
            Err(error) => Err(error),
        };
        let wrapped = wrapped.and_then(|outputs| {
            let missing = || Error::internal("the HSM gave no answer");
            outputs.into_iter().next().ok_or_else(missing)?
        });
        if let Err(error) = &wrapped {
            self.give_up(lane, open, permit, &call.caller, error)
                .await?;
        }
        wrapped
    }
}

fn work(view: &View, leaving: &Leaving) -> Result<Work> {
    let (version, _) = view
        .version(&leaving.version)
        .ok_or_else(|| Error::not_found(&leaving.version))?;
    let (destination, _) = view
        .destination(&leaving.destination)
        .ok_or_else(|| Error::not_found(&leaving.destination))?;
    Ok(Work {
        id: version.id,
        fingerprint: fingerprint(version)?,
        op: Op::Wrap {
            under: destination.public_key.clone(),
            mechanism: leaving.mechanism,
        },
    })
}
