//! One audit record of each sort, as it is written; and that it is OCSF API Activity.

use crate::sample::{NOW, caller, deployment, ground, learned, peer};
use kms_core::action::Action;
use kms_core::caller::{Caller, SignIn};
use kms_core::class::Class;
use kms_core::command::{Change, LogName};
use kms_core::deployment::Environment;
use kms_core::error::Error;
use kms_core::id::{KeyId, KeyUid};
use kms_core::key::Origin;
use kms_core::lifecycle::Lifecycle;
use kms_core::plan::plan;
use kms_core::quota::{Level, Measure, Period, Reached};
use kms_core::record::{
    Counts, Detail, Event, Intention, Outcome, Record, RequestTag, RunPart, Settled, Used,
    is_entry, state_digest,
};
use kms_core::revision::Revision;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::sync::Arc;

fn event(action: Action, about: (&str, &str), detail: Detail) -> Event {
    Event {
        time: NOW,
        caller: caller("service/etl"),
        call: "3f2504e0-4f89-41d3-9a0c-0305e82c3301".into(),
        action,
        resource: (about.0.into(), about.1.into()),
        result: Ok(()),
        duration: Some(3),
        emergency: false,
        detail,
    }
}

fn uses(items: u64, failed: u64, versions: Vec<Used>) -> Detail {
    Detail::Use(Counts {
        items,
        failed,
        bytes: items * 32,
        versions,
        policies: vec!["data-service".into()],
        ..Counts::default()
    })
}

/// The last call of a run that spends most of a budget.
fn part_of_a_run() -> Detail {
    let limit = |level, left| Reached {
        level,
        period: Period::Year,
        measure: Measure::Items,
        most: 12_000_000,
        left,
    };
    Detail::Use(Counts {
        items: 10_000,
        failed: 1,
        bytes: 559_944,
        policies: vec!["pseudonymiser".into()],
        digest: Some("5e".repeat(32)),
        run: Some(RunPart {
            id: "6f1c2a5e-52d8-4f0e-9d3a-2f2f0c7b9e11".parse().unwrap(),
            expected: 2_000_000,
            offset: 1_990_000,
            again: false,
        }),
        quota: vec![limit(Level::Approached, 2_000_000)],
        ..Counts::default()
    })
}

/// The intention to make a key, and its outcome.
fn change() -> (Intention, Outcome) {
    let view = deployment(Environment::Development);
    let asker = caller("person/stella");
    let change = Change::CreateKey {
        name: "spaces/lab/keys/object".parse().unwrap(),
        class: Class::DataAtRest,
        title: "Objects".into(),
        origin: Origin::Generated,
        exportable: false,
        labels: [("owner".to_owned(), "lab".to_owned())].into(),
        study: None,
        lifecycle: Lifecycle::default(),
        intake: None,
    };
    let ground = ground(&view, &asker, KeyUid([0xab; 16]));
    let intention = Intention {
        plan: plan(ground, &change).unwrap(),
        policies: vec!["space-steward".into()],
        proposal: None,
        request: Some(RequestTag {
            id: "16fd2706-8baf-433b-82eb-8c7fada847da".parse().unwrap(),
            digest: "00".repeat(32),
        }),
    };
    let values = intention.plan.values(&[learned(1)]);
    let outcome = Outcome {
        intention: 41,
        settled: Settled::Committed {
            revision: Revision(17),
            state: state_digest(&values).unwrap(),
            learned: vec![learned(1)],
        },
    };
    (intention, outcome)
}

