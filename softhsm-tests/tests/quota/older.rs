//! A deployment that an earlier release made has no key for digests: a start makes it.

use crate::LINK;
use crate::clock::{BINDINGS, DEPLOYMENT, World};
use kms_core::binding::Binding;
use kms_core::caller::Caller;
use kms_core::class::Class;
use kms_core::command::{Change, Command, Use};
use kms_core::deployment::Deployment;
use kms_core::error::{Error, Kind};
use kms_core::name::{ATTESTATION_KEY, DIGEST_KEY, IMPORT_TOKEN_KEY, SERVICE_SPACE};
use kms_core::pseudonym::Identifier;
use kms_core::quota::Batch;
use kms_core::space::{Space, SpaceKind};
use kms_core::time::Time;
use kms_core::value::{Document, DocumentName, Value};
use kms_server::engine::Call;
use kms_server::init::complete;
use serde::Deserialize;
use softhsm_tests::program::repository;
use std::fs;
use uuid::Uuid;
use zeroize::Zeroizing;

#[derive(Deserialize)]
struct Bindings {
    bindings: Vec<Binding>,
}

/// What `init` asked before there were digests.
fn changes() -> Vec<Change> {
    let policy = repository().join("ops/policy");
    let document = |document, file: &str| {
        let text = fs::read_to_string(policy.join(file)).unwrap();
        Value::Document(Document { document, text })
    };
    let name = SERVICE_SPACE.parse().unwrap();
    let title = "The deployment's own keys".to_owned();
    let bindings: Bindings = serde_saphyr::from_str(BINDINGS).unwrap();
    let mut values = vec![
        document(DocumentName::Schema, "schema.cedarschema"),
        document(DocumentName::Policy, "policy.cedar"),
        Value::Space(Space::new(name, title, SpaceKind::Platform, Time(1))),
    ];
    values.extend(bindings.bindings.into_iter().map(Value::Binding));
    let found = |value| Change::Found(Box::new(value));
    let mut changes: Vec<Change> = values.into_iter().map(found).collect();
    for (name, class) in [
        (IMPORT_TOKEN_KEY, Class::ServiceImportToken),
        (ATTESTATION_KEY, Class::ServiceAttestation),
    ] {
        changes.push(own(name, class));
    }
    let mut deployment: Deployment = serde_saphyr::from_str(DEPLOYMENT).unwrap();
    deployment.created = Time(1);
    changes.push(found(Value::Deployment(deployment)));
    changes
}

fn own(name: &str, class: Class) -> Change {
    let name = name.parse().unwrap();
    Change::FoundKey { name, class }
}

fn founds(world: &World, change: Change) -> Result<(), Error> {
    let call = Call {
        caller: Caller::Founder,
        id: Uuid::new_v4().to_string(),
        request: None,
    };
    let engine = world.engine.as_ref().unwrap();
    let done = engine.run(call, Command::Change(change));
    world.runtime.block_on(done).map(drop)
}

fn evaluates(world: &World, batch: Option<Batch>) -> Result<(), Error> {
    let named = |n| Identifier::opaque(Zeroizing::new(format!("SYNTHETIC-{n}")));
    let usage = Use::Pseudonymise {
        edge: LINK.parse().unwrap(),
        identifiers: (0..2).map(named).collect(),
        batch,
    };
    world.asks("service/link", Command::Use(usage))
}

#[test]
fn a_start_makes_the_key_that_an_earlier_release_did_not() {
    let mut world = World::empty("quota-older");
    for change in changes() {
        founds(&world, change).unwrap();
    }
    world.furnish(r#"{"day":{"items":10}}"#);
    let run = || Some(Batch::new(Uuid::from_u128(7), 4, 0, 2).unwrap());
    // Everything is served but runs.
    evaluates(&world, None).unwrap();
    let refused = evaluates(&world, run()).unwrap_err();
    assert_eq!(refused.kind(), Kind::State);
    assert!(
        refused.message().contains("start the service again"),
        "{refused}"
    );

    let there = |world: &World| {
        let view = world.engine.as_ref().unwrap().view();
        view.versions(&DIGEST_KEY.parse().unwrap()).len()
    };
    assert_eq!(there(&world), 0);
    for _ in 0..2 {
        let engine = world.engine.as_ref().unwrap().clone();
        world.runtime.block_on(complete(&engine));
        drop(engine);
        assert_eq!(there(&world), 1, "made once");
    }
    evaluates(&world, run()).unwrap();
    // Nothing else is founded in a deployment that is there, and this neither, once it is.
    for change in [
        own(DIGEST_KEY, Class::ServiceDigest),
        own("spaces/kms/keys/other", Class::ServiceDigest),
        changes().remove(1),
    ] {
        assert_eq!(founds(&world, change).unwrap_err().kind(), Kind::Refused);
    }
    world.starts();
    evaluates(&world, run()).unwrap();
}
