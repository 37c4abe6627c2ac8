//! Dual control: nothing that needs others is done without them, whatever is tried.

use crate::sample::{KEY, NOW, bench, binding, certificate, certificate_by, deployment, key, put};
use kms_core::action::Action;
use kms_core::caller::{Caller, Peer, Principal};
use kms_core::certificate::Scheme;
use kms_core::class::Class;
use kms_core::command::{Change, Command};
use kms_core::decide::{Bench, Demand, Verdict, decide};
use kms_core::deployment::Environment;
use kms_core::due::Steady;
use kms_core::error::{Error, Kind, Result};
use kms_core::id::KeyUid;
use kms_core::lifecycle::Unused;
use kms_core::name::{KeyName, ProposalName};
use kms_core::plan::{Ground, Plan, carried_out, difference, file, plan};
use kms_core::plane::Plane;
use kms_core::proposal::{LIFETIME, Proposal, ProposalState, Terms};
use kms_core::role::Role;
use kms_core::state::State;
use kms_core::time::{HOUR, Time};
use kms_core::value::Value;
use kms_core::view::View;
use proptest::collection::vec;
use proptest::prelude::*;
use rcgen::{KeyPair, SigningKey};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Who is who: an operator with a spare card, two custodians, an officer, a stranger.
const PEOPLE: [&str; 6] = [
    "person/olivia",
    "person/olivia-spare",
    "person/carl",
    "person/carol",
    "person/hugo",
    "person/stranger",
];

fn object() -> KeyName {
    "spaces/lab/keys/object".parse().unwrap()
}

pub(crate) struct World {
    pub(crate) view: View,
    now: Time,
    made: u8,
}

impl World {
    pub(crate) fn new() -> Self {
        let mut view = deployment(Environment::Production);
        let olivia = r#"{"principal":"person/olivia","aliases":["person/olivia-spare"],"roles":[{"role":"key-operator"}]}"#;
        put(
            &mut view,
            Value::Binding(serde_json::from_str(olivia).unwrap()),
        );
        for (who, role) in [
            ("person/carl", Role::KeyCustodian),
            ("person/carol", Role::KeyCustodian),
            ("person/hugo", Role::HsmOfficer),
        ] {
            put(&mut view, Value::Binding(binding(who, &[role]).unwrap()));
        }
        let past = [(State::Deactivated, false), (State::Active, false)];
        key(&mut view, &object(), Class::DataAtRest, &past);
        World {
            view,
            now: NOW,
            made: 0,
        }
    }

    fn bench(&self) -> Bench<'_> {
        Bench {
            now: self.now,
            ..bench(&self.view, KeyUid([self.made; 16]))
        }
    }

    /// What the engine does with a change: judge, plan, file or write.
    fn ask(&mut self, who: &str, change: &Change) -> Result<()> {
        self.ask_as(&caller(who), change)
    }

    fn ask_as(&mut self, who: &Caller, change: &Change) -> Result<()> {
        self.made += 1;
        let bench = self.bench();
        let verdict = decide(bench, who, &Command::Change(change.clone()))?;
        let mut ground = Ground {
            view: &self.view,
            steady: Steady::default(),
            uses: &Unused,
            caller: who,
            now: self.now,
            fresh: bench.fresh,
            carried: None,
        };
        let (planned, waits) = match &verdict {
            Verdict::Permit(permit) => {
                ground.carried = permit.proposal();
                let planned = plan(ground, change)?;
                match permit.proposal() {
                    Some(name) => (carried_out(ground, planned, name)?, None),
                    None => (planned, None),
                }
            }
            Verdict::Approvals(Demand {
                waiting: Some((name, given)),
                needed,
                ..
            }) => return Err(Error::pending(name, format!("{given} of {needed}"))),
            Verdict::Approvals(Demand { needed, .. }) => {
                let planned = plan(ground, change)?;
                let name = ProposalName::fresh(&bench.fresh)?;
                (file(ground, change, &planned, *needed)?, Some(name))
            }
        };
        self.write(planned);
        waits.map_or(Ok(()), |name| Err(Error::pending(name, "filed")))
    }

    fn write(&mut self, planned: Plan) {
        let revision = kms_core::revision::Revision(self.view.revision().0 + 1);
        for value in planned.values(&[crate::sample::learned(9)]) {
            self.view.put(value, revision);
        }
    }

    pub(crate) fn proposals(&self) -> Vec<Proposal> {
        let mut found: Vec<Proposal> = self.view.proposals().cloned().collect();
        found.sort_by_key(|p| (p.filed, p.terms.name.clone()));
        found
    }

    fn state(&self, number: u32) -> State {
        self.view
            .version(&object().version(number))
            .unwrap()
            .0
            .state
    }

    fn approve(&mut self, who: &str, terms: &Terms) -> Result<()> {
        let change = approval(&self.view, who, terms, &KEY);
        self.ask(who, &change)
    }
}

