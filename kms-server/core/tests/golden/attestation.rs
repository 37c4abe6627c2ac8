//! The attestation of destruction: what it says, and what it does not.

use crate::sample::{KEY, NOW, caller, certificate, deployment, key, put};
use data_encoding::HEXLOWER;
use kms_core::action::Action;
use kms_core::attestation::{Statement, Subject, Token, Trail, verify};
use kms_core::backup::Backup;
use kms_core::class::Class;
use kms_core::command::{Change, LogName};
use kms_core::deployment::Environment;
use kms_core::due::{Steady, Task};
use kms_core::error::{Kind, Result};
use kms_core::id::KeyUid;
use kms_core::key::{Export, Wrapping};
use kms_core::lifecycle::Unused;
use kms_core::name::{KeyName, ProposalName, VersionName};
use kms_core::plan::{Ground, plan};
use kms_core::proposal::{Approval, Proposal, ProposalState, Terms};
use kms_core::record::{Detail, Event, Intention, Outcome, Record, Settled, state_digest};
use kms_core::revision::Revision;
use kms_core::space::KEPT;
use kms_core::state::State;
use kms_core::time::{DAY, Time};
use kms_core::value::Value;
use kms_core::view::View;
use rcgen::{KeyPair, PublicKeyData, SigningKey};
use sha2::{Digest, Sha256};

fn object() -> KeyName {
    "spaces/lab/keys/object".parse().unwrap()
}

fn version(number: u32) -> VersionName {
    object().version(number)
}

fn subject(text: &str) -> Subject {
    text.parse().unwrap()
}

/// What happened in a deployment: its view and its log of changes.
struct Story {
    view: View,
    log: Vec<Vec<u8>>,
    now: Time,
    made: u8,
}

impl Story {
    /// A deployment with a key of two versions, neither of them active, and one of another space.
    fn new() -> Self {
        let mut view = deployment(Environment::Production);
        let past = [(State::Compromised, false), (State::Deactivated, false)];
        key(&mut view, &object(), Class::DataAtRest, &past);
        let other = "spaces/elsewhere/keys/object".parse().unwrap();
        key(
            &mut view,
            &other,
            Class::DataAtRest,
            &[(State::Deactivated, false)],
        );
        Story {
            view,
            log: vec![],
            now: NOW,
            made: 0,
        }
    }

    /// Carries a change out, as the engine does; it was approved by these.
    fn does(&mut self, who: &str, change: &Change, approvers: &[&str]) {
        self.made += 1;
        let caller = caller(who);
        let ground = Ground {
            view: &self.view,
            steady: Steady::default(),
            uses: &Unused,
            caller: &caller,
            now: self.now,
            fresh: KeyUid([self.made; 16]),
            carried: None,
        };
        let planned = plan(ground, change).unwrap();
        let proposal = (!approvers.is_empty()).then(|| self.agreed(who, change, approvers));
        let values = planned.values(&[]);
        let revision = Revision(self.view.revision().0 + 1);
        let index = u64::try_from(self.log.len()).unwrap();
        self.append(
            change,
            Detail::Intention(Box::new(Intention {
                plan: planned,
                policies: vec![],
                proposal,
                request: None,
            })),
        );
        self.append(
            change,
            Detail::Outcome(Box::new(Outcome {
                intention: index,
                settled: Settled::Committed {
                    revision,
                    state: state_digest(&values).unwrap(),
                    learned: vec![],
                },
            })),
        );
        for value in values {
            self.view.put(value, revision);
        }
    }

    fn append(&mut self, change: &Change, detail: Detail) {
        let (sort, name) = change.resource();
        let event = Event {
            time: self.now,
            caller: caller("person/olivia"),
            call: "a-call".into(),
            action: change.action(),
            resource: (sort.into(), name),
            result: Ok(()),
            duration: None,
            emergency: false,
            detail,
        };
        let index = u64::try_from(self.log.len()).unwrap();
        let record = Record::new(event, LogName::Changes, index);
        self.log.push(record.encode().unwrap());
    }

