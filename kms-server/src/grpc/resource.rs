//! From our values to messages.

use crate::engine::VersionUsage;
use kms_core::class::Class;
use kms_core::key::{Export, Key, Moved, Origin, Version, Wrapping};
use kms_core::lifecycle::Lifecycle;
use kms_core::space::{Domain, Edge, InputType, Space, SpaceKind};
use kms_core::state::State;
use kms_core::time::Time;
use kms_core::usage::User;
use kms_core::value::{Stamped, Value};
use kms_proto::v1;
use std::cmp::Reverse;
use tonic::Status;

/// A message that one sort of value becomes.
pub(super) trait FromValue: Sized {
    fn from_value(stamped: &Stamped<Value>) -> Option<Self>;
}

/// The message of a resource.
pub(super) fn message<M: FromValue>(stamped: &Stamped<Value>) -> Result<M, Status> {
    M::from_value(stamped).ok_or_else(super::door::mismatch)
}

/// The messages of a page.
pub(super) fn messages<M: FromValue>(page: &[Stamped<Value>]) -> Result<Vec<M>, Status> {
    page.iter().map(message).collect()
}

pub(super) fn timestamp(time: Time) -> Option<prost_types::Timestamp> {
    let nanos = (time.0 % 1000).saturating_mul(1_000_000);
    Some(prost_types::Timestamp {
        seconds: i64::try_from(time.seconds()).unwrap_or(i64::MAX),
        nanos: i32::try_from(nanos).unwrap_or(0),
    })
}

pub(super) fn duration(millis: u64) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(millis / 1000).unwrap_or(i64::MAX),
        nanos: i32::try_from((millis % 1000).saturating_mul(1_000_000)).unwrap_or(0),
    }
}

pub(super) fn transition(moved: &Moved) -> v1::Transition {
    v1::Transition {
        time: timestamp(moved.time),
        actor: moved.actor.clone(),
        reason: moved.reason.clone(),
    }
}

fn lifecycle(said: &Lifecycle) -> Option<v1::Lifecycle> {
    let count = |count: Option<u64>| i64::try_from(count.unwrap_or(0)).unwrap_or(i64::MAX);
    (!said.is_silent()).then(|| v1::Lifecycle {
        protecting: said.protecting.map(duration),
        processing: said.processing.map(duration),
        encryptions: count(said.encryptions),
        bytes: count(said.bytes),
        quiet: said.quiet.map(duration),
    })
}

impl FromValue for v1::Space {
    fn from_value(stamped: &Stamped<Value>) -> Option<Self> {
        let space: &Space = stamped.value.as_space()?;
        let kind = match space.kind {
            SpaceKind::Ingest => v1::SpaceKind::Ingest,
            SpaceKind::Warehouse => v1::SpaceKind::Warehouse,
            SpaceKind::Project => v1::SpaceKind::Project,
            SpaceKind::Platform => v1::SpaceKind::Platform,
            SpaceKind::Outside => v1::SpaceKind::Outside,
        };
        Some(v1::Space {
            name: space.name.to_string(),
            title: space.title.clone(),
            kind: kind.into(),
            create_time: timestamp(space.created),
            etag: stamped.revision.to_string(),
            lifecycle: lifecycle(&space.lifecycle),
            archived: space.archived.as_ref().map(transition),
            decommissioned: space.decommission.as_ref().map(|d| transition(&d.moved)),
            erase_time: space.decommission.as_ref().and_then(|d| timestamp(d.erase)),
            erased: space.erased.as_ref().map(transition),
        })
    }
}

impl FromValue for v1::Domain {
    fn from_value(stamped: &Stamped<Value>) -> Option<Self> {
        let domain: &Domain = stamped.value.as_domain()?;
        Some(v1::Domain {
            name: domain.name.to_string(),
            title: domain.title.clone(),
            source: domain
                .source
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            create_time: timestamp(domain.created),
            etag: stamped.revision.to_string(),
        })
    }
}

impl FromValue for v1::Edge {
    fn from_value(stamped: &Stamped<Value>) -> Option<Self> {
        let edge: &Edge = stamped.value.as_edge()?;
        let input = match edge.input {
            InputType::Opaque => v1::InputType::Opaque,
            InputType::Pseudonym => v1::InputType::Pseudonym,
            InputType::Nir => v1::InputType::Nir,
        };
        Some(v1::Edge {
            name: edge.name.to_string(),
            code: edge.code.to_string(),
            input: input.into(),
            exportable: edge.exportable,
            key: edge.key.to_string(),
            create_time: timestamp(edge.created),
            etag: stamped.revision.to_string(),
        })
    }
}

fn origin(origin: Origin) -> i32 {
    match origin {
        Origin::Generated => v1::Origin::Generated.into(),
        Origin::External => v1::Origin::External.into(),
    }
}

pub(super) fn class(class: Class) -> v1::KeyClass {
    match class {
        Class::DataAtRest => v1::KeyClass::DataAtRest,
        Class::ImportWrapping => v1::KeyClass::ImportWrapping,
        Class::Pseudonymisation => v1::KeyClass::Pseudonymisation,
        Class::ServiceImportToken
        | Class::ServiceAttestation
        | Class::ServiceDigest
        | Class::ServiceImportParameters => v1::KeyClass::Service,
        Class::ServiceExchange => v1::KeyClass::Exchange,
    }
}

pub(super) fn state(state: State) -> v1::VersionState {
    match state {
        State::PreActive => v1::VersionState::PreActive,
        State::Active => v1::VersionState::Active,
        State::Suspended => v1::VersionState::Suspended,
        State::Deactivated => v1::VersionState::Deactivated,
        State::Compromised => v1::VersionState::Compromised,
        State::Destroyed => v1::VersionState::Destroyed,
    }
}