fn each_sort() -> Vec<(&'static str, Event, LogName)> {
    let key = ("key", "spaces/lab/keys/object");
    let (intention, outcome) = change();
    let person = |mut event: Event| {
        event.caller = caller("person/stella");
        event
    };
    let mut refused = event(Action::Decrypt, key, uses(1, 1, vec![]));
    refused.result = Err(Error::refused(
        "your roles do not allow Decrypt on key spaces/lab/keys/object, or there is no such key",
    ));
    let edge = ("edge", "spaces/lab/edges/link");
    let exceeded = Reached {
        level: Level::Exceeded,
        period: Period::Day,
        measure: Measure::Items,
        most: 20_000,
        left: 300,
    };
    let mut beyond = event(
        Action::Pseudonymise,
        edge,
        Detail::Use(Counts {
            items: 10_000,
            failed: 10_000,
            quota: vec![exceeded],
            ..Counts::default()
        }),
    );
    beyond.result = Err(Error::exhausted(
        "the quota of service/etl is 20,000 items a day",
    ));
    let mut intended = person(event(
        Action::CreateKey,
        key,
        Detail::Intention(Box::new(intention)),
    ));
    intended.duration = None;
    let done = person(event(
        Action::CreateKey,
        key,
        Detail::Outcome(Box::new(outcome)),
    ));
    let mut given_up = event(
        Action::CreateKey,
        key,
        Detail::Outcome(Box::new(Outcome {
            intention: 41,
            settled: Settled::Abandoned {
                why: "the HSM cannot be reached".into(),
                left: vec![],
            },
        })),
    );
    given_up.caller = Caller::Recovery;
    given_up.result = Err(Error::unavailable("the HSM cannot be reached").because("CKR_DEVICE"));
    let mut burnt = given_up.clone();
    burnt.detail = Detail::Outcome(Box::new(Outcome {
        intention: 41,
        settled: Settled::Abandoned {
            why: "the HSM cannot be reached".into(),
            left: vec![KeyId {
                uid: KeyUid([0xab; 16]),
                version: 1,
            }],
        },
    }));
    let used = |version: &str, protected, processed| Used {
        name: format!("spaces/lab/keys/object/versions/{version}")
            .parse()
            .unwrap(),
        protected,
        processed,
    };
    let mut studied = event(Action::Decrypt, key, uses(1, 0, vec![used("1", 0, 1)]));
    let mut notebook = peer("service/notebook");
    notebook.purpose = Some("sepsis-2026".parse().unwrap());
    studied.caller = Caller::Peer(Arc::new(notebook));
    let mut broken = event(
        Action::DeclareEmergency,
        ("deployment", "deployment"),
        uses(1, 0, vec![]),
    );
    let mut officer = peer("person/hugo");
    officer.sign_in = Some(SignIn {
        issuer: "https://id.emc2.example".into(),
        subject: "not written".into(),
        auth_time: NOW,
        expires: NOW.plus_millis(1),
        strong: true,
    });
    broken.caller = Caller::Peer(Arc::new(officer));
    broken.emergency = true;
    vec![
        ("a use for a stated purpose", studied, LogName::Uses),
        (
            "an emergency, by someone who signed in",
            broken,
            LogName::Uses,
        ),
        (
            "a use",
            event(Action::Encrypt, key, uses(100, 2, vec![used("1", 98, 0)])),
            LogName::Uses,
        ),
        (
            "a re-encryption from two versions",
            event(
                Action::ReEncrypt,
                key,
                uses(5, 0, vec![used("1", 0, 3), used("2", 5, 2)]),
            ),
            LogName::Uses,
        ),
        (
            "a read",
            person(event(
                Action::ReadInventory,
                ("space", "spaces/lab"),
                uses(1, 0, vec![]),
            )),
            LogName::Uses,
        ),
        ("a refusal", refused, LogName::Uses),
        (
            "a call of a run, after which most of a budget is spent",
            event(Action::Pseudonymise, edge, part_of_a_run()),
            LogName::Uses,
        ),
        ("a use beyond a quota on an edge", beyond, LogName::Uses),
        ("an intention", intended, LogName::Changes),
        ("its outcome", done, LogName::Changes),
        (
            "an outcome that recovery settled",
            given_up,
            LogName::Changes,
        ),
        ("an outcome that burns a number", burnt, LogName::Changes),
    ]
}