    /// A proposal that these agreed to.
    fn agreed(&mut self, who: &str, change: &Change, approvers: &[&str]) -> ProposalName {
        let name = ProposalName::fresh(&KeyUid([self.made; 16])).unwrap();
        let approvals = approvers.iter().map(|custodian| Approval {
            custodian: custodian.parse().unwrap(),
            certificate: certificate(custodian),
            scheme: kms_core::certificate::Scheme::Ed25519,
            signature: String::new(),
            time: self.now,
            reason: "agreed".into(),
        });
        let proposal = Proposal {
            terms: Terms {
                name: name.clone(),
                proposer: who.parse().unwrap(),
                action: change.action(),
                command: change.text().unwrap(),
                expires: self.now.plus_millis(DAY),
                seen: vec![],
            },
            resource: ("version".into(), "of no matter".into()),
            needed: 2,
            filed: self.now,
            approvals: approvals.collect(),
            state: ProposalState::Executed,
            ended: None,
        };
        put(&mut self.view, Value::Proposal(proposal));
        name
    }

    fn schedules(&mut self, number: u32, approvers: &[&str]) {
        let change = Change::ScheduleDestruction {
            name: version(number),
            etag: None,
            waiting: 30 * DAY,
            force: false,
            reason: "the study is over".into(),
        };
        self.does("person/olivia", &change, approvers);
    }

    fn destroys(&mut self, number: u32) {
        self.now = self.now.plus_millis(30 * DAY);
        let change = Change::MoveVersion {
            name: version(number),
            etag: None,
            transition: Action::DestroyVersion,
            reason: Task::Destroy.reason().into(),
            keep_processing: false,
        };
        self.does("service/scheduler", &change, &["person/carl"]);
    }

    fn erases(&mut self) {
        let (name, reason) = ("spaces/lab".parse().unwrap(), "the study is over");
        let archive = Change::ArchiveSpace {
            name,
            etag: None,
            reason: reason.into(),
        };
        self.does("person/stella", &archive, &[]);
        let decommission = Change::DecommissionSpace {
            name: "spaces/lab".parse().unwrap(),
            etag: None,
            reason: reason.into(),
        };
        self.does(
            "person/stella",
            &decommission,
            &["person/carl", "person/carol"],
        );
        self.now = self.now.plus_millis(KEPT);
        let erase = Change::EraseSpace {
            name: "spaces/lab".parse().unwrap(),
            reason: Task::Erase.reason().into(),
        };
        self.does("service/scheduler", &erase, &["person/carol"]);
    }

    fn backup(&mut self, taken: Time, expires: Time) {
        self.made += 1;
        let change = Change::DeclareBackup {
            title: format!("vault {}", self.made),
            taken,
            expires,
        };
        let now = self.now;
        self.now = now.max(taken);
        self.does("person/hugo", &change, &["person/carl"]);
        self.now = now;
    }

    fn attests(&self, of: &str) -> Result<Statement> {
        let mut trail = Trail::new(subject(of));
        for entry in &self.log {
            trail.feed(entry)?;
        }
        let token = Token {
            label: "kms".into(),
            serial: "0123456789abcdef".into(),
            model: "SoftHSM v2".into(),
        };
        let last = |name: &VersionName| (*name == version(2)).then_some(NOW.plus_millis(DAY));
        Statement::of(&self.view, subject(of), self.now, token, &trail, last)
    }
}

impl Story {
    /// A statement's text, with a constant for the digests of entries, which hold the release's
    /// number.
    fn text(&self, statement: &Statement) -> String {
        let bytes = statement.encode().unwrap();
        assert_eq!(Statement::parse(&bytes).unwrap(), *statement);
        let mut text = String::from_utf8(bytes).unwrap();
        for version in &statement.versions {
            let place = &version.record;
            let entry = &self.log[usize::try_from(place.index).unwrap()];
            assert_eq!(place.sha256, HEXLOWER.encode(&Sha256::digest(entry)));
            text = text.replace(&place.sha256, &"0123456789abcdef".repeat(4));
        }
        text
    }
}

