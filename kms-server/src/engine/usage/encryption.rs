//! Encryption, decryption, and keys for data.

use super::touched::Touched;
use super::{Bench, Done, number, primary};
use crate::engine::import::fingerprint;
use crate::engine::{DataKeyMade, Decrypted, Encrypted, Engine, ReEncrypted, Reply};
use crate::hsm::{Op, Output, Work};
use kms_core::command::{DataKey, Plain, Sealed};
use kms_core::envelope::{EncryptionContext, Envelope, PLAINTEXT_MAX};
use kms_core::error::{Error, Result};
use kms_core::key::{Key, Version};
use kms_core::lifecycle::Spent;
use kms_core::name::{KeyName, VersionName};
use zeroize::Zeroizing;

impl Engine {
    pub(super) async fn encrypt(
        &self,
        bench: &Bench<'_>,
        key: &KeyName,
        items: Vec<Plain>,
    ) -> Result<Done> {
        let version = primary(bench.view, key)?;
        let plain = items
            .into_iter()
            .map(|item| Ok((item.plaintext, item.context?)))
            .collect();
        let sealed = self.seal(bench, key, version, plain).await?;
        let (mut results, mut counted) = (Vec::new(), Vec::new());
        for item in sealed {
            counted.push(item.as_ref().map(|(_, bytes)| *bytes).map_err(Clone::clone));
            results.push(item.map(|(ciphertext, _)| Encrypted {
                ciphertext,
                version: version.name.clone(),
            }));
        }
        Ok(Done {
            reply: Reply::Encrypted(results),
            versions: Touched::protecting(&version.name, &counted),
            items: counted,
        })
    }

    pub(super) async fn decrypt(
        &self,
        bench: &Bench<'_>,
        key: &KeyName,
        items: Vec<Sealed>,
    ) -> Result<Done> {
        let opened = self.open_sealed(bench, key, &items).await?;
        let (mut results, mut counted) = (Vec::new(), Vec::new());
        let mut versions = Touched::default();
        for item in opened {
            counted.push(item.as_ref().map(|(p, _)| p.len()).map_err(Clone::clone));
            if let Ok((_, version)) = &item {
                versions.processed(version);
            }
            results.push(item.map(|(plaintext, version)| Decrypted { plaintext, version }));
        }
        Ok(Done {
            reply: Reply::Decrypted(results),
            items: counted,
            versions,
        })
    }

    pub(super) async fn re_encrypt(
        &self,
        bench: &Bench<'_>,
        key: &KeyName,
        items: Vec<Sealed>,
    ) -> Result<Done> {
        let opened = self.open_sealed(bench, key, &items).await?;
        let version = primary(bench.view, key)?;
        let (mut plain, mut formers) = (Vec::new(), Vec::new());
        for (item, opened) in items.into_iter().zip(opened) {
            formers.push(opened.as_ref().ok().map(|(_, former)| former.clone()));
            plain.push(opened.and_then(|(plaintext, _)| Ok((plaintext, item.context?))));
        }
        let sealed = self.seal(bench, key, version, plain).await?;
        let (mut results, mut counted) = (Vec::new(), Vec::new());
        for (item, former) in sealed.into_iter().zip(&formers) {
            counted.push(item.as_ref().map(|(_, bytes)| *bytes).map_err(Clone::clone));
            results.push(item.map(|(ciphertext, _)| ReEncrypted {
                ciphertext,
                version: version.name.clone(),
                former: former.clone().unwrap_or_else(|| version.name.clone()),
            }));
        }
        let mut versions = Touched::protecting(&version.name, &counted);
        for former in formers.iter().flatten() {
            versions.processed(former);
        }
        Ok(Done {
            reply: Reply::ReEncrypted(results),
            items: counted,
            versions,
        })
    }

    pub(super) async fn data_keys(
        &self,
        bench: &Bench<'_>,
        key: &KeyName,
        items: Vec<DataKey>,
        reveal: bool,
    ) -> Result<Done> {
        let version = primary(bench.view, key)?;
        let lengths: Vec<usize> = items
            .iter()
            .map(|i| i.length.clone().unwrap_or(0))
            .collect();
        let mut random = self.random(lengths.iter().sum()).await?;
        let (mut plain, mut shown) = (Vec::new(), Vec::new());
        for (item, length) in items.into_iter().zip(lengths) {
            let made = Zeroizing::new(random.drain(..length).collect::<Vec<u8>>());
            shown.push(reveal.then(|| made.clone()));
            plain.push(item.length.and_then(|_| Ok((made, item.context?))));
        }
        let sealed = self.seal(bench, key, version, plain).await?;
        let (mut results, mut counted) = (Vec::new(), Vec::new());
        for (item, plaintext) in sealed.into_iter().zip(shown) {
            counted.push(item.as_ref().map(|(_, bytes)| *bytes).map_err(Clone::clone));
            results.push(item.map(|(ciphertext, _)| DataKeyMade {
                plaintext,
                ciphertext,
                version: version.name.clone(),
            }));
        }
        Ok(Done {
            reply: Reply::DataKeys(results),
            versions: Touched::protecting(&version.name, &counted),
            items: counted,
        })
    }

    /// Encrypts each item under a version; the nonces come from the token's generator, and the
    /// count is durable before it is spent. Gives each ciphertext and its plaintext's length.
    async fn seal(
        &self,
        bench: &Bench<'_>,
        key: &KeyName,
        version: &Version,
        items: Vec<Result<(Zeroizing<Vec<u8>>, EncryptionContext)>>,
    ) -> Result<Vec<Result<(Vec<u8>, usize)>>> {
        let deployment = &bench.view.founded()?.name;
        let checked: Vec<Result<_>> = items.into_iter().map(|i| i.and_then(fits_in)).collect();
        let wanted = checked.iter().flatten().count();
        let bytes = checked.iter().flatten().map(|(text, _)| text.len()).sum();
        let spent = Spent {
            encryptions: number(wanted),
            bytes: number(bytes),
        };
        let (held, _) = bench.view.key(key).ok_or_else(|| Error::not_found(key))?;
        let life = bench.view.lifecycle(held);
        self.count_encryptions(&version.id, life, spent).await?;
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
    async fn open_sealed(
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
        let why = match version.destruction {
            Some(_) => "will be destroyed and does nothing until then".to_owned(),
            None if bench.view.is_burnt(&version.id) => {
                "is being destroyed: the HSM may have lost it already".to_owned()
            }
            None => format!("is {}, which does not allow decryption", version.state),
        };
        Err(Error::state(format!("{name} {why}")))
    }
}
