//! Commands that use keys.

mod chain;
mod encryption;
mod pseudonyms;
mod recognised;
mod touched;
mod translation;

use crate::engine::import::fingerprint;
use crate::engine::{Call, Engine, Reply};
use crate::hsm::{Op, Output, Work};
use kms_core::command::{Command, Use};
use kms_core::decide::{Verdict, decide};
use kms_core::error::{Error, Result};
use kms_core::key::Version;
use kms_core::name::KeyName;
use kms_core::permit::{Permit, SystemOp};
use kms_core::quota::{Content, Reached};
use kms_core::record::{Counts, RunPart};
use kms_core::view::View;
use touched::Touched;
use zeroize::Zeroizing;

/// Where a use stands: what was decided, and on which view.
struct Bench<'a> {
    permit: &'a Permit,
    view: &'a View,
}

/// What a use came to: the reply, and for each item how many bytes went through, or its error.
struct Done {
    reply: Reply,
    items: Vec<Result<usize>>,
    versions: Touched,
}

/// What a use has to say for the record, whether or not it is answered.
#[derive(Debug, Default)]
pub(super) struct Noted {
    pub(super) digest: Option<String>,
    pub(super) run: Option<RunPart>,
    pub(super) quota: Vec<Reached>,
}

impl Engine {
    /// Uses keys, and records it before anything is answered.
    pub(in crate::engine) async fn use_keys(&self, call: Call, usage: Use) -> Result<Reply> {
        let begun = self.parts.clock.monotonic();
        let asked = u64::try_from(usage.items()).unwrap_or(u64::MAX);
        let command = Command::Use(usage);
        let about = (command.action(), command.resource());
        let seat = self.seat.load_full();
        let bench = self.bench(&seat, Self::no_uid());
        let decided = decide(bench, &call.caller, &command).and_then(Verdict::permit);
        let mut noted = Noted::default();
        let done = match (decided, command) {
            (Ok(permit), Command::Use(usage)) => {
                let bench = Bench {
                    permit: &permit,
                    view: &seat.view,
                };
                let policies = permit.policies().to_vec();
                self.perform(&call, &bench, usage, &mut noted)
                    .await
                    .map(|done| (done, policies))
            }
            (Ok(_), Command::Change(_) | Command::Read(_)) => {
                Err(Error::internal("a use became something else"))
            }
            (Err(error), _) => Err(error),
        };
        let (outcome, counts, reply) = match done {
            Ok((done, policies)) => {
                let failed = done.items.iter().filter(|i| i.is_err()).count();
                let bytes = done.items.iter().flatten().sum();
                // When nothing came of it, the record says why.
                let outcome = match done.items.iter().find(|i| i.is_err()) {
                    Some(Err(error)) if failed == done.items.len() => Err(error.clone()),
                    Some(_) | None => Ok(()),
                };
                let counts = Counts {
                    items: asked,
                    failed: number(failed),
                    bytes: number(bytes),
                    versions: done.versions.told(),
                    policies,
                    ..Counts::default()
                };
                (outcome, counts, Ok(done.reply))
            }
            Err(error) => (
                Err(error.clone()),
                Counts {
                    items: asked,
                    failed: asked,
                    ..Counts::default()
                },
                Err(error),
            ),
        };
        let counts = Counts {
            digest: noted.digest,
            run: noted.run,
            quota: noted.quota,
            ..counts
        };
        self.record_use(&call, about, outcome, counts, begun)
            .await?;
        reply
    }

    async fn perform(
        &self,
        call: &Call,
        bench: &Bench<'_>,
        usage: Use,
        noted: &mut Noted,
    ) -> Result<Done> {
        match &usage {
            Use::Pseudonymise {
                identifiers, batch, ..
            } => {
                let content = Content::of(identifiers);
                self.charge_call(call, bench, (&usage, batch.as_ref()), &content, noted)
                    .await?;
            }
            Use::Translate {
                passages, batch, ..
            } => {
                let content = Content::of_passages(passages);
                self.charge_call(call, bench, (&usage, batch.as_ref()), &content, noted)
                    .await?;
            }
            Use::Encrypt { .. }
            | Use::Decrypt { .. }
            | Use::ReEncrypt { .. }
            | Use::GenerateDataKey { .. }
            | Use::ChainPerson { .. }
            | Use::GetImportParameters { .. }
            | Use::CheckImport { .. }
            | Use::Attest { .. }
            | Use::GenerateRandom { .. } => {
                self.charge(bench.view, call, &usage, noted).await?;
            }
        }
        match usage {
            Use::Encrypt { key, items } => self.encrypt(bench, &key, items).await,
            Use::Decrypt { key, items } => self.decrypt(bench, &key, items).await,
            Use::ReEncrypt { key, items } => self.re_encrypt(bench, &key, items).await,
            Use::GenerateDataKey { key, items, reveal } => {
                self.data_keys(bench, &key, items, reveal).await
            }
            Use::Pseudonymise {
                edge, identifiers, ..
            } => self.pseudonymise(bench, &edge, identifiers).await,
            Use::ChainPerson {
                edge, identifier, ..
            } => self.follow(bench, &edge, &identifier).await,
            Use::Translate { edge, passages, .. } => self.translate(bench, &edge, passages).await,
            Use::GetImportParameters {
                key,
                wrapping,
                mechanism,
            } => {
                let asked = (&key, &wrapping, mechanism);
                let given = self
                    .import_parameters(call, bench.permit, bench.view, asked)
                    .await?;
                // Outside, a key will be wrapped under it.
                let mut versions = Touched::default();
                versions.protected(&given.parameters.wrapper.version);
                let reply = Reply::ImportParameters(Box::new(given));
                Ok(Done {
                    reply,
                    items: vec![Ok(0)],
                    versions,
                })
            }
            Use::CheckImport {
                key,
                token,
                mac,
                bytes,
            } => {
                let asked = (&key, &token, &mac, bytes.as_slice());
                self.check_import(bench.permit, bench.view, asked).await?;
                let mut versions = Touched::default();
                versions.processed(&token.wrapping);
                Ok(Done {
                    reply: Reply::Checked,
                    items: vec![Ok(bytes.len())],
                    versions,
                })
            }
            Use::Attest { subject } => {
                let attestation = self.attest(bench.permit, bench.view, subject).await?;
                let mut versions = Touched::default();
                versions.protected(&attestation.signed.signer);
                Ok(Done {
                    reply: Reply::Attestation(Box::new(attestation)),
                    items: vec![Ok(0)],
                    versions,
                })
            }
            Use::GenerateRandom { length } => {
                let permit = Permit::system(SystemOp::Random);
                let random = self.parts.hsm.random(&permit, length).await?;
                Ok(Done {
                    reply: Reply::Random(random),
                    items: vec![Ok(length)],
                    versions: Touched::default(),
                })
            }
        }
    }

    /// One visit to the token for all items of one version that are fit for it.
    async fn visit<T>(
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

    async fn random(&self, length: usize) -> Result<Zeroizing<Vec<u8>>> {
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

fn primary<'a>(view: &'a View, key: &KeyName) -> Result<&'a Version> {
    let (key, _) = view.key(key).ok_or_else(|| Error::not_found(key))?;
    view.primary(key)
        .ok_or_else(|| Error::internal("a permit without a primary version"))
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