fn caller(who: &str) -> Caller {
    Caller::Peer(Arc::new(Peer {
        certificate: certificate(who),
        source: None,
        planes: &Plane::ALL,
        sign_in: None,
        purpose: None,
    }))
}

fn sign(key: &KeyPair, message: &[u8]) -> Vec<u8> {
    SigningKey::sign(key, message).unwrap()
}

/// An approval of these terms, signed as a client signs.
pub(crate) fn approval(view: &View, who: &str, terms: &Terms, key: &KeyPair) -> Change {
    let name: Principal = who.parse().unwrap();
    let deployment = &view.founded().unwrap().name;
    Change::Approve {
        proposal: terms.name.clone(),
        scheme: Scheme::Ed25519,
        signature: sign(key, &terms.message(deployment, view.who(&name))),
        reason: "agreed".into(),
    }
}

fn compromise(number: u32) -> Change {
    Change::MoveVersion {
        name: object().version(number),
        etag: None,
        transition: Action::CompromiseVersion,
        reason: "a laptop was lost".into(),
        keep_processing: false,
    }
}

/// A compromise that olivia asked for: its terms.
pub(crate) fn filed(world: &mut World) -> Terms {
    let waits = world.ask("person/olivia", &compromise(2)).unwrap_err();
    assert_eq!(waits.kind(), Kind::Pending);
    let proposal = world.proposals().pop().unwrap();
    assert_eq!(
        waits.field(),
        Some(proposal.terms.name.to_string().as_str())
    );
    proposal.terms
}

#[test]
fn one_asks_another_agrees_and_it_is_done_once() {
    let mut world = World::new();
    let terms = filed(&mut world);
    assert_eq!(world.state(2), State::Active, "done before anybody agreed");
    // Asked again it waits where it waited.
    let again = world.ask("person/olivia", &compromise(2)).unwrap_err();
    assert_eq!(again.field(), Some(terms.name.to_string().as_str()));
    assert_eq!(world.proposals().len(), 1);
    world.approve("person/carl", &terms).unwrap();
    assert_eq!(
        world.state(2),
        State::Active,
        "done before it was asked again"
    );
    world.ask("person/olivia", &compromise(2)).unwrap();
    assert_eq!(world.state(2), State::Compromised);
    let over = world.proposals().pop().unwrap();
    assert_eq!(over.state, ProposalState::Executed);
    let twice = world.ask("person/olivia", &compromise(2)).unwrap_err();
    assert_eq!(twice.kind(), Kind::State);
    let late = world.approve("person/carol", &terms).unwrap_err();
    assert_eq!(late.kind(), Kind::State);
    assert!(late.message().contains("carried out already"));
}

#[test]
fn nobody_agrees_to_their_own() {
    let mut world = World::new();
    let terms = filed(&mut world);
    for card in ["person/olivia", "person/olivia-spare"] {
        let refused = world.approve(card, &terms).unwrap_err();
        assert_eq!(refused.kind(), Kind::Refused, "{card}");
        assert!(refused.message().contains("somebody else"), "{refused}");
    }
    // Nor does she if she is a custodian as well, by an edited store.
    let both = r#"{"principal":"person/olivia","aliases":["person/olivia-spare"],"roles":[{"role":"key-custodian"}]}"#;
    put(
        &mut world.view,
        Value::Binding(serde_json::from_str(both).unwrap()),
    );
    for card in ["person/olivia", "person/olivia-spare"] {
        assert_eq!(
            world.approve(card, &terms).unwrap_err().kind(),
            Kind::Refused
        );
    }
}

