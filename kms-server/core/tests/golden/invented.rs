//! An edited log, consistent in itself: its digests and revisions are right, and its approvals are
//! invented. The server reads its log so when it starts, and `kms audit verify` reads it so.

use crate::approvals::{World, approval, filed};
use crate::sample::{KEY, NOW, caller, certificate, certificate_by};
use kms_core::action::Action;
use kms_core::certificate::Scheme;
use kms_core::command::{Change, LogName};
use kms_core::error::Result;
use kms_core::plan::{Act, Plan, Write};
use kms_core::proposal::{Approval, Proposal, ProposalState};
use kms_core::record::{Detail, Event, Intention, Outcome, Record, Settled, state_digest};
use kms_core::replay::Replay;
use kms_core::revision::Revision;
use kms_core::value::Value;
use rcgen::KeyPair;

/// What somebody does to a proposal in the log.
type Edit<'a> = &'a dyn Fn(&mut Proposal);

/// A log that somebody writes as they like.
#[derive(Default)]
struct Log {
    replay: Replay,
    revision: u64,
}

impl Log {
    fn feed(&mut self, detail: Detail) -> Result<()> {
        let event = Event {
            time: NOW,
            caller: caller("person/carl"),
            call: "a-call".into(),
            action: Action::Approve,
            resource: ("proposal".into(), "proposals/p".into()),
            result: Ok(()),
            duration: None,
            emergency: false,
            detail,
        };
        let record = Record::new(event, LogName::Changes, self.replay.len());
        self.replay.feed(Record::decode(&record.encode()?)?)
    }

    /// Writes values and their outcome, with the digest that they have.
    fn writes(&mut self, values: Vec<Value>) -> Result<()> {
        let replaced = |value: &Value| self.replay.view().get(&value.name()).map(|s| s.revision);
        let writes = values.iter().map(|value| Write {
            value: value.clone(),
            replaces: replaced(value),
        });
        let plan = Plan {
            act: Act::Nothing,
            writes: writes.collect(),
            subject: String::new(),
        };
        let intention = self.replay.len();
        self.feed(Detail::Intention(Box::new(Intention {
            plan,
            policies: vec![],
            proposal: None,
            request: None,
        })))?;
        self.revision += 1;
        self.feed(Detail::Outcome(Box::new(Outcome {
            intention,
            settled: Settled::Committed {
                revision: Revision(self.revision),
                state: state_digest(&values)?,
                learned: vec![],
            },
        })))
    }
}

/// Everything of a world in one entry, with a proposal that waits and this done to it in another.
fn edited(edit: impl Fn(&mut Proposal)) -> Result<()> {
    let mut world = World::new();
    filed(&mut world);
    let mut waits = world.proposals().pop().unwrap();
    let mut log = Log::default();
    let all = world.view.all().map(|stamped| stamped.value.clone());
    let (deployment, rest): (Vec<Value>, Vec<Value>) =
        all.partition(|value| value.name() == "deployment");
    assert_eq!(deployment.len(), 1);
    log.writes(deployment).unwrap();
    log.writes(rest).unwrap();
    edit(&mut waits);
    log.writes(vec![Value::Proposal(waits)])
}

/// What carl agrees to, as he does.
fn right(proposal: &Proposal) -> Approval {
    let mut world = World::new();
    filed(&mut world);
    let terms = &proposal.terms;
    let Change::Approve { signature, .. } = approval(&world.view, "person/carl", terms, &KEY)
    else {
        panic!("an approval was asked for");
    };
    Approval {
        custodian: "person/carl".parse().unwrap(),
        certificate: certificate("person/carl"),
        scheme: Scheme::Ed25519,
        signature: data_encoding::BASE64.encode(&signature),
        time: NOW,
        reason: "agreed".into(),
    }
}

#[test]
fn a_log_with_an_invented_approval_does_not_replay() {
    edited(|proposal| {
        let right = right(proposal);
        proposal.approvals.push(right);
    })
    .unwrap();
    let stranger = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let cases: [(&str, &str, Edit<'_>); 7] = [
        ("in another's name", "an approval: ", &|proposal| {
            let mut forged = right(proposal);
            forged.custodian = "person/carol".parse().unwrap();
            proposal.approvals.push(forged);
        }),
        ("by another's key", "an approval: ", &|proposal| {
            let mut forged = right(proposal);
            forged.certificate = certificate_by("person/carl", &stranger);
            proposal.approvals.push(forged);
        }),
        ("of another proposal", "an approval: ", &|proposal| {
            let mut other = proposal.clone();
            other.terms.expires = other.terms.expires.plus_millis(1);
            proposal.approvals.push(right(&other));
        }),
        ("without a signature", "an approval: ", &|proposal| {
            let mut forged = right(proposal);
            forged.signature = String::new();
            proposal.approvals.push(forged);
        }),
        ("twice", "one person agrees twice", &|proposal| {
            let once = right(proposal);
            proposal.approvals = vec![once.clone(), once];
        }),
        ("of one's own", "to their own proposal", &|proposal| {
            let mut own = right(proposal);
            own.custodian = proposal.terms.proposer.clone();
            own.certificate = certificate("person/olivia");
            proposal.approvals.push(own);
        }),
        (
            "of other terms",
            "it changes what was agreed to",
            &|proposal| {
                proposal.terms.command =
                    proposal.terms.command.replace("/versions/2", "/versions/1");
                proposal.state = ProposalState::Waiting;
            },
        ),
    ];
    for (what, why, edit) in cases {
        let refused = edited(edit).unwrap_err();
        let cause = refused.cause().unwrap_or_default().to_owned();
        assert!(cause.contains(why), "{what}: {refused}: {cause}");
    }
}