impl FromValue for v1::Key {
    fn from_value(stamped: &Stamped<Value>) -> Option<Self> {
        let key: &Key = stamped.value.as_key()?;
        Some(v1::Key {
            name: key.name.to_string(),
            class: class(key.class).into(),
            title: key.title.clone(),
            origin: origin(key.origin),
            exportable: key.exportable,
            primary: key
                .primary
                .map(|n| key.name.version(n).to_string())
                .unwrap_or_default(),
            labels: key.labels.clone(),
            create_time: timestamp(key.created),
            update_time: timestamp(key.updated),
            etag: stamped.revision.to_string(),
            study: key.study.as_ref().map(|study| v1::Study {
                purpose: study.purpose.to_string(),
                end_time: timestamp(study.ends),
            }),
            lifecycle: lifecycle(&key.lifecycle),
            rewrap: key.rewrap.as_ref().map(|rewrap| v1::Rewrap {
                versions: rewrap
                    .versions
                    .iter()
                    .map(|n| key.name.version(*n).to_string())
                    .collect(),
                end_time: timestamp(rewrap.until),
                started: Some(transition(&rewrap.moved)),
            }),
            intake: key.intake.as_ref().map(|intake| v1::Intake {
                class: class(intake.class).into(),
                mechanism: wrapping(intake.mechanism),
                two_steps: intake.two_steps,
                partner: text(intake.source.as_ref()),
            }),
        })
    }
}

impl FromValue for v1::KeyVersion {
    fn from_value(stamped: &Stamped<Value>) -> Option<Self> {
        let version: &Version = stamped.value.as_version()?;
        let learned = version.learned.clone();
        let imported = version.imported.as_ref();
        let other = |number: Option<u32>| {
            let name = number.map(|number| version.name.key().version(number));
            name.map(|name| name.to_string()).unwrap_or_default()
        };
        Some(v1::KeyVersion {
            name: version.name.to_string(),
            state: state(version.state).into(),
            compromised: version.compromised.is_some(),
            suspended_processing: version.suspended_processing,
            algorithm: version.algorithm.name().into(),
            origin: origin(version.origin),
            fingerprint: learned
                .as_ref()
                .map(|l| l.fingerprint.clone())
                .unwrap_or_default(),
            public_key: learned.and_then(|l| l.public_key).unwrap_or_default(),
            create_time: timestamp(version.created),
            state_time: timestamp(version.moved.time),
            state_reason: version.moved.reason.clone(),
            state_actor: version.moved.actor.clone(),
            import_wrapping_version: imported.map(|i| i.wrapping.to_string()).unwrap_or_default(),
            import_mechanism: imported
                .map(|i| i.mechanism.name().into())
                .unwrap_or_default(),
            etag: stamped.revision.to_string(),
            activate_time: version.activated.and_then(timestamp),
            retire_time: version.retired.and_then(timestamp),
            destruction: version.destruction.as_ref().map(|d| v1::Destruction {
                time: timestamp(d.at),
                forced: d.forced,
                scheduled: Some(transition(&d.moved)),
            }),
            layered_on: other(version.layered_on),
            first_stage_of: other(version.stage_of),
            exports: version.exports.iter().map(export).collect(),
            import_two_steps: imported.is_some_and(|i| i.two_steps),
            import_partner: text(imported.and_then(|i| i.source.as_ref())),
            import_actor: text(imported.and_then(|i| i.by.as_ref())),
            import_sha256: text(imported.and_then(|i| i.sha256.as_ref())),
        })
    }
}

fn export(export: &Export) -> v1::Export {
    v1::Export {
        destination: export.destination.to_string(),
        public_key_sha256: export.public_key_sha256.clone(),
        mechanism: export.mechanism.name().into(),
        moved: Some(transition(&export.moved)),
    }
}

/// What may be absent, as text.
fn text(value: Option<&impl ToString>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

/// The message's number of a wrapping mechanism.
pub(super) fn wrapping(mechanism: Wrapping) -> i32 {
    let message = match mechanism {
        Wrapping::OaepSha256 => v1::WrappingMechanism::RsaOaepSha256,
        Wrapping::OaepSha1 => v1::WrappingMechanism::RsaOaepSha1,
        Wrapping::RsaAesSha256 => v1::WrappingMechanism::RsaAesKwpSha256,
        Wrapping::RsaAesSha1 => v1::WrappingMechanism::RsaAesKwpSha1,
        Wrapping::AesKw => v1::WrappingMechanism::AesKw,
        Wrapping::AesKwp => v1::WrappingMechanism::AesKwp,
    };
    message.into()
}

/// How a version was used; whoever used it last stands first.
pub(super) fn usage(told: VersionUsage) -> v1::VersionUsage {
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let mut message = v1::VersionUsage {
        name: told.name.to_string(),
        counted_since: told.since.and_then(timestamp),
        ..v1::VersionUsage::default()
    };
    let Some(usage) = told.usage else {
        return message;
    };
    let mut users: Vec<(String, User)> = usage.users.into_iter().collect();
    users.sort_by_key(|(_, user)| Reverse(user.last));
    let user = |(principal, user): (String, User)| v1::VersionUser {
        principal,
        count: number(user.count),
        last_use_time: timestamp(user.last),
    };
    message.protected = number(usage.protected);
    message.processed = number(usage.processed);
    message.first_use_time = timestamp(usage.first);
    message.last_use_time = timestamp(usage.last);
    message.users = users.into_iter().map(user).collect();
    message.others = number(usage.others);
    message
}
