//! Visits to the token: the cryptographic part of a use.

use super::Engine;
use super::import::fingerprint;
use super::usage::Bench;
use crate::hsm::{Op, Output, Work};
use kms_core::command::Sealed;
use kms_core::envelope::{EncryptionContext, Envelope, PLAINTEXT_MAX};
use kms_core::error::{Error, Result};
use kms_core::key::{Key, Version};
use kms_core::name::{KeyName, VersionName};
use kms_core::permit::{Permit, SystemOp};
use zeroize::Zeroizing;

impl Engine {
    /// Encrypts each item under a version; the nonces come from the token's generator, and the
    /// count is durable before it is spent. Gives each ciphertext and its plaintext's length.
    pub(super) async fn seal(
        &self,
        bench: &Bench<'_>,
        key: &KeyName,
        version: &Version,
        items: Vec<Result<(Zeroizing<Vec<u8>>, EncryptionContext)>>,
    ) -> Result<Vec<Result<(Vec<u8>, usize)>>> {
        let deployment = &bench.view.founded()?.name;
        let checked: Vec<Result<_>> = items.into_iter().map(|i| i.and_then(fits_in)).collect();
        let wanted = checked.iter().flatten().count();
        self.counts
            .spend(
                &*self.parts.store,
                &version.id,
                u64::try_from(wanted).unwrap_or(u64::MAX),
            )
            .await?;
        let nonces = self.random(wanted.saturating_mul(12)).await?;
        let mut nonces = nonces.chunks_exact(12);
        let mut prepared = Vec::new();
        for item in checked {
            prepared.push(item.and_then(|(plaintext, context)| {
                let nonce = nonces.next().and_then(|n| <[u8; 12]>::try_from(n).ok());
                let nonce = nonce.ok_or_else(|| Error::internal("the HSM gave too few bytes"))?;
                let aad = context.associated_data(deployment, key, &version.id);
                Ok((nonce, aad, plaintext))
            }));
        }
        let outputs = self
            .visit(bench, version, &prepared, |(nonce, aad, plaintext)| {
                Op::GcmEncrypt {
                    nonce: *nonce,
                    aad: aad.clone(),
                    plaintext: plaintext.clone(),
                }
            })
            .await?;
        let envelope = |output: Output, item: &Result<Prepared>| {
            let (nonce, _, plaintext) = item.as_ref().map_err(Clone::clone)?;
            let sealed = Envelope {
                id: version.id,
                nonce: *nonce,
                body: output.to_vec(),
            };
            Ok((sealed.to_bytes(), plaintext.len()))
        };
        Ok(outputs
            .into_iter()
            .zip(&prepared)
            .map(|(o, item)| envelope(o?, item))
            .collect())
    }

    /// Decrypts each item, whatever version of the key protected it.
    pub(super) async fn open_sealed(
        &self,
        bench: &Bench<'_>,
        name: &KeyName,
        items: &[Sealed],
    ) -> Result<Vec<Result<(Zeroizing<Vec<u8>>, VersionName)>>> {
        let deployment = &bench.view.founded()?.name;
        let (key, _) = bench.view.key(name).ok_or_else(|| Error::not_found(name))?;
        let (mut work, mut places) = (Vec::new(), Vec::new());
        for item in items {
            let prepared = item
                .context
                .as_ref()
                .map_err(Clone::clone)
                .and_then(|context| {
                    let envelope = Envelope::parse(&item.ciphertext)?;
                    let version = protected_by(bench, key, &envelope)?;
                    let aad = context.associated_data(deployment, name, &envelope.id);
                    let op = Op::GcmDecrypt {
                        nonce: envelope.nonce,
                        aad,
                        ciphertext: envelope.body,
                    };
                    Ok((
                        Work {
                            id: version.id,
                            fingerprint: fingerprint(version)?,
                            op,
                        },
                        version,
                    ))
                });
            places.push(prepared.map(|(prepared, version)| {
                work.push(prepared);
                version.name.clone()
            }));
        }
        let outputs = if work.is_empty() {
            vec![]
        } else {
            self.parts.hsm.apply(bench.permit, work).await?
        };
        let mut outputs = outputs.into_iter();
        let mut answer = || {
            outputs
                .next()
                .ok_or_else(|| Error::internal("the HSM gave too few answers"))?
        };
        Ok(places
            .into_iter()
            .map(|place| place.and_then(|v| Ok((answer()?, v))))
            .collect())
    }

    /// One visit to the token for all items of one version that are fit for it.
    pub(super) async fn visit<T>(
        &self,
        bench: &Bench<'_>,
        version: &Version,
        items: &[Result<T>],
        op: impl Fn(&T) -> Op,
    ) -> Result<Vec<Result<Output>>> {
        let recorded = fingerprint(version)?;
        let work: Vec<Work> = items
            .iter()
            .flatten()
            .map(|item| Work {
                id: version.id,
                fingerprint: recorded.clone(),
                op: op(item),
            })
            .collect();
        let outputs = if work.is_empty() {
            vec![]
        } else {
            self.parts.hsm.apply(bench.permit, work).await?
        };
        let mut outputs = outputs.into_iter();
        let mut answer = || {
            outputs
                .next()
                .ok_or_else(|| Error::internal("the HSM gave too few answers"))?
        };
        let each = |item: &Result<T>| item.as_ref().map_err(Clone::clone).map(|_| ());
        Ok(items
            .iter()
            .map(|item| each(item).and_then(|()| answer()))
            .collect())
    }

    pub(super) async fn random(&self, length: usize) -> Result<Zeroizing<Vec<u8>>> {
        if length == 0 {
            return Ok(Zeroizing::new(vec![]));
        }
        let bytes = self
            .parts
            .hsm
            .random(&Permit::system(SystemOp::Random), length)
            .await?;
        if bytes.len() == length {
            Ok(bytes)
        } else {
            Err(Error::internal("the HSM gave too few random bytes"))
        }
    }
}

/// A nonce, associated data, and a plaintext.
type Prepared = ([u8; 12], Vec<u8>, Zeroizing<Vec<u8>>);

type PlainItem = (Zeroizing<Vec<u8>>, EncryptionContext);

fn fits_in(item: PlainItem) -> Result<PlainItem> {
    if item.0.len() <= PLAINTEXT_MAX {
        Ok(item)
    } else {
        Err(Error::invalid(
            "plaintext",
            "at most 64 KiB are encrypted in the HSM; ask for a data key and encrypt at your side",
        ))
    }
}

/// The version that protected this, if it is one of the expected key and may process.
fn protected_by<'a>(bench: &Bench<'a>, key: &Key, envelope: &Envelope) -> Result<&'a Version> {
    if envelope.id.uid != key.uid {
        let sentence = format!("this ciphertext was not made with {}", key.name);
        return Err(Error::invalid("ciphertext", sentence));
    }
    let name = key.name.version(envelope.id.version);
    let (version, _) = bench.view.version(&name).ok_or_else(|| {
        Error::invalid(
            "ciphertext",
            format!("{name}, which would have made this, does not exist"),
        )
    })?;
    if bench.permit.covers(&version.id) {
        Ok(version)
    } else {
        Err(Error::state(format!(
            "{name} is {}, which does not allow decryption",
            version.state
        )))
    }
}