#[test]
fn one_person_agrees_once() {
    let mut world = World::new();
    let policy = put_policy("permit(principal, action, resource);");
    let waits = world.ask("person/hugo", &policy).unwrap_err();
    assert_eq!(waits.kind(), Kind::Pending, "{waits:?}");
    let terms = world.proposals().pop().unwrap().terms;
    world.approve("person/carl", &terms).unwrap();
    let twice = world.approve("person/carl", &terms).unwrap_err();
    assert_eq!(twice.kind(), Kind::Conflict);
    let still = world.ask("person/hugo", &policy).unwrap_err();
    assert_eq!((still.kind(), still.message()), (Kind::Pending, "1 of 2"));
    // A second card of the same custodian is the same custodian.
    let carl = r#"{"principal":"person/carl","aliases":["person/carl-spare"],"roles":[{"role":"key-custodian"}]}"#;
    put(
        &mut world.view,
        Value::Binding(serde_json::from_str(carl).unwrap()),
    );
    let spare = world.approve("person/carl-spare", &terms).unwrap_err();
    assert_eq!(spare.kind(), Kind::Conflict);
    world.approve("person/carol", &terms).unwrap();
    world.ask("person/hugo", &policy).unwrap();
}

fn put_policy(text: &str) -> Change {
    Change::PutPolicy {
        etag: None,
        schema: None,
        policy: Some(text.into()),
        reason: "an update".into(),
    }
}

#[test]
fn a_signature_is_for_one_proposal_one_person_one_deployment() {
    let mut world = World::new();
    let terms = filed(&mut world);
    let carl: Principal = "person/carl".parse().unwrap();
    let with = |signature: Vec<u8>| Change::Approve {
        proposal: terms.name.clone(),
        scheme: Scheme::Ed25519,
        signature,
        reason: "agreed".into(),
    };
    let here = world.view.founded().unwrap().name.clone();
    let elsewhere = "elsewhere".parse().unwrap();
    let mut longer = terms.clone();
    longer.expires = longer.expires.plus_millis(1);
    let mut other = terms.clone();
    other.command = compromise(1).text().unwrap();
    let mut unseen = terms.clone();
    unseen.seen.pop();
    let stranger = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let carol: Principal = "person/carol".parse().unwrap();
    for (what, signature) in [
        ("nothing", vec![]),
        ("another key", sign(&stranger, &terms.message(&here, &carl))),
        (
            "another deployment",
            sign(&KEY, &terms.message(&elsewhere, &carl)),
        ),
        ("another person", sign(&KEY, &terms.message(&here, &carol))),
        ("a longer life", sign(&KEY, &longer.message(&here, &carl))),
        ("another command", sign(&KEY, &other.message(&here, &carl))),
        (
            "less that would change",
            sign(&KEY, &unseen.message(&here, &carl)),
        ),
    ] {
        let refused = world.ask("person/carl", &with(signature)).unwrap_err();
        assert_eq!(refused.kind(), Kind::Invalid, "{what}");
        assert_eq!(refused.field(), Some("signature"), "{what}");
    }
    world
        .ask(
            "person/carl",
            &with(sign(&KEY, &terms.message(&here, &carl))),
        )
        .unwrap();
}

/// An edited store can invent an approval, and cannot sign it.
#[test]
fn an_invented_approval_counts_for_nothing() {
    let mut world = World::new();
    let terms = filed(&mut world);
    world.approve("person/carl", &terms).unwrap();
    let mut edited = world.proposals().pop().unwrap();
    let genuine = edited.approvals.pop().unwrap();
    let stranger = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let mut forged = genuine.clone();
    forged.custodian = "person/carol".parse().unwrap();
    let mut by_another = genuine.clone();
    by_another.certificate = certificate_by("person/carl", &stranger);
    let mut own = genuine;
    own.custodian = "person/olivia".parse().unwrap();
    own.certificate = certificate("person/olivia");
    for approval in [forged, by_another, own] {
        edited.approvals = vec![approval];
        put(&mut world.view, Value::Proposal(edited.clone()));
        let still = world.ask("person/olivia", &compromise(2)).unwrap_err();
        assert_eq!((still.kind(), still.message()), (Kind::Pending, "0 of 1"));
    }
}

#[test]
fn it_expires_and_stays_expired() {
    let mut world = World::new();
    let terms = filed(&mut world);
    world.approve("person/carl", &terms).unwrap();
    world.now = world.now.plus_millis(LIFETIME);
    let late = world.approve("person/carol", &terms).unwrap_err();
    assert!(late.message().contains("expired"), "{late}");
    let anew = world.ask("person/olivia", &compromise(2)).unwrap_err();
    assert_eq!((anew.kind(), anew.message()), (Kind::Pending, "filed"));
    assert_eq!(world.proposals().len(), 2);
}