/// The form of a statement, for ever: provisional, and about one version.
#[test]
fn a_statement_about_a_version() {
    let mut story = Story::new();
    story.backup(NOW.plus_millis(DAY), NOW.plus_millis(400 * DAY));
    story.backup(NOW.plus_millis(2 * DAY), NOW.plus_millis(20 * DAY));
    story.schedules(1, &["person/carl", "person/carol"]);
    story.destroys(1);
    let statement = story.attests("spaces/lab/keys/object/versions/1").unwrap();
    insta::assert_snapshot!(story.text(&statement));
}

/// One statement for all of a space, and final: no backup may hold any of it.
#[test]
fn a_statement_about_a_space() {
    let mut story = Story::new();
    story.schedules(1, &["person/carl", "person/carol"]);
    story.destroys(1);
    story.erases();
    let statement = story.attests("spaces/lab").unwrap();
    insta::assert_snapshot!(story.text(&statement));
}

#[test]
fn what_is_not_gone_has_none() {
    let mut story = Story::new();
    let told = |story: &Story, of: &str| story.attests(of).unwrap_err().kind();
    let first = "spaces/lab/keys/object/versions/1";
    story.schedules(1, &[]);
    assert_eq!(told(&story, first), Kind::State, "it is only scheduled");
    assert_eq!(told(&story, "spaces/lab"), Kind::State);
    assert_eq!(told(&story, "spaces/none"), Kind::NotFound);
    assert_eq!(
        told(&story, "spaces/lab/keys/object/versions/9"),
        Kind::NotFound
    );
    story.destroys(1);
    story.attests(first).unwrap();
    assert_eq!(told(&story, "spaces/lab"), Kind::State, "one is left");
    // Without the log there is nothing to point to.
    story.log.clear();
    assert_eq!(told(&story, first), Kind::Internal);
}

/// Final means: no declared backup that may hold it is left.
#[test]
fn it_is_final_once_the_last_backup_that_may_hold_it_has_expired() {
    let mut story = Story::new();
    let (made, far) = (NOW, NOW.plus_millis(10_000 * DAY));
    // Before it was made, and after it was destroyed: a day is left for clocks that differ.
    story.backup(Time(made.0 - 2 * DAY), far);
    story.schedules(1, &[]);
    story.destroys(1);
    story.backup(story.now.plus_millis(2 * DAY), far);
    let first = "spaces/lab/keys/object/versions/1";
    let alone = story.attests(first).unwrap();
    assert!(alone.is_final && alone.backups.is_empty(), "{alone:?}");

    let (early, late) = (
        story.now.plus_millis(5 * DAY),
        story.now.plus_millis(9 * DAY),
    );
    story.backup(Time(made.0 - DAY), early);
    story.backup(story.now.plus_millis(DAY), late);
    let held = story.attests(first).unwrap();
    assert_eq!(held.backups.len(), 2);
    assert!(!held.is_final);
    assert_eq!(held.final_from.map(|from| from.time()), Some(late));

    story.now = Time(late.0 - 1000);
    assert!(!story.attests(first).unwrap().is_final);
    story.now = late;
    let ended = story.attests(first).unwrap();
    assert!(ended.is_final && ended.final_from.is_none());
    assert_eq!(ended.backups.len(), 2, "they are still named");
}

/// What left for another HSM is named, and nothing of it is final here.
#[test]
fn what_left_for_another_hsm_is_named_and_never_final() {
    let mut story = Story::new();
    let (here, revision) = story.view.version(&version(1)).unwrap();
    let mut exported = here.clone();
    exported.exports.push(Export {
        destination: "destinations/other-hsm".parse().unwrap(),
        public_key_sha256: "0123456789abcdef".repeat(4),
        mechanism: Wrapping::OaepSha256,
        moved: exported.moved.clone(),
        proposal: None,
    });
    story.view.put(Value::Version(exported), revision);
    story.schedules(1, &["person/carl", "person/carol"]);
    story.destroys(1);
    let statement = story.attests("spaces/lab/keys/object/versions/1").unwrap();
    assert!(!statement.is_final && statement.final_from.is_none());
    insta::assert_snapshot!(story.text(&statement));
    let text = String::from_utf8(statement.encode().unwrap()).unwrap();
    let bettered = text.replace("\"final\": false", "\"final\": true");
    assert_ne!(bettered, text);
    assert!(Statement::parse(bettered.as_bytes()).is_err());
}

