//! Moves wrapped data keys to the current version, many in one call. What is there already is left
//! alone: a ciphertext names its version, and which version is current is learnt from the answers.

use super::tally::Outcome;
use kms_client::{Client, Error, Kind, v1};
use kms_core::envelope::Envelope;
use kms_core::id::KeyId;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use v1::batch_re_encrypt_response::result::Result as Told;

/// One wrapped data key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) ciphertext: Vec<u8>,
    pub(super) context: BTreeMap<String, String>,
}

/// Moves what it is given.
#[derive(Debug)]
pub(super) struct Mover {
    client: Client,
    /// The version that protects, by the name of its key.
    current: Mutex<BTreeMap<String, KeyId>>,
}

impl Mover {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            current: Mutex::default(),
        }
    }

    /// Items of one key, as many as one call takes; one outcome for each, in their order.
    ///
    /// An error is not about an item: nothing is known of any.
    pub(super) async fn moved(&self, key: &str, items: Vec<Item>) -> Result<Vec<Outcome>, Error> {
        let mut asked = Vec::new();
        let mut outcomes: Vec<Option<Outcome>> = Vec::new();
        for (place, item) in items.into_iter().enumerate() {
            outcomes.push(None);
            asked.push((place, named(&item), item));
        }
        // One alone tells which version is current, so that the others are not sent for nothing.
        if self.current(key).is_none() && !asked.is_empty() {
            let rest = asked.split_off(1);
            self.ask(key, asked, &mut outcomes).await?;
            asked = rest;
        }
        let current = self.current(key);
        asked.retain(|(place, id, _)| {
            let there = id.is_some() && *id == current;
            if there && let (Some(slot), Some(id)) = (outcomes.get_mut(*place), id) {
                *slot = Some(Outcome::Current(version(key, id)));
            }
            !there
        });
        self.ask(key, asked, &mut outcomes).await?;
        let each = outcomes.into_iter();
        each.map(|outcome| outcome.ok_or_else(short_answer))
            .collect()
    }

    /// The version that an item names, if it is one of this key's.
    pub(super) fn version(&self, key: &str, item: &Item) -> Option<String> {
        let id = self.of_this(key, named(item))?;
        Some(version(key, &id))
    }

    async fn ask(
        &self,
        key: &str,
        asked: Vec<(usize, Option<KeyId>, Item)>,
        outcomes: &mut [Option<Outcome>],
    ) -> Result<(), Error> {
        if asked.is_empty() {
            return Ok(());
        }
        let (mut items, mut places) = (Vec::new(), Vec::new());
        for (
            place,
            id,
            Item {
                ciphertext,
                context,
            },
        ) in asked
        {
            places.push((place, id));
            items.push(v1::batch_re_encrypt_request::Item {
                ciphertext,
                context,
            });
        }
        let name = key.to_owned();
        let request = v1::BatchReEncryptRequest { name, items };
        let answer = self.client.batch_re_encrypt(request).await?;
        for ((place, id), result) in places.into_iter().zip(answer.results) {
            let outcome = match result.result {
                Some(Told::Ok(moved)) => self.learn(key, moved),
                Some(Told::Error(error)) => Outcome::Failed {
                    version: self.of_this(key, id).map(|id| version(key, &id)),
                    error: error.into(),
                },
                None => continue,
            };
            if let Some(slot) = outcomes.get_mut(place) {
                *slot = Some(outcome);
            }
        }
        Ok(())
    }

    fn learn(&self, key: &str, moved: v1::ReEncryptResponse) -> Outcome {
        if let Ok(envelope) = Envelope::parse(&moved.ciphertext) {
            let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
            let known = current.entry(key.to_owned()).or_insert(envelope.id);
            // The key may be rotated meanwhile.
            if known.version < envelope.id.version {
                *known = envelope.id;
            }
        }
        if moved.version == moved.former_version {
            return Outcome::Current(moved.version);
        }
        Outcome::Moved {
            from: moved.former_version,
            to: moved.version,
            ciphertext: moved.ciphertext,
        }
    }

    fn current(&self, key: &str) -> Option<KeyId> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.get(key).copied()
    }

    /// What names another key's version is under none of this key's.
    fn of_this(&self, key: &str, id: Option<KeyId>) -> Option<KeyId> {
        let current = self.current(key);
        id.filter(|id| current.is_none_or(|current| current.uid == id.uid))
    }
}

fn named(item: &Item) -> Option<KeyId> {
    Envelope::parse(&item.ciphertext).ok().map(|e| e.id)
}

fn version(key: &str, id: &KeyId) -> String {
    format!("{key}/versions/{}", id.version)
}

fn short_answer() -> Error {
    Error::new(Kind::Internal, "the service answered too few items")
}
