//! Requests that a client may send again: the same id within 24 hours gives the same result, never
//! a second key; the same id with another body is refused.

use super::{Engine, ImportParameters, Reply, store_fault};
use crate::store::{Store, Write};
use data_encoding::HEXLOWER;
use kms_core::caller::Caller;
use kms_core::command::Change;
use kms_core::error::{Error, Result};
use kms_core::record::RequestTag;
use kms_core::time::{HOUR, Time};
use kms_core::value::{Stamped, Value};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// How long a request is remembered, in milliseconds.
pub(super) const REMEMBERED: u64 = 24 * HOUR;

/// What is remembered of a request, under `local/requests/{caller}/{id}`. It is written in the same
/// commit as what it made, so that its own revision is the result's.
#[derive(Debug, Serialize, Deserialize)]
struct Memory {
    digest: String,
    time: Time,
    result: Remembered,
}

/// A result that is remembered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Remembered {
    /// A resource that was made or moved.
    Resource(Box<Value>),
    /// Import parameters.
    ImportParameters(Box<ImportParameters>),
}

/// The tag of a change: its client's id and a digest of what it asks.
pub(super) fn tag(id: Uuid, change: &Change) -> Result<RequestTag> {
    tagged(id, &(change.action(), change))
}

/// The tag of whatever is asked.
pub(super) fn tagged(id: Uuid, body: &impl Serialize) -> Result<RequestTag> {
    let body = serde_json::to_vec(body)
        .map_err(|e| Error::internal(format!("a request's digest: {e}")))?;
    Ok(RequestTag {
        id,
        digest: HEXLOWER.encode(&Sha256::digest(&body)),
    })
}

fn name(caller: &str, id: Uuid) -> String {
    // An identity is `spiffe://...`: only its digest makes a store key of any identity.
    let caller = HEXLOWER.encode(&Sha256::digest(caller.as_bytes()));
    format!("local/requests/{caller}/{id}")
}

/// What remembers a request, to be written with what it made.
pub(super) fn memory(
    caller: &str,
    tag: &RequestTag,
    now: Time,
    result: Remembered,
) -> Result<Write> {
    let memory = Memory {
        digest: tag.digest.clone(),
        time: now,
        result,
    };
    let bytes = serde_json::to_vec(&memory).map_err(|e| Error::internal(e.to_string()))?;
    Ok(Write::Put(name(caller, tag.id), bytes))
}

impl Engine {
    /// The result of this very request, if it was carried out before.
    pub(super) async fn remembered(
        &self,
        caller: &Caller,
        tag: &RequestTag,
    ) -> Result<Option<Reply>> {
        let entry = self
            .parts
            .store
            .get(&name(&caller.to_string(), tag.id))
            .await;
        let Some(entry) = entry.map_err(|e| store_fault(&e))? else {
            return Ok(None);
        };
        let memory = decode(&entry.value)?;
        if expired(&memory, self.now()) {
            return Ok(None);
        }
        if memory.digest != tag.digest {
            return Err(Error::invalid(
                "request_id",
                "this request_id was used for another request; choose a new one",
            ));
        }
        Ok(Some(match memory.result {
            Remembered::Resource(value) => {
                let revision = entry.revision;
                Reply::Resource(Box::new(Stamped {
                    value: *value,
                    revision,
                }))
            }
            Remembered::ImportParameters(given) => Reply::ImportParameters(given),
        }))
    }

    /// Forgets what is older than 24 hours.
    pub(super) async fn forget_old_requests(&self) -> Result<()> {
        let store: &dyn Store = &*self.parts.store;
        let mut after: Option<String> = None;
        loop {
            let page = store.scan("local/requests/", after.as_deref(), PAGE).await;
            let page = page.map_err(|e| store_fault(&e))?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.key.clone());
            let now = self.now();
            let old = page
                .into_iter()
                .filter(|e| decode(&e.value).is_ok_and(|m| expired(&m, now)));
            let writes: Vec<Write> = old.map(|e| Write::Delete(e.key)).collect();
            if !writes.is_empty() {
                store
                    .commit(&[], &writes)
                    .await
                    .map_err(|e| store_fault(&e))?;
            }
        }
    }
}

/// So many fit into one commit.
const PAGE: usize = 64;

fn decode(bytes: &[u8]) -> Result<Memory> {
    serde_json::from_slice(bytes).map_err(|e| Error::internal(format!("a remembered request: {e}")))
}

fn expired(memory: &Memory, now: Time) -> bool {
    memory.time.plus_millis(REMEMBERED) <= now
}