#[test]
fn what_changed_since_is_agreed_to_by_nobody() {
    let mut world = World::new();
    let terms = filed(&mut world);
    world.approve("person/carl", &terms).unwrap();
    let suspend = Change::MoveVersion {
        name: object().version(2),
        etag: None,
        transition: Action::SuspendVersion,
        reason: "just in case".into(),
        keep_processing: false,
    };
    world.ask("person/carol", &suspend).unwrap();
    let overtaken = world.approve("person/carol", &terms).unwrap_err();
    assert_eq!(overtaken.kind(), Kind::State);
    let anew = world.ask("person/olivia", &compromise(2)).unwrap_err();
    assert_eq!((anew.kind(), anew.message()), (Kind::Pending, "filed"));
    assert_eq!(world.state(2), State::Suspended);
}

#[test]
fn todays_policy_and_todays_roles_decide() {
    let mut world = World::new();
    let terms = filed(&mut world);
    world.approve("person/carl", &terms).unwrap();
    let nothing = |who| Value::Binding(binding(who, &[]).unwrap());
    // Whoever agreed is a custodian no more.
    let mut without = World {
        view: world.view.clone(),
        now: world.now,
        made: world.made,
    };
    put(&mut without.view, nothing("person/carl"));
    let still = without.ask("person/olivia", &compromise(2)).unwrap_err();
    assert_eq!((still.kind(), still.message()), (Kind::Pending, "0 of 1"));
    // Whoever asked is an operator no more.
    put(&mut world.view, nothing("person/olivia"));
    let refused = world.ask("person/olivia", &compromise(2)).unwrap_err();
    assert_eq!(refused.kind(), Kind::Refused);
    // Nobody else carries it out: another's command is another proposal.
    let other = world.ask("person/hugo", &compromise(2)).unwrap_err();
    assert_eq!((other.kind(), other.message()), (Kind::Pending, "filed"));
}

#[test]
fn it_can_be_turned_down_and_taken_back() {
    for (who, state) in [
        ("person/carl", ProposalState::Rejected),
        ("person/olivia", ProposalState::Withdrawn),
    ] {
        let mut world = World::new();
        let terms = filed(&mut world);
        world.approve("person/carol", &terms).unwrap();
        let (proposal, reason) = (terms.name.clone(), "no".to_owned());
        let end = match state {
            ProposalState::Rejected => Change::Reject { proposal, reason },
            _ => Change::Withdraw { proposal, reason },
        };
        let stranger = world.ask("person/hugo", &end).unwrap_err();
        assert_eq!(stranger.kind(), Kind::Refused);
        world.ask(who, &end).unwrap();
        assert_eq!(world.proposals().pop().unwrap().state, state);
        let anew = world.ask("person/olivia", &compromise(2)).unwrap_err();
        assert_eq!((anew.kind(), anew.message()), (Kind::Pending, "filed"));
    }
}

#[test]
fn what_it_would_change_is_shown_before_anybody_agrees() {
    let mut world = World::new();
    let terms = filed(&mut world);
    let asker = caller("person/carl");
    let ground = crate::sample::ground(&world.view, &asker, KeyUid([7; 16]));
    let planned = plan(ground, &terms.change().unwrap()).unwrap();
    let lines: Vec<String> = difference(&world.view, &planned)
        .unwrap()
        .into_iter()
        .map(|d| format!("{} {}: {} -> {}", d.resource, d.field, d.before, d.after))
        .collect();
    assert_eq!(
        lines,
        [
            "spaces/lab/keys/object/versions/2 compromised:  -> 2026-01-01T00:00:00Z",
            "spaces/lab/keys/object/versions/2 state: active -> compromised",
            "spaces/lab/keys/object/versions/3 algorithm:  -> AES-256",
            "spaces/lab/keys/object/versions/3 origin:  -> generated",
            "spaces/lab/keys/object/versions/3 state:  -> active",
            "spaces/lab/keys/object/versions/3 suspended_processing:  -> false",
            "spaces/lab/keys/object latest: 2 -> 3",
            "spaces/lab/keys/object primary: 2 -> 3",
        ]
    );
}

