//! Commands that use keys.

use super::{Call, DataKeyMade, Decrypted, Encrypted, Engine, ReEncrypted, Reply};
use crate::hsm::Op;
use kms_core::command::{Command, DataKey, Plain, Sealed, Use};
use kms_core::decide::decide;

use kms_core::error::{Error, Result};
use kms_core::key::Version;
use kms_core::name::{EdgeName, KeyName, VersionName};
use kms_core::permit::{Permit, SystemOp};
use kms_core::pseudonym::{Identifier, Pseudonym};
use kms_core::record::Counts;
use kms_core::view::View;
use zeroize::Zeroizing;

/// Where a use stands: what was decided, and on which view.
pub(super) struct Bench<'a> {
    pub(super) permit: &'a Permit,
    pub(super) view: &'a View,
}

/// What a use came to: the reply, and for each item how many bytes went through, or its error.
struct Done {
    reply: Reply,
    items: Vec<Result<usize>>,
    versions: Vec<VersionName>,
}

impl Engine {
    /// Uses keys, and records it before anything is answered.
    pub(super) async fn use_keys(&self, call: Call, usage: Use) -> Result<Reply> {
        let begun = self.parts.clock.monotonic();
        let asked = u64::try_from(usage.items()).unwrap_or(u64::MAX);
        let command = Command::Use(usage);
        let about = (command.action(), command.resource());
        let seat = self.seat.load_full();
        let decided = decide(seat.bench(Self::no_uid()), &call.caller, &command);
        let done = match (decided, command) {
            (Ok(permit), Command::Use(usage)) => {
                let bench = Bench {
                    permit: &permit,
                    view: &seat.view,
                };
                let policies = permit.policies().to_vec();
                self.perform(&call, &bench, usage)
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
                let mut versions: Vec<String> =
                    done.versions.iter().map(ToString::to_string).collect();
                versions.sort();
                versions.dedup();
                let counts = Counts {
                    items: asked,
                    failed: number(failed),
                    bytes: number(bytes),
                    versions,
                    policies,
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
        self.record_use(&call, about, outcome, counts, begun)
            .await?;
        reply
    }

    async fn perform(&self, call: &Call, bench: &Bench<'_>, usage: Use) -> Result<Done> {
        match usage {
            Use::Encrypt { key, items } => self.encrypt(bench, &key, items).await,
            Use::Decrypt { key, items } => self.decrypt(bench, &key, items).await,
            Use::ReEncrypt { key, items } => self.re_encrypt(bench, &key, items).await,
            Use::GenerateDataKey { key, items, reveal } => {
                self.data_keys(bench, &key, items, reveal).await
            }
            Use::Pseudonymise { edge, identifiers } => {
                self.pseudonymise(bench, &edge, identifiers).await
            }
            Use::GetImportParameters {
                key,
                wrapping,
                mechanism,
            } => {
                let asked = (&key, &wrapping, mechanism);
                let given = self
                    .import_parameters(call, bench.permit, bench.view, asked)
                    .await?;
                let versions = vec![given.wrapping.clone()];
                let reply = Reply::ImportParameters(Box::new(given));
                Ok(Done {
                    reply,
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
                    versions: vec![],
                })
            }
        }
    }

    async fn encrypt(&self, bench: &Bench<'_>, key: &KeyName, items: Vec<Plain>) -> Result<Done> {
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
            items: counted,
            versions: vec![version.name.clone()],
        })
    }

    async fn decrypt(&self, bench: &Bench<'_>, key: &KeyName, items: Vec<Sealed>) -> Result<Done> {
        let opened = self.open_sealed(bench, key, &items).await?;
        let (mut results, mut counted, mut versions) = (Vec::new(), Vec::new(), Vec::new());
        for item in opened {
            counted.push(item.as_ref().map(|(p, _)| p.len()).map_err(Clone::clone));
            versions.extend(item.as_ref().ok().map(|(_, version)| version.clone()));
            results.push(item.map(|(plaintext, version)| Decrypted { plaintext, version }));
        }
        Ok(Done {
            reply: Reply::Decrypted(results),
            items: counted,
            versions,
        })
    }

    async fn re_encrypt(
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
        let mut versions: Vec<VersionName> = formers.into_iter().flatten().collect();
        versions.push(version.name.clone());
        Ok(Done {
            reply: Reply::ReEncrypted(results),
            items: counted,
            versions,
        })
    }

    async fn data_keys(
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
        let versions = vec![version.name.clone()];
        Ok(Done {
            reply: Reply::DataKeys(results),
            items: counted,
            versions,
        })
    }

    async fn pseudonymise(
        &self,
        bench: &Bench<'_>,
        name: &EdgeName,
        identifiers: Vec<Result<Identifier>>,
    ) -> Result<Done> {
        let (edge, _) = bench
            .view
            .edge(name)
            .ok_or_else(|| Error::not_found(name))?;
        let version = primary(bench.view, &edge.key)?;
        let inputs: Vec<Result<Zeroizing<Vec<u8>>>> = identifiers
            .into_iter()
            .map(|i| i.and_then(|i| fits(bench.view, edge, &i).map(|()| i.canonical())))
            .collect();
        let work = |input: &Zeroizing<Vec<u8>>| Op::Hmac {
            input: input.clone(),
        };
        let outputs = self.visit(bench, version, &inputs, work).await?;
        let number = version.name.number();
        let (mut results, mut counted) = (Vec::new(), Vec::new());
        for output in outputs {
            let text = output.and_then(|output| {
                Pseudonym::of_output(edge.code.clone(), number, &output)?.to_text()
            });
            counted.push(text.as_ref().map(String::len).map_err(Clone::clone));
            results.push(text.map(Zeroizing::new));
        }
        Ok(Done {
            reply: Reply::Pseudonyms(results, version.name.clone()),
            items: counted,
            versions: vec![version.name.clone()],
        })
    }
}

fn primary<'a>(view: &'a View, key: &KeyName) -> Result<&'a Version> {
    let (key, _) = view.key(key).ok_or_else(|| Error::not_found(key))?;
    view.primary(key)
        .ok_or_else(|| Error::internal("a permit without a primary version"))
}

/// Whether an identifier is what the edge evaluates.
fn fits(view: &View, edge: &kms_core::space::Edge, identifier: &Identifier) -> Result<()> {
    if identifier.input_type() != edge.input {
        let sentence = format!(
            "{} evaluates identifiers of type {}",
            edge.name,
            edge.input.name()
        );
        return Err(Error::invalid("identifier", sentence));
    }
    let Identifier::Pseudonym(parent) = identifier else {
        return Ok(());
    };
    let source = view
        .domain(edge.name.domain())
        .and_then(|(d, _)| d.source.as_ref());
    let way_in = view
        .edge_of_code(&parent.code)
        .filter(|e| Some(e.name.target()) == source);
    let way_in = way_in.ok_or_else(|| {
        let sentence = format!(
            "this is not a pseudonym of {}'s source space",
            edge.name.domain()
        );
        Error::invalid("identifier", sentence)
    })?;
    let current = view.key(&way_in.key).and_then(|(key, _)| key.primary);
    if current == Some(parent.version) {
        Ok(())
    } else {
        Err(Error::invalid(
            "identifier",
            "this pseudonym was made by a version of its edge's key that is not the current one; translate it first",
        ))
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
