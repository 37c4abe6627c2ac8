//! What policy and bindings may not be, what circumstances change, and emergencies.

use crate::sample::{NOW, bench, deployment, key, put};
use kms_core::action::Action;
use kms_core::caller::{Caller, Peer, SignIn};
use kms_core::class::Class;
use kms_core::command::{Change, Command, MayQuery, Rules, Use};
use kms_core::decide::{Bench, Verdict, access, decide, explain, sound, with};
use kms_core::deployment::Environment;
use kms_core::due::Steady;
use kms_core::error::{Kind, Result};
use kms_core::id::KeyUid;
use kms_core::key::{Key, Study};
use kms_core::lifecycle::Unused;
use kms_core::plan::{Ground, plan};
use kms_core::plane::Plane;
use kms_core::policy::Policy;
use kms_core::state::State;
use kms_core::time::{HOUR, Time};
use kms_core::value::{Document, DocumentName, Value};
use kms_core::view::View;
use std::sync::Arc;

const SCHEMA: &str = include_str!("../../../../ops/policy/schema.cedarschema");
pub(crate) const POLICY: &str = include_str!("../../../../ops/policy/policy.cedar");
const GLASS: &str = include_str!("../../../../ops/policy/break-glass.cedar");

/// Enough people to run a deployment, and a key bound to a study.
const PEOPLE: [&str; 7] = [
    r#"{"principal":"person/stella","roles":[{"role":"space-steward","spaces":["*"]}]}"#,
    r#"{"principal":"person/olivia","roles":[{"role":"key-operator"}]}"#,
    r#"{"principal":"person/carl","roles":[{"role":"key-custodian"}]}"#,
    r#"{"principal":"person/carol","roles":[{"role":"key-custodian"}]}"#,
    r#"{"principal":"person/hugo","roles":[{"role":"hsm-officer"}]}"#,
    r#"{"principal":"person/ada","roles":[{"role":"auditor"}]}"#,
    r#"{"principal":"service/notebook","roles":[{"role":"data-service","spaces":["lab"]}]}"#,
];

pub(crate) fn bound(json: &str) -> Value {
    Value::Binding(serde_json::from_str(json).unwrap())
}

pub(crate) fn world(policy: &str) -> View {
    let mut view = deployment(Environment::Production);
    for (document, text) in [
        (DocumentName::Schema, SCHEMA),
        (DocumentName::Policy, policy),
    ] {
        let text = text.to_owned();
        put(&mut view, Value::Document(Document { document, text }));
    }
    for json in PEOPLE {
        put(&mut view, bound(json));
    }
    let name = "spaces/lab/keys/cohort".parse().unwrap();
    key(
        &mut view,
        &name,
        Class::DataAtRest,
        &[(State::Active, false)],
    );
    let (plain, _) = view.key(&name).unwrap();
    let studied = Key {
        study: Some(Study {
            purpose: "sepsis-2026".parse().unwrap(),
            ends: NOW.plus_millis(24 * HOUR),
        }),
        ..plain.clone()
    };
    put(&mut view, Value::Key(studied));
    view
}

pub(crate) fn judged(view: &View) -> Result<Policy> {
    sound(view, Environment::Production, NOW, None)
}

#[test]
fn the_shipped_rules_are_sound_with_the_glass_and_without() {
    judged(&world(POLICY)).unwrap();
    judged(&world(&format!("{POLICY}{GLASS}"))).unwrap();
}