/// What is done at random.
#[derive(Debug, Clone)]
enum Step {
    Ask(usize, u32),
    Approve(usize, usize),
    Forge(usize, usize),
    Reject(usize, usize),
    Withdraw(usize, usize),
    Rename,
    Later(u64),
    Bind(usize, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0..PEOPLE.len();
    prop_oneof![
        6 => (who.clone(), 1..3_u32).prop_map(|(who, n)| Step::Ask(who, n)),
        6 => (who.clone(), 0..4_usize).prop_map(|(who, at)| Step::Approve(who, at)),
        2 => (who.clone(), 0..4_usize).prop_map(|(who, at)| Step::Forge(who, at)),
        1 => (who.clone(), 0..4_usize).prop_map(|(who, at)| Step::Reject(who, at)),
        1 => (who.clone(), 0..4_usize).prop_map(|(who, at)| Step::Withdraw(who, at)),
        1 => Just(Step::Rename),
        1 => (1..48_u64).prop_map(|hours| Step::Later(hours * HOUR)),
        2 => (who, any::<bool>()).prop_map(|(who, back)| Step::Bind(who, back)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    /// Never compromised without another custodian of that day, who agreed to this very command,
    /// in time, on what had not changed since; and each agreement serves once.
    #[test]
    fn nothing_is_done_that_needs_others_without_them(steps in vec(step(), 1..40)) {
        let mut world = World::new();
        let stranger = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let roles: BTreeMap<&str, Value> = world
            .view
            .bindings()
            .map(|b| (PEOPLE.iter().find(|p| **p == b.principal().to_string()).copied().unwrap(),
                Value::Binding(b.clone())))
            .collect();
        for step in steps {
            let before = world.view.clone();
            let at = |at: usize| world.proposals().get(at).map(|p| p.terms.clone());
            match step.clone() {
                Step::Ask(who, number) => {
                    world.ask(PEOPLE[who], &compromise(number)).unwrap_or_default();
                }
                Step::Approve(who, which) => if let Some(terms) = at(which) {
                    world.approve(PEOPLE[who], &terms).unwrap_or_default();
                },
                Step::Forge(who, which) => if let Some(terms) = at(which) {
                    let forged = approval(&world.view, PEOPLE[who], &terms, &stranger);
                    prop_assert!(world.ask(PEOPLE[who], &forged).is_err());
                },
                Step::Reject(who, which) => if let Some(terms) = at(which) {
                    let change = Change::Reject { proposal: terms.name, reason: "no".into() };
                    world.ask(PEOPLE[who], &change).unwrap_or_default();
                },
                Step::Withdraw(who, which) => if let Some(terms) = at(which) {
                    let change = Change::Withdraw { proposal: terms.name, reason: "no".into() };
                    world.ask(PEOPLE[who], &change).unwrap_or_default();
                },
                Step::Rename => {
                    let (known, _) = world.view.key(&object()).unwrap();
                    let renamed = Value::Key(kms_core::key::Key {
                        title: format!("{}.", known.title),
                        ..known.clone()
                    });
                    put(&mut world.view, renamed);
                }
                Step::Later(millis) => world.now = world.now.plus_millis(millis),
                Step::Bind(who, back) => if let Some(value) = roles.get(PEOPLE[who]) {
                    let value = if back {
                        value.clone()
                    } else {
                        Value::Binding(binding(PEOPLE[who], &[]).unwrap())
                    };
                    put(&mut world.view, value);
                },
            }
            for number in 1..3 {
                let was = before.version(&object().version(number)).unwrap().0.state;
                if was == State::Compromised || world.state(number) != State::Compromised {
                    continue;
                }
                let now = world.now;
                let carried = world.view.proposals().find(|p| {
                    p.state == ProposalState::Executed
                        && before.proposal(&p.terms.name).is_some_and(|(b, _)| b.waits(now))
                });
                prop_assert!(carried.is_some(), "{:?}: nothing carried it", step);
                let carried = carried.unwrap();
                let (was, _) = before.proposal(&carried.terms.name).unwrap();
                prop_assert!(was.still_applies(&before));
                prop_assert_eq!(was.terms.command.clone(), compromise(number).text().unwrap());
                let custodians = was.agreed(&before, before.founded().unwrap());
                let counted = custodians.into_iter().filter(|who| {
                    before.binding(who).is_some_and(|b| b.has(Role::KeyCustodian))
                        && *who != &was.terms.proposer
                });
                prop_assert!(counted.count() >= 1);
            }
            for proposal in before.proposals().filter(|p| p.state != ProposalState::Waiting) {
                let (after, _) = world.view.proposal(&proposal.terms.name).unwrap();
                prop_assert_eq!(after, proposal, "what is over is over");
            }
        }
    }
}