/// A destruction that was taken back and decided again: those count who decided what was done.
#[test]
fn who_approved_what_was_taken_back_is_not_named() {
    let mut story = Story::new();
    story.schedules(1, &["person/carl", "person/carol"]);
    let cancel = Change::CancelDestruction {
        name: version(1),
        etag: None,
        reason: "not yet".into(),
    };
    story.does("person/olivia", &cancel, &[]);
    story.schedules(1, &["person/cora"]);
    story.destroys(1);
    let statement = story.attests("spaces/lab/keys/object/versions/1").unwrap();
    let decided = statement.versions[0].decided.as_ref().unwrap();
    assert_eq!(decided.approvers, ["spiffe://emc2.example/person/cora"]);
    assert_eq!(
        statement.versions[0].destroyed.approvers,
        ["spiffe://emc2.example/person/carl"]
    );
}

#[test]
fn a_statement_that_contradicts_itself_is_none() {
    let mut story = Story::new();
    story.backup(NOW, NOW.plus_millis(400 * DAY));
    story.schedules(1, &[]);
    story.destroys(1);
    let statement = story.attests("spaces/lab/keys/object/versions/1").unwrap();
    let bytes = statement.encode().unwrap();
    let text = String::from_utf8(bytes.clone()).unwrap();
    for (what, other) in [
        ("\"final\": false", "\"final\": true"),
        ("\"final_from\": \"2027", "\"final_from\": \"2026"),
        ("destruction/v1", "destruction/v2"),
        (
            "\"subject\": \"spaces/lab/keys/object/versions/1",
            "\"subject\": \"spaces/lab/keys/object/versions/2",
        ),
        ("\"token\": {", "\"token\":  {"),
        ("\"exports\": []", "\"exports\": [], \"more\": 1"),
    ] {
        let changed = text.replacen(what, other, 1);
        assert_ne!(changed, text, "{what}");
        let told = Statement::parse(changed.as_bytes()).unwrap_err();
        assert_eq!(told.kind(), Kind::Invalid, "{what}");
    }
    assert!(Statement::parse(b"{}").is_err());
    assert!(Statement::parse(&[&bytes[..], b" "].concat()).is_err());
}

#[test]
fn only_its_own_signature_verifies() {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let public = key.subject_public_key_info();
    let signature = key.sign(b"a statement").unwrap();
    verify(b"a statement", &signature, &public).unwrap();
    let other = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let mut flipped = signature.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for (statement, signature, public) in [
        (&b"a statemenT"[..], &signature, &public),
        (b"a statement", &flipped, &public),
        (b"a statement", &signature, &other.subject_public_key_info()),
        (b"a statement", &signature, &KEY.subject_public_key_info()),
        (b"a statement", &vec![], &public),
        (b"a statement", &signature, &vec![]),
    ] {
        let told = verify(statement, signature, public).unwrap_err();
        assert_eq!(told.kind(), Kind::Invalid);
    }
}

/// A backup is declared by people, who mistype.
#[test]
fn a_backup_is_declared_once_it_was_taken_and_for_some_time() {
    let mut story = Story::new();
    story.backup(NOW, NOW.plus_millis(DAY));
    let backups: Vec<Backup> = story.view.backups().cloned().collect();
    assert_eq!(backups.len(), 1);
    assert_eq!(backups[0].declarer, "spiffe://emc2.example/person/hugo");
    for (taken, expires) in [
        (NOW.plus_millis(1), NOW.plus_millis(DAY)),
        (NOW, NOW),
        (NOW, Time(NOW.0 - DAY)),
    ] {
        let change = Change::DeclareBackup {
            title: "vault".into(),
            taken,
            expires,
        };
        let hugo = caller("person/hugo");
        let ground = crate::sample::ground(&story.view, &hugo, KeyUid([99; 16]));
        assert_eq!(plan(ground, &change).unwrap_err().kind(), Kind::Invalid);
    }
}
