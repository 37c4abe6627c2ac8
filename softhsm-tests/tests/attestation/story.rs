//! What is destroyed, and what can be said of it afterwards.

use crate::world::World;
use crate::{kms, openssl};
use kms_core::class::Class;
use kms_core::command::{Change, Command, Plain, Use};
use kms_core::envelope::EncryptionContext;
use kms_core::key::Origin;
use kms_core::lifecycle::Lifecycle;
use kms_core::name::SpaceName;
use kms_core::space::SpaceKind;
use kms_core::time::{DAY, Time};
use kms_pkcs11::{Attribute, Mechanism, MechanismType, Template};
use std::collections::BTreeSet;
use std::fs;
use tonic::Code;
use zeroize::Zeroizing;

const FIRST: &str = "spaces/lab/keys/object/versions/1";
const CUSTODIANS: [&str; 2] = ["person/carl", "person/carol"];

/// A space with two data-at-rest keys, one of them with two versions, and one that uses them.
fn furnished(label: &str) -> World {
    let world = World::new(label);
    let space = Change::CreateSpace {
        name: "spaces/lab".parse().unwrap(),
        title: "A lab".into(),
        kind: SpaceKind::Project,
        lifecycle: Lifecycle::default(),
    };
    world.change("person/stella", &space).unwrap();
    for key in ["spaces/lab/keys/object", "spaces/lab/keys/backup"] {
        let key = Change::CreateKey {
            name: key.parse().unwrap(),
            class: Class::DataAtRest,
            title: "A key".into(),
            origin: Origin::Generated,
            exportable: false,
            labels: [].into(),
            study: None,
            lifecycle: Lifecycle::default(),
            intake: None,
        };
        world.change("person/stella", &key).unwrap();
    }
    let sealing = Use::Encrypt {
        key: "spaces/lab/keys/object".parse().unwrap(),
        items: vec![Plain {
            plaintext: Zeroizing::new(b"synthetic".to_vec()),
            context: EncryptionContext::new([("object".into(), "a".into())].into()),
        }],
    };
    world.ask("service/lyon", Command::Use(sealing)).unwrap();
    rotate(&world, "spaces/lab/keys/object");
    world
}

fn rotate(world: &World, key: &str) {
    let rotation = Change::RotateKey {
        name: key.parse().unwrap(),
        etag: None,
        reason: "a test".into(),
        pre_active: false,
    };
    world.change("person/olivia", &rotation).unwrap();
}

/// The first version goes: decided by three, done a month later.
fn destroy_first(world: &World) {
    let schedule = Change::ScheduleDestruction {
        name: FIRST.parse().unwrap(),
        etag: None,
        waiting: 30 * DAY,
        force: true,
        reason: "nothing refers to it".into(),
    };
    world.agreed("person/olivia", &schedule, &CUSTODIANS);
    let told = world.attest("person/audrey", FIRST).unwrap_err();
    assert_eq!(
        told.code(),
        Code::FailedPrecondition,
        "it is scheduled only"
    );
    world.days_pass(31);
    world.due(&["person/carl"]);
}

fn backup(world: &World, taken: Time, kept: u64) {
    let change = Change::DeclareBackup {
        title: "vault 2, cassette 7".into(),
        taken,
        expires: taken.plus_millis(kept),
    };
    world.agreed("person/hugo", &change, &["person/carol"]);
}

#[test]
fn a_third_party_verifies_what_was_destroyed() {
    let world = furnished("attested-version");
    let told = world.attest("person/audrey", FIRST).unwrap_err();
    assert_eq!(told.code(), Code::FailedPrecondition, "{told:?}");
    backup(&world, world.now(), 90 * DAY);
    let before = world.objects().len();
    destroy_first(&world);
    assert_eq!(world.objects().len(), before - 1, "one object is gone");

    let directory = world.data.path();
    let attestation = world.attest("person/audrey", FIRST).unwrap();
    let statement = world.keep(&attestation, "one");
    assert!(!statement.is_final, "a backup may hold it");
    assert_eq!(statement.backups.len(), 1);
    let [version] = statement.versions.as_slice() else {
        panic!("{statement:?}")
    };
    let people = |ids: &[String]| -> BTreeSet<String> {
        let last = |id: &String| id.rsplit_once("example/").unwrap().1.to_owned();
        ids.iter().map(last).collect()
    };
    let decided = version.decided.as_ref().unwrap();
    assert_eq!(
        people(&decided.approvers),
        CUSTODIANS.map(String::from).into()
    );
    assert_eq!(
        people(&version.destroyed.approvers),
        ["person/carl".to_owned()].into()
    );
    assert!(decided.actor.ends_with("person/olivia"), "{decided:?}");

    // The last use, from the log of uses; the backup was declared, and no time passed, after it.
    let last = version.last_use.map(kms_core::attestation::Moment::time);
    assert_eq!(last, Some(statement.backups[0].taken.time()));

    // Stock OpenSSL, and our own program, on three files and nothing else.
    openssl(directory, "one.pem", "one").succeeds();
    let shown = kms(directory, &["one.json"]).succeeds();
    assert!(shown.text().contains("a backup may hold it"), "{shown}");
    kms(directory, &["one.json", "--key", "one.pem"]).succeeds();

    // One word changed, another signature, another key: neither is fooled.
    let text = fs::read_to_string(directory.join("one.json")).unwrap();
    let lie = text.replacen("\"final\": false", "\"final\": true", 1);
    assert_ne!(lie, text);
    fs::write(directory.join("lie.json"), lie).unwrap();
    fs::copy(directory.join("one.sig"), directory.join("lie.sig")).unwrap();
    assert!(!openssl(directory, "one.pem", "lie").status.success());
    kms(directory, &["lie.json", "--key", "one.pem"])
        .fails(3)
        .saying("NOT VERIFIED");
    rotate(&world, "spaces/kms/keys/attestation");
    let second = world.attest("person/audrey", FIRST).unwrap();
    world.keep(&second, "second");
    assert_ne!(second.public_key, attestation.public_key);
    assert_eq!(second.signer, "spaces/kms/keys/attestation/versions/2");
    openssl(directory, "second.pem", "second").succeeds();
    kms(directory, &["one.json", "--key", "second.pem"]).fails(3);
    assert!(!openssl(directory, "second.pem", "one").status.success());

    // Whoever asked is on record; what they asked with was the deployment's own key.
    let asked = world.used();
    let record = asked
        .iter()
        .rfind(|r| r.contains("\"operation\":\"Attest\""))
        .unwrap();
    assert!(record.contains("person/audrey") && record.contains("spaces/kms/keys/attestation"));

    // Once the last backup has expired it is final.
    world.days_pass(60);
    let last = world.attest("person/stella", FIRST).unwrap();
    assert!(world.keep(&last, "final").is_final);
    openssl(directory, "second.pem", "final").succeeds();
    let shown = kms(directory, &["final.json", "--key", "second.pem"]).succeeds();
    assert!(shown.text().contains("vault 2, cassette 7"), "{shown}");
}

