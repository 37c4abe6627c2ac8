//! `decide` never permits what the tables forbid.

use crate::sample::{bench, binding, caller, deployment, key, put};
use kms_core::action::Action;
use kms_core::class::Class;
use kms_core::command::{Change, Command, Use};
use kms_core::decide::{Verdict, decide};
use kms_core::deployment::Environment;
use kms_core::error::Kind;
use kms_core::id::KeyUid;
use kms_core::key::Wrapping;
use kms_core::name::KeyName;
use kms_core::role::Role;
use kms_core::state::{self, State};
use kms_core::value::Value;
use kms_core::view::View;
use proptest::collection::vec;
use proptest::prelude::*;

const KEY: &str = "spaces/lab/keys/edge-link";

/// What is asked of one key.
fn command(action: Action, number: u32) -> Command {
    let key: KeyName = KEY.parse().unwrap();
    let (items, sealed) = (vec![], vec![]);
    match action {
        Action::Encrypt => Command::Use(Use::Encrypt { key, items }),
        Action::Decrypt => Command::Use(Use::Decrypt { key, items: sealed }),
        Action::ReEncrypt => Command::Use(Use::ReEncrypt { key, items: sealed }),
        Action::GenerateDataKey => Command::Use(Use::GenerateDataKey {
            key,
            items: vec![],
            reveal: true,
        }),
        Action::GetImportParameters => Command::Use(Use::GetImportParameters {
            key: "spaces/lab/keys/partner".parse().unwrap(),
            wrapping: key,
            mechanism: Some(Wrapping::OaepSha256),
        }),
        Action::Pseudonymise => Command::Use(Use::Pseudonymise {
            batch: None,
            edge: "spaces/lab/edges/link".parse().unwrap(),
            identifiers: vec![],
        }),
        Action::RotateKey => Command::Change(Change::RotateKey {
            name: key,
            etag: None,
            reason: String::new(),
            pre_active: false,
        }),
        transition => Command::Change(Change::MoveVersion {
            name: key.version(number),
            etag: None,
            transition,
            reason: String::new(),
            keep_processing: false,
        }),
    }
}

const ASKED: [Action; 17] = [
    Action::Encrypt,
    Action::Decrypt,
    Action::ReEncrypt,
    Action::GenerateDataKey,
    Action::GetImportParameters,
    Action::Pseudonymise,
    Action::RotateKey,
    Action::ActivateVersion,
    Action::DeactivateVersion,
    Action::ResumeVersion,
    Action::SuspendVersion,
    Action::CompromiseVersion,
    // These move versions too, one day; asked as a plain move they must be refused.
    Action::ScheduleDestruction,
    Action::CancelDestruction,
    Action::Cutover,
    Action::CreateSpace,
    Action::ReadInventory,
];

fn states() -> impl Strategy<Value = Vec<(State, bool)>> {
    vec(
        (prop::sample::select(State::ALL.to_vec()), any::<bool>()),
        0..5,
    )
}

