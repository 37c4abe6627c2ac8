//! What is in the audit log: one JSON object for each entry, OCSF API Activity (class 6003).
//!
//! The bytes of an entry are final when written: they become the leaves of a Merkle tree. What is
//! ours and not OCSF's stands under `unmapped.kms`. No identifier, pseudonym, plaintext, encryption
//! context or key material is ever in a record.

mod event;

pub use event::{
    Counts, Detail, Event, INTENTION_MAX, Intention, Outcome, RequestTag, RunPart, Settled, Used,
    state_digest,
};

use crate::action::{Action, Effect};
use crate::caller::{Caller, Sort};
use crate::command::LogName;
use crate::error::{Error, Kind, Result};
use crate::name::Slug;
use crate::time::Time;
use serde::{Deserialize, Serialize};

/// An entry of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    metadata: Metadata,
    time: Time,
    category_uid: u8,
    class_uid: u16,
    activity_id: u8,
    type_uid: u32,
    severity_id: u8,
    status_id: u8,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    status_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    duration: Option<u64>,
    actor: Actor,
    api: Api,
    src_endpoint: Endpoint,
    resources: Vec<Resource>,
    unmapped: Unmapped,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Metadata {
    version: String,
    log_name: String,
    sequence: u64,
    product: Product,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Product {
    name: String,
    vendor_name: String,
    version: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Actor {
    user: User,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    session: Option<Session>,
}

/// A person's sign-in at the OpenID provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Session {
    issuer: String,
    created_time: Time,
    is_mfa: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct User {
    uid: String,
    #[serde(rename = "type")]
    sort: String,
    type_id: u8,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    credential_uid: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Api {
    operation: String,
    request: Request,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Request {
    uid: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Endpoint {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    hostname: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Resource {
    name: String,
    #[serde(rename = "type")]
    sort: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Unmapped {
    /// What the caller said that it was for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    purpose: Option<Slug>,
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    emergency: bool,
    kms: Detail,
}

impl Record {
    /// The record of an event at this index of a log.
    #[must_use]
    pub fn new(event: Event, log: LogName, index: u64) -> Self {
        let activity = activity(event.action);
        let error = event.result.as_ref().err();
        Record {
            metadata: Metadata {
                version: "1.6.0".into(),
                log_name: log.name().into(),
                sequence: index,
                product: Product {
                    name: "kms-server".into(),
                    vendor_name: "EMC2".into(),
                    version: env!("CARGO_PKG_VERSION").into(),
                },
            },
            time: event.time,
            category_uid: 6,
            class_uid: 6003,
            activity_id: activity,
            type_uid: 600_300 + u32::from(activity),
            severity_id: severity(&event),
            status_id: if error.is_some() { 2 } else { 1 },
            status_code: error.map(|e| e.kind().word().into()),
            message: error.map(|e| e.message().into()),
            duration: event.duration,
            actor: Actor {
                user: user(&event.caller),
                session: session(&event.caller),
            },
            api: Api {
                operation: event.action.name().into(),
                request: Request { uid: event.call },
            },
            src_endpoint: endpoint(&event.caller),
            resources: vec![Resource {
                sort: event.resource.0,
                name: event.resource.1,
            }],
            unmapped: Unmapped {
                purpose: event.caller.peer().and_then(|peer| peer.purpose.clone()),
                emergency: event.emergency,
                kms: event.detail,
            },
        }
    }

    /// The entry's bytes.
    ///
    /// # Errors
    /// `Internal` when the record has no JSON form.
    pub fn encode(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|e| Error::internal(format!("a record: {e}")))
    }

    /// The record of these bytes.
    ///
    /// # Errors
    /// `Internal` when they are not a record.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes).map_err(|e| Error::internal(format!("a record: {e}")))
    }

    /// Its index in its log.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.metadata.sequence
    }

    /// The log that it belongs to.
    #[must_use]
    pub fn log(&self) -> &str {
        &self.metadata.log_name
    }

    /// When it happened.
    #[must_use]
    pub fn time(&self) -> Time {
        self.time
    }

    /// Who asked: an identity.
    #[must_use]
    pub fn actor(&self) -> &str {
        &self.actor.user.uid
    }

    /// What was asked.
    #[must_use]
    pub fn operation(&self) -> &str {
        &self.api.operation
    }

    /// The call's own id.
    #[must_use]
    pub fn call(&self) -> &str {
        &self.api.request.uid
    }

    /// The first resource that it is about.
    #[must_use]
    pub fn resource(&self) -> Option<(&str, &str)> {
        self.resources
            .first()
            .map(|r| (r.sort.as_str(), r.name.as_str()))
    }

    /// What the caller was told, if it was an error: its word and its sentence.
    #[must_use]
    pub fn error(&self) -> Option<(&str, &str)> {
        Some((
            self.status_code.as_deref()?,
            self.message.as_deref().unwrap_or_default(),
        ))
    }

    /// Whether only a declared emergency allowed it.
    #[must_use]
    pub fn emergency(&self) -> bool {
        self.unmapped.emergency
    }

    /// The part that is ours.
    #[must_use]
    pub fn detail(&self) -> &Detail {
        &self.unmapped.kms
    }
}

/// Whether these bytes are an entry of this log at this index: what a torn write is told by. Asked
/// of every entry before it is written, so it looks at the ends and for the zeros that a disk
/// leaves, and parses nothing.
#[must_use]
pub fn is_entry(log: LogName, index: u64, bytes: &[u8]) -> bool {
    const PLACE: &[u8] = b"\"log_name\":";
    let place = format!("\"log_name\":\"{}\",\"sequence\":{index},", log.name());
    let head = bytes.get(..HEAD.min(bytes.len())).unwrap_or_default();
    // The first one counts: an entry is of one log.
    let said = head.windows(PLACE.len()).position(|w| w == PLACE);
    let said = said.and_then(|at| bytes.get(at..));
    bytes.starts_with(b"{\"metadata\":{")
        && said.is_some_and(|said| said.starts_with(place.as_bytes()))
        && bytes.ends_with(b"}}}")
        && !bytes.contains(&0)
}

/// Where an entry says which one it is.
const HEAD: usize = 128;

/// OCSF: 1 Create, 2 Read, 3 Update, 99 Other.
fn activity(action: Action) -> u8 {
    match action.effect() {
        Effect::Makes => 1,
        Effect::Reads => 2,
        Effect::Moves => 3,
        Effect::Protects | Effect::Processes => 99,
    }
}

/// OCSF: 1 Informational, 3 Medium, 4 High, 5 Critical.
fn severity(event: &Event) -> u8 {
    let reached = match &event.detail {
        Detail::Use(counts) => !counts.quota.is_empty(),
        Detail::Intention(_) | Detail::Outcome(_) => false,
    };
    // An edge's quota stands between a pseudonymiser and every identifier that there is.
    let least = if reached { 3 } else { 1 };
    least.max(severity_of(event))
}

fn severity_of(event: &Event) -> u8 {
    match event.result.as_ref().err().map(Error::kind) {
        Some(Kind::Refused) => 3,
        Some(Kind::Internal | Kind::Unknown) => 4,
        Some(
            Kind::Invalid
            | Kind::NotFound
            | Kind::Conflict
            | Kind::State
            | Kind::Pending
            | Kind::Exhausted
            | Kind::Unavailable,
        )
        | None => {
            if event.emergency || event.action == Action::DeclareEmergency {
                5
            } else if matches!(
                event.action,
                Action::CompromiseVersion | Action::DestroyVersion | Action::EraseSpace
            ) {
                4
            } else {
                1
            }
        }
    }
}

fn user(caller: &Caller) -> User {
    let (sort, type_id, credential_uid) = match caller {
        Caller::Peer(peer) => {
            let fingerprint = Some(peer.certificate.fingerprint().to_owned());
            match peer.identity().principal.sort() {
                Sort::Person => ("Person", 1, fingerprint),
                Sort::Service => ("Service", 4, fingerprint),
            }
        }
        Caller::Founder | Caller::Recovery | Caller::Scheduler => ("System", 3, None),
    };
    User {
        uid: caller.to_string(),
        sort: sort.into(),
        type_id,
        credential_uid,
    }
}

fn session(caller: &Caller) -> Option<Session> {
    let sign_in = caller.peer()?.sign_in.as_ref()?;
    Some(Session {
        issuer: sign_in.issuer.clone(),
        created_time: sign_in.auth_time,
        is_mfa: sign_in.strong,
    })
}

fn endpoint(caller: &Caller) -> Endpoint {
    match caller.peer().and_then(|peer| peer.source) {
        Some(address) => Endpoint {
            ip: Some(address.ip().to_string()),
            port: Some(address.port()),
            hostname: None,
        },
        None => Endpoint {
            ip: None,
            port: None,
            hostname: Some("localhost".into()),
        },
    }
}