#[test]
fn one_record_of_each_sort() {
    let mut out = String::new();
    for (sort, event, log) in each_sort() {
        let bytes = Record::new(event, log, 42).encode().unwrap();
        let json: Json = serde_json::from_slice(&bytes).unwrap();
        let pretty = serde_json::to_string_pretty(&json).unwrap();
        out.push_str(&format!("=== {sort}\n{pretty}\n\n"));
    }
    insta::assert_snapshot!(out);
}

/// The bytes, as they are hashed: the order of the fields is part of them.
#[test]
fn the_bytes_of_a_record() {
    let (_, event, log) = each_sort().swap_remove(2);
    let bytes = Record::new(event, log, 42).encode().unwrap();
    insta::assert_snapshot!(String::from_utf8(bytes).unwrap());
}

#[test]
fn each_reads_back_and_is_told_from_another() {
    for (sort, event, log) in each_sort() {
        let record = Record::new(event, log, 42);
        let bytes = record.encode().unwrap();
        assert_eq!(Record::decode(&bytes).unwrap(), record, "{sort}");
        assert!(is_entry(log, 42, &bytes), "{sort}");
        assert!(!is_entry(log, 43, &bytes), "{sort}");
        // What a disk leaves of bytes that did not reach it.
        let mut torn = bytes.clone();
        *torn.last_mut().unwrap() = 0;
        assert!(!is_entry(log, 42, &torn), "{sort}");
    }
}

/// OCSF 1.6.0, class API Activity (6003): attributes that it requires, with their types, and no
/// attribute that it does not have.
#[test]
fn each_is_ocsf_api_activity() {
    for (sort, event, log) in each_sort() {
        let bytes = Record::new(event, log, 42).encode().unwrap();
        let record: BTreeMap<String, Json> = serde_json::from_slice(&bytes).unwrap();
        let text = |path: &str| {
            let json = serde_json::to_value(&record).unwrap();
            json.pointer(path).and_then(Json::as_str).map(str::to_owned)
        };
        let number = |name: &str| record.get(name).and_then(Json::as_u64);
        let activity = number("activity_id").unwrap();
        assert!(matches!(activity, 1..=4 | 99), "{sort}: {activity}");
        assert_eq!(number("category_uid"), Some(6), "{sort}");
        assert_eq!(number("class_uid"), Some(6003), "{sort}");
        assert_eq!(number("type_uid"), Some(600_300 + activity), "{sort}");
        assert!(matches!(number("severity_id"), Some(0..=6 | 99)), "{sort}");
        assert!(matches!(number("status_id"), Some(0..=2 | 99)), "{sort}");
        assert_eq!(number("time"), Some(NOW.0), "{sort}");
        for required in [
            "/metadata/version",
            "/metadata/product/name",
            "/metadata/product/vendor_name",
            "/actor/user/uid",
            "/api/operation",
        ] {
            assert!(text(required).is_some(), "{sort}: {required}");
        }
        let endpoint = text("/src_endpoint/ip").or(text("/src_endpoint/hostname"));
        assert!(endpoint.is_some(), "{sort}: src_endpoint says nothing");
        for name in record.keys() {
            assert!(
                OCSF.contains(&name.as_str()),
                "{sort}: {name} is not OCSF's"
            );
        }
        let failed = record.contains_key("status_code");
        assert_eq!(
            number("status_id"),
            Some(if failed { 2 } else { 1 }),
            "{sort}"
        );
    }
}

/// The attributes of API Activity that we write.
const OCSF: [&str; 16] = [
    "activity_id",
    "actor",
    "api",
    "category_uid",
    "class_uid",
    "duration",
    "message",
    "metadata",
    "resources",
    "severity_id",
    "src_endpoint",
    "status_code",
    "status_id",
    "time",
    "type_uid",
    "unmapped",
];