/// What the tables say of a version that a permit reaches.
fn tables_allow(view: &View, class: Class, action: Action, number: u32) -> bool {
    let name: KeyName = KEY.parse().unwrap();
    let (version, _) = view.version(&name.version(number)).unwrap();
    let may = |usage| version.state.allows(usage, version.suspended_processing);
    match action.usage() {
        None => action.moves_from(version.state),
        Some(usage) => {
            let primary = view
                .key(&name)
                .is_some_and(|(key, _)| key.primary == Some(number));
            let fits = match usage {
                state::Use::Protect => primary && may(state::Use::Protect),
                state::Use::Process => may(state::Use::Process),
            };
            class.uses().contains(&action) && fits
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn decide_permits_nothing_that_the_tables_forbid(
        class in prop::sample::select(Class::OFFERED.to_vec()),
        states in states(),
        action in prop::sample::select(ASKED.to_vec()),
        number in 1..5_u32,
        roles in prop::sample::subsequence(Role::ALL.to_vec(), 0..3),
        production in any::<bool>(),
    ) {
        let environment = if production { Environment::Production } else { Environment::Development };
        let mut view = deployment(environment);
        key(&mut view, &KEY.parse().unwrap(), class, &states);
        external(&mut view);
        service_key(&mut view);
        // Incompatible roles are refused before they are ever asked of.
        let Ok(bound) = binding("person/p", &roles) else { return Ok(()) };
        put(&mut view, Value::Binding(bound));

        let bench = bench(&view, KeyUid([9; 16]));
        let command = command(action, number);
        let told = decide(bench, &caller("person/p"), &command);
        match told {
            Ok(Verdict::Approvals(demand)) => {
                prop_assert!(production, "a development deployment does without");
                prop_assert_eq!(demand.needed, action.approvals());
                prop_assert!(demand.waiting.is_none());
                prop_assert_eq!(demand.propose.action(), Some(Action::Propose));
                for version in view.versions(&KEY.parse().unwrap()) {
                    prop_assert!(!demand.propose.covers(&version.id), "a demand reaches a key");
                }
            }
            Ok(Verdict::Permit(permit)) => {
                prop_assert!(!roles.is_empty(), "nobody was permitted");
                prop_assert!(!production || action.approvals() == 0, "without approvals");
                prop_assert_eq!(permit.action(), Some(action));
                for version in view.versions(&KEY.parse().unwrap()) {
                    let number = version.name.number();
                    if permit.covers(&version.id) {
                        prop_assert!(
                            tables_allow(&view, class, action, number),
                            "{} on a version that is {}", action, version.state
                        );
                    }
                }
            }
            Err(error) => {
                let kind = error.kind();
                let advice = matches!(kind, Kind::Refused | Kind::State | Kind::Invalid | Kind::NotFound);
                prop_assert!(advice, "{:?}", error);
                if roles.is_empty() {
                    prop_assert_eq!(kind, Kind::Refused);
                }
            }
        }
    }
}

/// What the tables allow is permitted to whoever has the role: the property above is not kept by
/// refusing everything.
#[test]
fn decide_permits_what_the_tables_allow() {
    for class in Class::OFFERED {
        for action in class.uses() {
            for state in State::ALL {
                if !ASKED.contains(action) {
                    continue;
                }
                let mut view = deployment(Environment::Production);
                key(&mut view, &KEY.parse().unwrap(), class, &[(state, true)]);
                external(&mut view);
                service_key(&mut view);
                let role = match class {
                    Class::DataAtRest => Role::DataService,
                    Class::ImportWrapping => Role::SpaceSteward,
                    Class::Pseudonymisation
                    | Class::ServiceImportToken
                    | Class::ServiceAttestation
                    | Class::ServiceExchange
                    | Class::ServiceDigest
                    | Class::ServiceImportParameters => Role::Pseudonymiser,
                };
                put(
                    &mut view,
                    Value::Binding(binding("person/p", &[role]).unwrap()),
                );
                let bench = bench(&view, KeyUid([9; 16]));
                let told = decide(bench, &caller("person/p"), &command(*action, 1));
                let told = told.and_then(Verdict::permit);
                let reached = told.as_ref().is_ok_and(|permit| {
                    let versions = view.versions(&KEY.parse().unwrap());
                    versions.iter().any(|version| permit.covers(&version.id))
                });
                let allowed = match action {
                    // Both at once, of one version: it must protect as well.
                    Action::ReEncrypt => state == State::Active,
                    other => tables_allow(&view, class, *other, 1),
                };
                assert_eq!(reached, allowed, "{class}, {action}, {state}: {told:?}");
            }
        }
    }
}

fn external(view: &mut View) {
    let name: KeyName = "spaces/lab/keys/partner".parse().unwrap();
    key(view, &name, Class::DataAtRest, &[]);
    let (declared, _) = view.key(&name).unwrap();
    let external = kms_core::key::Key {
        origin: kms_core::key::Origin::External,
        ..declared.clone()
    };
    put(view, Value::Key(external));
}

fn service_key(view: &mut View) {
    for (name, class) in [
        (kms_core::name::IMPORT_TOKEN_KEY, Class::ServiceImportToken),
        (
            kms_core::name::IMPORT_PARAMETERS_KEY,
            Class::ServiceImportParameters,
        ),
    ] {
        let name = name.parse().unwrap();
        key(view, &name, class, &[(State::Active, false)]);
    }
}