#[test]
fn a_space_that_was_erased_has_one_for_all() {
    let world = furnished("attested-space");
    let name: SpaceName = "spaces/lab".parse().unwrap();
    let reason = "the study is over".to_owned();
    destroy_first(&world);
    let archive = Change::ArchiveSpace {
        name: name.clone(),
        etag: None,
        reason: reason.clone(),
    };
    world.change("person/stella", &archive).unwrap();
    let decommission = Change::DecommissionSpace {
        name: name.clone(),
        etag: None,
        reason,
    };
    world.agreed("person/stella", &decommission, &CUSTODIANS);
    let told = world.attest("person/audrey", "spaces/lab").unwrap_err();
    assert_eq!(
        told.code(),
        Code::FailedPrecondition,
        "it is not erased yet"
    );
    world.days_pass(366);
    world.due(&["person/carol"]);

    let attestation = world.attest("person/audrey", "spaces/lab").unwrap();
    let statement = world.keep(&attestation, "space");
    openssl(world.data.path(), "space.pem", "space").succeeds();
    let shown = kms(world.data.path(), &["space.json", "-o", "json"]).succeeds();
    assert_eq!(shown.json()["statement"]["subject"], "spaces/lab");
    assert!(statement.is_final && statement.backups.is_empty());
    let view = world.view();
    let all: Vec<String> = view
        .versions_in(&name)
        .map(|v| v.name.to_string())
        .collect();
    let listed: Vec<String> = statement
        .versions
        .iter()
        .map(|v| v.name.to_string())
        .collect();
    assert_eq!(all.len(), 3);
    assert_eq!(BTreeSet::from_iter(&listed), BTreeSet::from_iter(&all));
    for version in &statement.versions {
        let decided = version.decided.as_ref().unwrap();
        assert_eq!(decided.approvers.len(), 2, "{version:?}");
        assert_eq!(version.destroyed.approvers.len(), 1, "{version:?}");
    }
    // What is left on the token is the deployment's own.
    let labels = world.objects().into_iter().map(|object| object.label);
    assert!(labels.clone().all(|label| label.starts_with("spaces/kms/")));
}

#[test]
fn nothing_is_attested_that_the_token_still_shows() {
    let world = furnished("attested-still-there");
    destroy_first(&world);
    world.attest("person/audrey", FIRST).unwrap();
    // A backup of the token is put back, or whoever has the PIN puts something there.
    let view = world.view();
    let (version, _) = view.version(&FIRST.parse().unwrap()).unwrap();
    let outsider = world.token.outsider();
    let planted = Template::from([
        Attribute::Token(true),
        Attribute::Id(version.id.to_bytes().to_vec()),
        Attribute::ValueLen(32),
    ]);
    let aes = Mechanism::Plain(MechanismType::AES_KEY_GEN);
    outsider.session.generate(&aes, &planted).unwrap();
    let told = world.attest("person/audrey", FIRST).unwrap_err();
    assert_eq!(told.code(), Code::Internal, "{told:?}");
}

#[test]
fn whoever_may_not_ask_gets_none() {
    let world = furnished("attested-refused");
    destroy_first(&world);
    for who in [
        "person/stella",
        "person/olivia",
        "person/carl",
        "person/audrey",
    ] {
        world.attest(who, FIRST).unwrap();
    }
    for who in ["person/hugo", "service/lyon", "person/nobody"] {
        let told = world.attest(who, FIRST).unwrap_err();
        assert_eq!(told.code(), Code::PermissionDenied, "{who}: {told:?}");
        // What is there and what is not look the same to them.
        let none = world
            .attest(who, "spaces/lab/keys/none/versions/1")
            .unwrap_err();
        assert_eq!(none.code(), told.code(), "{who}");
    }
    let told = world.attest("person/audrey", "spaces/lab/keys/none/versions/1");
    assert_eq!(told.unwrap_err().code(), Code::NotFound);
    for wrong in [
        "",
        "lab",
        "spaces/lab/keys/object",
        "spaces/lab/keys/object/versions/01",
    ] {
        let told = world.attest("person/audrey", wrong).unwrap_err();
        assert_eq!(told.code(), Code::InvalidArgument, "{wrong:?}");
    }
}