#[test]
fn rules_that_cannot_be_lived_with_are_refused_with_the_reason() {
    let without = |who: &str| bound(&format!(r#"{{"principal":"{who}","roles":[]}}"#));
    let officer_approves = format!(
        "{POLICY}\n@id(\"all\") permit (principal, action == Kms::Action::\"Approve\", resource) when {{ resource in principal.hsmOfficer }};"
    );
    let auditor_changes = format!(
        "{POLICY}\n@id(\"all\") permit (principal, action == Kms::Action::\"RotateKey\", resource) when {{ resource in principal.auditor }};"
    );
    let reader_evaluates = format!(
        "{POLICY}\n@id(\"all\") permit (principal, action == Kms::Action::\"Pseudonymise\", resource) when {{ resource in principal.dataService }};"
    );
    let nobody_puts = POLICY.replace("Kms::Action::\"PutBindings\",", "");
    let five = POLICY.replace("context.approvals >= 2", "context.approvals >= 5");
    let cases: [(&str, String, Vec<Value>, &str); 12] = [
        (
            "no custodian",
            POLICY.into(),
            vec![without("person/carl"), without("person/carol")],
            "lock every officer out",
        ),
        (
            "one custodian for two approvals",
            POLICY.into(),
            vec![without("person/carl")],
            "not so many others",
        ),
        (
            "no officer",
            POLICY.into(),
            vec![without("person/hugo")],
            "lock every officer out",
        ),
        (
            "nobody may put bindings",
            nobody_puts,
            vec![],
            "nobody could ask PutBindings any more",
        ),
        ("five approvals", five, vec![], "not so many others"),
        (
            "an officer approves",
            officer_approves,
            vec![],
            "person/hugo: whoever approves must not ask",
        ),
        (
            "an auditor changes",
            auditor_changes,
            vec![],
            "person/ada: an auditor changes nothing, and this allows RotateKey",
        ),
        (
            "a data-service evaluates into its space",
            reader_evaluates,
            vec![],
            "traced back",
        ),
        (
            "two names of one card",
            POLICY.into(),
            vec![bound(
                r#"{"principal":"person/hugo","aliases":["person/carl"],"roles":[{"role":"hsm-officer"}]}"#,
            )],
            "two people's name",
        ),
        (
            "an alias that two have",
            POLICY.into(),
            vec![
                bound(
                    r#"{"principal":"person/hugo","aliases":["person/spare"],"roles":[{"role":"hsm-officer"}]}"#,
                ),
                bound(
                    r#"{"principal":"person/ada","aliases":["person/spare"],"roles":[{"role":"auditor"}]}"#,
                ),
            ],
            "two people's name",
        ),
        (
            "a sign-in that two have",
            POLICY.into(),
            vec![
                bound(
                    r#"{"principal":"person/hugo","openid":{"issuer":"https://id","subject":"1"},"roles":[{"role":"hsm-officer"}]}"#,
                ),
                bound(
                    r#"{"principal":"person/carl","openid":{"issuer":"https://id","subject":"1"},"roles":[{"role":"key-custodian"}]}"#,
                ),
            ],
            "another person's already",
        ),
        (
            "a syntax error",
            format!("{POLICY} permit (principal"),
            vec![],
            "does not parse: line ",
        ),
    ];
    for (what, policy, values, why) in cases {
        let mut view = world(POLICY);
        let document = DocumentName::Policy;
        put(
            &mut view,
            Value::Document(Document {
                document,
                text: policy,
            }),
        );
        for value in values {
            put(&mut view, value);
        }
        let refused = judged(&view).unwrap_err();
        assert_eq!(refused.kind(), Kind::Invalid, "{what}");
        assert!(refused.message().contains(why), "{what}: {refused}");
    }
}

/// What hides a pair from one day, one network or one key does not hide it from the rules.
#[test]
fn no_circumstance_hides_what_nobody_may() {
    let approve = |when: &str| {
        format!(
            "@id(\"more\") permit (principal, action == Kms::Action::\"Approve\", resource) when {{ \
             resource in principal.hsmOfficer && {when} }};"
        )
    };
    let officer = "person/hugo: whoever approves must not ask";
    for (more, why) in [
        (approve("context.emergency"), officer),
        (approve("!(context.environment == \"production\")"), officer),
        (approve("(context.approvals > 4 || context.strong)"), officer),
        (
            approve("context has source && context.source.isInRange(ip(\"192.0.2.0/24\"))"),
            officer,
        ),
        (
            approve("context has proposed && context.proposed == \"RotateKey\""),
            officer,
        ),
        (
            approve("(if context.now < datetime(\"2020-01-01\") then true else context.emergency)"),
            officer,
        ),
        // On one space, on one key.
        (approve("resource in Kms::Space::\"lab\""), officer),
        (
            approve("resource == Kms::Key::\"spaces/lab/keys/cohort\""),
            officer,
        ),
        // Allowed to all officers, and forbidden on the day that it is asked about.
        (
            format!(
                "{} @id(\"not-today\") forbid (principal, action == Kms::Action::\"Approve\", \
                 resource) when {{ resource in principal.hsmOfficer }} \
                 unless {{ context.now > datetime(\"2090-01-01\") }};",
                approve("true")
            ),
            officer,
        ),
        (
            "@id(\"more\") permit (principal == Kms::Person::\"ada\", \
             action == Kms::Action::\"RotateKey\", resource == Kms::Key::\"spaces/lab/keys/cohort\");"
                .to_owned(),
            "person/ada: an auditor changes nothing, and this allows RotateKey",
        ),
        (
            "@id(\"more\") permit (principal, action == Kms::Action::\"Translate\", resource) when { \
             resource in principal.dataService && context has purpose };"
                .to_owned(),
            "traced back",
        ),
    ] {
        let refused = judged(&world(&format!("{POLICY}{more}"))).unwrap_err();
        assert!(refused.message().contains(why), "{more}: {refused}");
    }
    // A person who has two roles: the importer of a space never approves, the reader of one may.
    for (role, refused) in [("ingest-service", true), ("data-reader", false)] {
        let mut view = world(POLICY);
        let both = format!(
            r#"{{"principal":"person/both","roles":[{{"role":"key-custodian"}},{{"role":"{role}","spaces":["lab"]}}]}}"#
        );
        put(&mut view, bound(&both));
        assert_eq!(judged(&view).is_err(), refused, "{role}");
    }
    // What is not so in any circumstances is no reason to refuse.
    judged(&world(&format!(
        "{POLICY}{}",
        approve("false && context.emergency")
    )))
    .unwrap();
}

/// Whoever restricts the rules to a network must come from there.
#[test]
fn nobody_locks_themselves_out_of_a_network() {
    let view = world(&format!(
        "{POLICY}@id(\"inside\") forbid (principal, action, resource) \
         unless {{ context has source && context.source.isInRange(ip(\"192.0.2.0/24\")) }};"
    ));
    let from = |source: &str| {
        let source = Some(source.parse().unwrap());
        sound(&view, Environment::Production, NOW, source)
    };
    from("192.0.2.7").unwrap();
    let refused = from("198.51.100.7").unwrap_err();
    assert!(
        refused.message().contains("from where you come"),
        "{refused}"
    );
    // The review says what they may from wherever they come.
    let found = access(&view, Environment::Production, NOW).unwrap();
    assert!(found.iter().any(|a| a.action == Action::PutPolicy));
}

fn peer(who: &str) -> Peer {
    crate::sample::peer(who)
}

fn decrypt() -> Command {
    Command::Use(Use::Decrypt {
        key: "spaces/lab/keys/cohort".parse().unwrap(),
        items: vec![],
    })
}

fn re_encrypt() -> Command {
    Command::Use(Use::ReEncrypt {
        key: "spaces/lab/keys/cohort".parse().unwrap(),
        items: vec![],
    })
}

#[test]
fn a_key_of_a_study_serves_that_study_until_it_ends() {
    let view = world(POLICY);
    let asks = |who: &str, command: &Command, purpose: Option<&str>, now: Time| {
        let mut peer = peer(who);
        peer.purpose = purpose.map(|p| p.parse().unwrap());
        let bench = Bench {
            now,
            ..bench(&view, KeyUid([1; 16]))
        };
        decide(bench, &Caller::Peer(Arc::new(peer)), command)
    };
    for command in [decrypt(), re_encrypt()] {
        let ask = |purpose, now| asks("service/notebook", &command, purpose, now);
        assert!(ask(Some("sepsis-2026"), NOW).is_ok());
        for (purpose, now) in [
            (None, NOW),
            (Some("another"), NOW),
            (Some("sepsis-2026"), NOW.plus_millis(24 * HOUR)),
        ] {
            let refused = ask(purpose, now).unwrap_err();
            assert_eq!(refused.kind(), Kind::Refused);
            assert!(
                refused.message().contains("serves one study only"),
                "{refused}"
            );
        }
    }
    // A version that has to go is left behind also when the study is over.
    let over = NOW.plus_millis(24 * HOUR);
    assert!(asks("person/olivia", &re_encrypt(), None, over).is_ok());
    // Whoever has no right there does not hear of a study.
    let stranger = decide(
        bench(&view, KeyUid([1; 16])),
        &Caller::Peer(Arc::new(peer("person/hugo"))),
        &decrypt(),
    );
    assert!(!stranger.unwrap_err().message().contains("study"));
}

#[test]
fn a_listener_serves_its_plane() {
    let view = world(POLICY);
    let ask = |who: &str, planes: &'static [Plane], command: &Command| {
        let mut peer = peer(who);
        peer.planes = planes;
        peer.purpose = Some("sepsis-2026".parse().unwrap());
        let asked = decide(
            bench(&view, KeyUid([1; 16])),
            &Caller::Peer(Arc::new(peer)),
            command,
        );
        asked.map(|_| ()).map_err(|e| e.message().to_owned())
    };
    let rotate = Command::Change(Change::RotateKey {
        name: "spaces/lab/keys/cohort".parse().unwrap(),
        etag: None,
        reason: "yearly".into(),
        pre_active: false,
    });
    assert_eq!(ask("service/notebook", &[Plane::Data], &decrypt()), Ok(()));
    assert_eq!(
        ask("person/olivia", &[Plane::Administration], &rotate),
        Ok(())
    );
    let refused = ask("service/notebook", &[Plane::Administration], &decrypt()).unwrap_err();
    assert!(refused.contains("listener of the data plane"), "{refused}");
    let refused = ask("person/olivia", &[Plane::Data], &rotate).unwrap_err();
    assert!(
        refused.contains("listener of the administration plane"),
        "{refused}"
    );
    for action in Action::ALL {
        assert!(!Plane::of(*action).is_empty(), "{action} is served nowhere");
    }
}

#[test]
fn people_sign_in_strongly_and_lately_where_there_is_a_provider() {
    let mut view = world(POLICY);
    put(
        &mut view,
        bound(
            r#"{"principal":"person/olivia","openid":{"issuer":"https://id","subject":"42"},"roles":[{"role":"key-operator"}]}"#,
        ),
    );
    let compromise = Command::Change(Change::MoveVersion {
        name: "spaces/lab/keys/cohort/versions/1".parse().unwrap(),
        etag: None,
        transition: Action::CompromiseVersion,
        reason: "lost".into(),
        keep_processing: false,
    });
    let signed_in = |subject: &str, ago: u64, strong: bool| SignIn {
        issuer: "https://id".into(),
        subject: subject.into(),
        auth_time: Time(NOW.0 - ago),
        expires: NOW.plus_millis(HOUR),
        strong,
    };
    let ask = |provider: bool, sign_in: Option<SignIn>| {
        let peer = Peer {
            sign_in,
            ..peer("person/olivia")
        };
        let bench = Bench {
            provider,
            ..bench(&view, KeyUid([1; 16]))
        };
        let asked = decide(bench, &Caller::Peer(Arc::new(peer)), &compromise);
        asked.map_err(|e| e.message().to_owned())
    };
    let waits = |asked| matches!(asked, Ok(Verdict::Approvals(_)));
    // The machine's clock once stood a year ahead: how long ago somebody signed in is as it was.
    let ahead = |ago| {
        let peer = Peer {
            sign_in: Some(signed_in("42", ago, true)),
            ..peer("person/olivia")
        };
        let bench = Bench {
            provider: true,
            now: NOW.plus_millis(365 * 24 * HOUR),
            ..bench(&view, KeyUid([1; 16]))
        };
        let asked = decide(bench, &Caller::Peer(Arc::new(peer)), &compromise);
        asked.map_err(|e| e.message().to_owned())
    };
    assert!(waits(ahead(HOUR - 1)));
    assert!(ahead(HOUR + 1).unwrap_err().contains("sign in again"));
    assert!(waits(ask(false, None)), "no provider, no sign-in");
    assert!(waits(ask(true, Some(signed_in("42", 0, true)))));
    for (what, sign_in, why) in [
        ("none", None, "sign in again, with strong authentication"),
        (
            "weak",
            Some(signed_in("42", 0, false)),
            "sign in again, with strong",
        ),
        (
            "old",
            Some(signed_in("42", HOUR + 1, true)),
            "sign in again, with strong",
        ),
        (
            "another's",
            Some(signed_in("43", 0, true)),
            "not whose certificate this is",
        ),
        (
            "ended",
            Some(SignIn {
                expires: NOW,
                ..signed_in("42", 0, true)
            }),
            "sign-in has ended",
        ),
    ] {
        let refused = ask(true, sign_in).unwrap_err();
        assert!(refused.contains(why), "{what}: {refused}");
    }
}

#[test]
fn a_certificate_that_has_ended_is_nobodys() {
    let view = world(POLICY);
    let caller = Caller::Peer(Arc::new(peer("person/olivia")));
    let ends = caller.peer().unwrap().certificate.expires();
    let command = Command::Read(kms_core::command::Read::Deployment);
    let ask = |now, wall| {
        let bench = Bench {
            now,
            wall,
            ..bench(&view, KeyUid([1; 16]))
        };
        decide(bench, &caller, &command)
    };
    let refused = ask(ends, ends).unwrap_err();
    assert!(refused.message().contains("expired"), "{refused}");
    // The machine's clock once stood too far, and was set right.
    assert!(ask(ends, NOW).is_ok());
}

/// What an emergency changes, and that it ends, is reviewed by somebody else, and is off.
#[test]
fn an_emergency_is_short_and_reviewed() {
    let ask = |view: &mut View, who: &str, now: Time, change: Change| -> Result<bool> {
        let caller = Caller::Peer(Arc::new(peer(who)));
        let policy = judged(view).unwrap();
        let fresh = KeyUid([u8::try_from(view.revision().0 % 251).unwrap(); 16]);
        let bench = Bench {
            policy: Some(&policy),
            now,
            ..bench(view, fresh)
        };
        let verdict = decide(bench, &caller, &Command::Change(change.clone()))?;
        let emergency = matches!(&verdict, Verdict::Permit(permit) if permit.emergency());
        verdict.permit()?;
        let ground = Ground {
            view,
            steady: Steady::default(),
            uses: &Unused,
            caller: &caller,
            now,
            fresh,
            carried: None,
        };
        let planned = plan(ground, &change)?;
        for value in planned.values(&[]) {
            put(view, value);
        }
        Ok(emergency)
    };
    let declare = || Change::DeclareEmergency {
        minutes: 60,
        reason: "a leak".into(),
    };
    let compromise = || Change::MoveVersion {
        name: "spaces/lab/keys/cohort/versions/1".parse().unwrap(),
        etag: None,
        transition: Action::CompromiseVersion,
        reason: "lost".into(),
        keep_processing: false,
    };
    let off = ask(&mut world(POLICY), "person/hugo", NOW, declare()).unwrap_err();
    assert!(
        off.message().contains("allows DeclareEmergency here"),
        "{off}"
    );

    // As a deployment for trying out does: nobody need approve the declaration.
    let alone = format!("{POLICY}{GLASS}").replace(
        "Kms::Action::\"Backup\",\n             Kms::Action::\"DeclareEmergency\"]",
        "Kms::Action::\"Backup\"]",
    );
    let mut view = world(&alone);
    let waits = ask(&mut view, "person/olivia", NOW, compromise()).unwrap_err();
    assert_eq!(waits.kind(), Kind::Refused, "needs an approval");
    ask(&mut view, "person/hugo", NOW, declare()).unwrap();
    let name = view.emergencies().next().unwrap().name.clone();
    let during = NOW.plus_millis(HOUR / 2);
    let over = NOW.plus_millis(HOUR);
    let mut later = view.clone();
    assert!(ask(&mut view, "person/olivia", during, compromise()).unwrap());
    assert!(
        ask(&mut later, "person/olivia", over, compromise()).is_err(),
        "it is over"
    );
    let destroy = Change::PutPolicy {
        etag: None,
        schema: None,
        policy: Some("".into()),
        reason: "x".into(),
    };
    assert!(
        ask(&mut view, "person/hugo", during, destroy).is_err(),
        "it lowers what weakens"
    );

    let review = || Change::ReviewEmergency {
        name: name.clone(),
        findings: "in order".into(),
    };
    let early = ask(&mut view, "person/carl", during, review()).unwrap_err();
    assert_eq!(early.kind(), Kind::State);
    let again = ask(&mut view, "person/hugo", over, declare()).unwrap_err();
    assert!(again.message().contains("has not been reviewed"), "{again}");
    let own = ask(&mut view, "person/hugo", over, review()).unwrap_err();
    assert_eq!(own.kind(), Kind::Refused);
    ask(&mut view, "person/carl", over, review()).unwrap();
    let twice = ask(&mut view, "person/carol", over, review()).unwrap_err();
    assert_eq!(twice.kind(), Kind::Conflict);
    ask(&mut view, "person/hugo", over, declare()).unwrap();
}

#[test]
fn why_and_why_not_is_told_with_the_lines() {
    let view = world(POLICY);
    let ask = |who: &str, action: Action, on: &str, purpose: Option<&str>, approvals: u8| {
        let query = MayQuery {
            principal: who.parse().unwrap(),
            action,
            on: on.into(),
            purpose: purpose.map(|p| p.parse().unwrap()),
            approvals,
            at: None,
            source: None,
        };
        explain(&view, Environment::Production, NOW, &query)
    };
    let line = |id: &str| {
        let at = POLICY
            .lines()
            .position(|l| l.contains(&format!("@id(\"{id}\")")));
        u32::try_from(at.unwrap()).unwrap() + 1
    };
    let cohort = "spaces/lab/keys/cohort";
    let yes = ask(
        "service/notebook",
        Action::Decrypt,
        cohort,
        Some("sepsis-2026"),
        0,
    )
    .unwrap();
    assert!(yes.allowed && yes.needed == Some(0));
    assert_eq!(
        yes.policies,
        [("data-service".to_owned(), Some(line("data-service")))]
    );
    let no = ask("service/notebook", Action::Decrypt, cohort, None, 0).unwrap();
    assert_eq!((no.allowed, no.needed), (false, None));
    assert_eq!(no.policies, [("purpose".to_owned(), Some(line("purpose")))]);
    assert!(no.advice.unwrap().contains("state its purpose"));
    let later = ask(
        "person/olivia",
        Action::ScheduleDestruction,
        cohort,
        None,
        1,
    )
    .unwrap();
    assert_eq!((later.allowed, later.needed), (false, Some(2)));
    let never = ask("person/ada", Action::RotateKey, cohort, None, 0).unwrap();
    assert_eq!(
        (never.allowed, never.needed, never.policies.len()),
        (false, None, 0)
    );
    assert_eq!(
        ask(
            "person/ada",
            Action::RotateKey,
            "spaces/lab/keys/typo",
            None,
            0
        )
        .unwrap_err()
        .kind(),
        Kind::NotFound
    );
    assert_eq!(
        ask("person/ada", Action::RotateKey, "nonsense", None, 0)
            .unwrap_err()
            .kind(),
        Kind::Invalid
    );
    assert_eq!(
        ask("person/ada", Action::RotateKey, "spaces/lab", None, 0)
            .unwrap_err()
            .kind(),
        Kind::Invalid
    );
}

#[test]
fn a_review_says_who_may_do_what_under_rules_that_are_not_in_force() {
    let view = world(POLICY);
    let rights = |view: &View| {
        let found = access(view, Environment::Production, NOW).unwrap();
        let flat = found.into_iter().flat_map(|a| {
            let who = a.principal.to_string();
            a.on.into_iter()
                .map(move |(on, needed)| format!("{who} {} {on} +{needed}", a.action))
        });
        flat.collect::<Vec<String>>()
    };
    let weaker = Rules {
        policy: Some(POLICY.replace("context.approvals >= 2", "context.approvals >= 1")),
        bindings: vec![serde_json::from_str(r#"{"principal":"service/notebook","roles":[{"role":"data-reader","spaces":["elsewhere"]}]}"#).unwrap()],
        ..Rules::default()
    };
    let (before, after) = (rights(&view), rights(&with(&view, &weaker)));
    for (line, was, is) in [
        (
            "service/notebook Encrypt spaces/lab/keys/* (data-at-rest) +0",
            true,
            false,
        ),
        (
            "service/notebook Decrypt spaces/elsewhere/keys/* (data-at-rest) +0",
            false,
            true,
        ),
        ("person/hugo PutPolicy deployment +2", true, false),
        ("person/hugo PutPolicy deployment +1", false, true),
    ] {
        let has = |rights: &[String]| rights.iter().any(|right| right == line);
        assert_eq!((has(&before), has(&after)), (was, is), "{line}");
    }
}

#[test]
fn what_a_policy_names_is_told_apart_from_its_like() {
    let named = format!(
        "{POLICY}\n@id(\"one\") permit (principal == Kms::Person::\"olivia\", \
         action == Kms::Action::\"Decrypt\", resource in Kms::Space::\"lab\");"
    );
    let named = format!(
        "{named}\n@id(\"key\") permit (principal == Kms::Person::\"ada\", \
         action == Kms::Action::\"Decrypt\", resource == Kms::Key::\"spaces/elsewhere/keys/one\");"
    );
    let mut view = world(&named);
    for slug in ["one", "other"] {
        let name = format!("spaces/elsewhere/keys/{slug}").parse().unwrap();
        key(
            &mut view,
            &name,
            Class::DataAtRest,
            &[(State::Active, false)],
        );
    }
    let found = access(&view, Environment::Production, NOW).unwrap();
    let may = |who: &str, action: Action| -> Vec<String> {
        let access = found
            .iter()
            .filter(|a| a.principal.to_string() == who && a.action == action);
        let places = access.flat_map(|a| a.on.iter().map(|(on, _)| on.clone()));
        places.collect()
    };
    let decrypts = may("person/olivia", Action::Decrypt);
    assert!(
        !decrypts.is_empty() && decrypts.iter().all(|on| on.starts_with("spaces/lab/keys/")),
        "{decrypts:?}"
    );
    assert_eq!(
        may("person/ada", Action::Decrypt),
        ["spaces/elsewhere/keys/one"]
    );
    // A key of a study is told by its own name, for whoever states its purpose.
    assert_eq!(
        may("service/notebook", Action::Decrypt),
        ["spaces/lab/keys/* (data-at-rest)", "spaces/lab/keys/cohort"]
    );
    let rotates = may("person/olivia", Action::RotateKey);
    for space in ["lab", "elsewhere"] {
        let on = format!("spaces/{space}/keys/* (data-at-rest)");
        assert!(rotates.contains(&on), "{on} is not among {rotates:?}");
    }
}

#[test]
fn a_policy_names_each_action_and_no_group() {
    let mut view = world(&format!(
        "{POLICY}\n@id(\"group\") forbid (principal, action in [Kms::Action::\"Dangerous\"], resource);"
    ));
    let text = SCHEMA.replace(
        "action ReadInventory,",
        "action Dangerous;\n  action ReadInventory,",
    );
    let document = DocumentName::Schema;
    put(&mut view, Value::Document(Document { document, text }));
    let refused = judged(&view).unwrap_err();
    assert!(
        refused
            .message()
            .contains("the policy group names Dangerous"),
        "{refused}"
    );
}

/// What a site may add: office hours, a network, development alone.
#[test]
fn time_network_and_environment_are_conditions() {
    let conditions = r#"
@id("office-hours") @advice("come back between 7 and 19 UTC")
forbid (principal is Kms::Person, action == Kms::Action::"RotateKey", resource)
unless { context.now.toTime() >= duration("7h") && context.now.toTime() < duration("19h") };
@id("inside") @advice("connect from the deployment's own network")
forbid (principal is Kms::Service, action == Kms::Action::"Encrypt", resource)
unless { context has source && context.source.isInRange(ip("192.0.2.0/24")) };
@id("trying-out")
forbid (principal, action == Kms::Action::"GenerateRandom", resource)
unless { context.environment == "development" };
"#;
    let policy = format!("{POLICY}{conditions}");
    let view = world(&policy);
    let judge = judged(&view).unwrap();
    let told = |peer: Peer, now: Time, command: &Command| {
        let bench = Bench {
            policy: Some(&judge),
            now,
            ..bench(&view, KeyUid([1; 16]))
        };
        let asked = decide(bench, &Caller::Peer(Arc::new(peer)), command);
        asked.map(drop).map_err(|e| e.message().to_owned())
    };
    let advice = |text: &str| Err(text.to_owned());

    let rotate = Command::Change(Change::RotateKey {
        name: "spaces/lab/keys/cohort".parse().unwrap(),
        etag: None,
        reason: "yearly".into(),
        pre_active: false,
    });
    // NOW is midnight.
    for (hour, is) in [
        (0, advice("come back between 7 and 19 UTC")),
        (7, Ok(())),
        (18, Ok(())),
        (19, advice("come back between 7 and 19 UTC")),
    ] {
        let now = NOW.plus_millis(hour * HOUR);
        assert_eq!(told(peer("person/olivia"), now, &rotate), is, "{hour} h");
    }

    let encrypt = Command::Use(Use::Encrypt {
        key: "spaces/lab/keys/cohort".parse().unwrap(),
        items: vec![],
    });
    let inside = "connect from the deployment's own network";
    for (source, is) in [
        (Some("192.0.2.7:1"), Ok(())),
        // The same address, as a socket of both families shows it.
        (Some("[::ffff:192.0.2.7]:1"), Ok(())),
        (Some("198.51.100.7:1"), advice(inside)),
        (Some("[2001:db8::7]:1"), advice(inside)),
        (None, advice(inside)),
    ] {
        let mut notebook = peer("service/notebook");
        notebook.purpose = Some("sepsis-2026".parse().unwrap());
        notebook.source = source.map(|s| s.parse().unwrap());
        assert_eq!(told(notebook, NOW, &encrypt), is, "{source:?}");
    }

    let random = Command::Use(Use::GenerateRandom { length: 1 });
    let refused = told(peer("service/notebook"), NOW, &random).unwrap_err();
    assert_eq!(refused, "the policy trying-out forbids it");
}
