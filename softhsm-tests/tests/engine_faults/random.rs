//! Random commands on a few keys, with faults and deaths in between.

use crate::invariants::{self, Orphans};
use crate::kind::import;
use crate::world::{Answer, Token, World};
use kms_core::action::Action;
use kms_core::class::Class;
use kms_core::command::Change;
use kms_core::key::Origin;
use kms_core::lifecycle::Lifecycle;
use kms_core::name::KeyName;
use kms_server::engine::Reply;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use softhsm_tests::script::Fault;
use softhsm_tests::setting::scaled;
use std::collections::BTreeMap;
use uuid::Uuid;

/// One step: what is asked, which outside calls fail, and whether the server is restarted after.
#[derive(Debug, Clone)]
struct Step {
    ask: Ask,
    faults: BTreeMap<usize, Fault>,
    restart: bool,
    same_request: bool,
}

#[derive(Debug, Clone)]
enum Ask {
    Create(u8),
    Declare(u8),
    Update(u8),
    Rotate(u8, bool),
    Move(u8, u32, Action),
    Import(u8, u8),
}

fn ask() -> impl Strategy<Value = Ask> {
    let key = 0..3_u8;
    let transition = prop::sample::select(vec![
        Action::ActivateVersion,
        Action::SuspendVersion,
        Action::ResumeVersion,
        Action::DeactivateVersion,
        Action::CompromiseVersion,
    ]);
    prop_oneof![
        2 => key.clone().prop_map(Ask::Create),
        1 => key.clone().prop_map(Ask::Declare),
        1 => key.clone().prop_map(Ask::Update),
        3 => (key.clone(), any::<bool>()).prop_map(|(key, held)| Ask::Rotate(key, held)),
        4 => (key.clone(), 1..4_u32, transition).prop_map(|(k, n, t)| Ask::Move(k, n, t)),
        2 => (key, any::<u8>()).prop_map(|(key, material)| Ask::Import(key, material)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let fault = prop::sample::select(Fault::ALL.to_vec());
    let faults = btree_map(0..9_usize, fault, 0..3);
    (ask(), faults, prop::bool::weighted(0.2), any::<bool>()).prop_map(
        |(ask, faults, restart, same_request)| Step {
            ask,
            faults,
            restart,
            same_request,
        },
    )
}

#[test]
fn random_commands_and_deaths() {
    let token = Token::empty("random_commands_and_deaths");
    let config = Config {
        cases: u32::try_from(scaled(120)).unwrap(),
        max_shrink_iters: 200,
        failure_persistence: None,
        ..Config::default()
    };
    let run = |steps: Vec<Step>| {
        let mut world = World::founded(&token);
        for step in steps {
            take(&mut world, &step);
        }
        world.kill();
        Ok(())
    };
    let result = TestRunner::new(config).run(&vec(step(), 1..25), run);
    result.unwrap_or_else(|failed| panic!("{failed}"));
}

fn take(world: &mut World, step: &Step) {
    let Some(change) = change(world, &step.ask) else {
        return;
    };
    let before = world.view();
    let request = Uuid::new_v4();
    world.life().script.start(step.faults.clone());
    let answer = world.change(request, &change);
    world.life().script.stop();
    let orphans = if world.orphans_may_be() {
        Orphans::Allowed
    } else {
        Orphans::None
    };
    let acknowledged = match answer {
        Answer::Told(Ok(Reply::Resource(made) | Reply::Imported(made, _))) => Some(*made),
        Answer::Told(_) | Answer::Died => None,
    };
    if acknowledged.is_none() || step.restart {
        world.reopen();
    }
    let after = world.view();
    invariants::hold(world, orphans);
    invariants::nothing_was_taken_back(&before, &after);
    if let Some(made) = &acknowledged {
        assert_eq!(after.get(&made.value.name()), Some(made), "lost: {step:?}");
    }
    if step.same_request {
        let repeated = world.change(request, &change);
        if let (Some(made), Answer::Told(Ok(Reply::Resource(again) | Reply::Imported(again, _)))) =
            (&acknowledged, &repeated)
        {
            assert_eq!(**again, *made, "another result: {step:?}");
        } else if acknowledged.is_some() {
            panic!("a request that was carried out is refused: {step:?}: {repeated:?}");
        }
        invariants::hold(world, orphans);
        invariants::nothing_was_taken_back(&after, &world.view());
    }
    let name = key_name(&step.ask);
    if let Some((key, _)) = world.view().key(&name) {
        invariants::material_is_what_was_recorded(world, key);
    }
}

fn key_name(ask: &Ask) -> KeyName {
    let key = match ask {
        Ask::Create(key)
        | Ask::Declare(key)
        | Ask::Update(key)
        | Ask::Rotate(key, _)
        | Ask::Move(key, _, _)
        | Ask::Import(key, _) => key,
    };
    format!("spaces/lab/keys/k{key}").parse().unwrap()
}

/// The change to ask for. An import needs a key that takes one.
fn change(world: &World, ask: &Ask) -> Option<Change> {
    let name = key_name(ask);
    let made = |origin| Change::CreateKey {
        name: name.clone(),
        class: Class::DataAtRest,
        title: "A key".into(),
        origin,
        exportable: false,
        labels: [].into(),
        study: None,
        lifecycle: Lifecycle::default(),
        intake: None,
    };
    Some(match ask {
        Ask::Create(_) => made(Origin::Generated),
        Ask::Declare(_) => made(Origin::External),
        Ask::Update(_) => Change::UpdateKey {
            name,
            etag: None,
            title: Some("Another title".into()),
            labels: None,
            study: None,
            lifecycle: None,
        },
        Ask::Rotate(_, pre_active) => Change::RotateKey {
            name,
            etag: None,
            reason: "a test".into(),
            pre_active: *pre_active,
        },
        Ask::Move(_, number, transition) => Change::MoveVersion {
            name: name.version(*number),
            etag: None,
            transition: *transition,
            reason: "a test".into(),
            keep_processing: false,
        },
        Ask::Import(_, material) => {
            let view = world.view();
            view.key(&name)
                .filter(|(key, _)| key.origin == Origin::External)?;
            import(world, &name, &[*material; 32])
        }
    })
}
