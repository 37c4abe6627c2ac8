//! The kinds of change, each with what has to be there before it.

use crate::renewal;
use crate::world::World;
use kms_core::action::Action;
use kms_core::class::Class;
use kms_core::command::{Change, Command, Plain, Sealed, Use, Wrapped};
use kms_core::envelope::EncryptionContext;
use kms_core::import_token::ImportToken;
use kms_core::key::{KeySpec, Learned, Origin, Wrapping};
use kms_core::lifecycle::Lifecycle;
use kms_core::name::KeyName;
use kms_core::space::{InputType, SpaceKind};
use kms_server::engine::Reply;
use softhsm_tests::hsm_bench::{spec, wrap_for};
use zeroize::Zeroizing;

/// A kind of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    CreateSpace,
    CreateDomain,
    CreateEdge,
    CreateKey,
    CreateExternalKey,
    UpdateKey,
    RotateKey,
    RotateKeyHeldBack,
    Activate,
    Suspend,
    Resume,
    Deactivate,
    Compromise,
    Approve,
    PutQuota,
    ImportKey,
    ScheduleDestruction,
    CancelDestruction,
    ArchiveSpace,
    DecommissionSpace,
    StartRewrap,
    StartRenewal,
    VerifyRenewal,
    Cutover,
    FinishRenewal,
    AbandonRenewal,
}

impl Kind {
    /// Whether many changes lead up to it.
    pub(crate) fn is_long(self) -> bool {
        matches!(
            self,
            Kind::Cutover | Kind::FinishRenewal | Kind::AbandonRenewal
        )
    }

    pub(crate) const ALL: [Kind; 26] = [
        Kind::CreateSpace,
        Kind::CreateDomain,
        Kind::CreateEdge,
        Kind::CreateKey,
        Kind::CreateExternalKey,
        Kind::UpdateKey,
        Kind::RotateKey,
        Kind::RotateKeyHeldBack,
        Kind::Activate,
        Kind::Suspend,
        Kind::Resume,
        Kind::Deactivate,
        Kind::Compromise,
        Kind::Approve,
        Kind::PutQuota,
        Kind::ImportKey,
        Kind::ScheduleDestruction,
        Kind::CancelDestruction,
        Kind::ArchiveSpace,
        Kind::DecommissionSpace,
        Kind::StartRewrap,
        Kind::StartRenewal,
        Kind::VerifyRenewal,
        Kind::Cutover,
        Kind::FinishRenewal,
        Kind::AbandonRenewal,
    ];

    /// How many versions there are more when it is done.
    pub(crate) fn versions_made(self) -> usize {
        match self {
            Kind::CreateEdge
            | Kind::CreateKey
            | Kind::RotateKey
            | Kind::RotateKeyHeldBack
            // The successor.
            | Kind::Compromise
            | Kind::ImportKey => 1,
            // The successor, and what seals the tables.
            Kind::StartRenewal => 2,
            Kind::CreateSpace
            | Kind::CreateDomain
            | Kind::CreateExternalKey
            | Kind::UpdateKey
            | Kind::Activate
            | Kind::Suspend
            | Kind::Resume
            | Kind::Deactivate
            | Kind::Approve
            | Kind::PutQuota
            | Kind::ScheduleDestruction
            | Kind::CancelDestruction
            | Kind::ArchiveSpace
            | Kind::DecommissionSpace
            | Kind::StartRewrap
            | Kind::VerifyRenewal
            | Kind::Cutover
            | Kind::FinishRenewal
            | Kind::AbandonRenewal => 0,
        }
    }

    /// A change of this kind, on things of its own, made under this slug.
    pub(crate) fn prepare(self, world: &World, slug: &str) -> Change {
        let name: KeyName = format!("spaces/lab/keys/{slug}").parse().unwrap();
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
        let rotate = |pre_active| Change::RotateKey {
            name: name.clone(),
            etag: None,
            reason: "a test".into(),
            pre_active,
        };
        let moved = |number, transition| Change::MoveVersion {
            name: name.version(number),
            etag: None,
            transition,
            reason: "a test".into(),
            keep_processing: false,
        };
        match self {
            Kind::CreateSpace => space(slug),
            Kind::CreateDomain => domain(slug),
            Kind::CreateEdge => {
                world.must(domain(slug));
                Change::CreateEdge {
                    name: format!("spaces/lab/edges/{slug}").parse().unwrap(),
                    code: slug.replace('-', "").parse().unwrap(),
                    input: InputType::Opaque,
                    exportable: false,
                }
            }
            Kind::CreateKey => made(Origin::Generated),
            Kind::CreateExternalKey => made(Origin::External),
            Kind::UpdateKey => {
                world.must(made(Origin::Generated));
                Change::UpdateKey {
                    name,
                    etag: None,
                    title: Some("Another title".into()),
                    labels: None,
                    study: None,
                    lifecycle: None,
                }
            }
            Kind::RotateKey => {
                world.must(made(Origin::Generated));
                rotate(false)
            }
            Kind::RotateKeyHeldBack => {
                world.must(made(Origin::Generated));
                rotate(true)
            }
            Kind::Activate => {
                world.must(made(Origin::Generated));
                world.must(rotate(true));
                moved(2, Action::ActivateVersion)
            }
            Kind::Suspend => {
                world.must(made(Origin::Generated));
                moved(1, Action::SuspendVersion)
            }
            Kind::Resume => {
                world.must(made(Origin::Generated));
                world.must(moved(1, Action::SuspendVersion));
                moved(1, Action::ResumeVersion)
            }
            Kind::Deactivate => {
                world.must(made(Origin::Generated));
                moved(1, Action::DeactivateVersion)
            }
            // Another has to agree: what is watched is that it is carried out, once.
            Kind::Compromise => {
                world.must(made(Origin::Generated));
                let change = moved(1, Action::CompromiseVersion);
                let terms = world.propose(&change);
                world.must(world.approval(&terms));
                change
            }
            Kind::Approve => {
                world.must(made(Origin::Generated));
                let terms = world.propose(&moved(1, Action::CompromiseVersion));
                world.approval(&terms)
            }
            Kind::PutQuota => {
                world.must(made(Origin::Generated));
                Change::PutQuota {
                    name: format!("{name}/quotas/each").parse().unwrap(),
                    etag: None,
                    limits: serde_json::from_str(r#"{"day":{"items":1000}}"#).unwrap(),
                    reason: "a test".into(),
                }
            }
            Kind::ImportKey => {
                world.must(made(Origin::External));
                // The same comes in once.
                let mut material = [0; 32];
                getrandom::fill(&mut material).unwrap();
                import(world, &name, &material)
            }
            Kind::ScheduleDestruction => {
                world.must(made(Origin::Generated));
                world.must(moved(1, Action::DeactivateVersion));
                schedule(&name)
            }
            Kind::CancelDestruction => {
                let scheduled = Kind::ScheduleDestruction.prepare(world, slug);
                world.must(scheduled);
                cancel(&name)
            }
            Kind::ArchiveSpace => {
                world.must(space(slug));
                archive(slug)
            }
            Kind::DecommissionSpace => {
                world.must(space(slug));
                world.must(archive(slug));
                decommission(slug)
            }
            Kind::StartRewrap => {
                let compromise = Kind::Compromise.prepare(world, slug);
                world.must(compromise);
                Change::StartRewrap {
                    name,
                    etag: None,
                    versions: vec![1],
                    lasting: 3_600_000,
                    reason: "a test".into(),
                }
            }
            Kind::StartRenewal => {
                world.must(Kind::CreateEdge.prepare(world, slug));
                renewal::start(slug)
            }
            Kind::VerifyRenewal => {
                world.must(Kind::StartRenewal.prepare(world, slug));
                renewal::translate(world, slug);
                renewal::verify(slug)
            }
            Kind::Cutover => {
                world.must(Kind::VerifyRenewal.prepare(world, slug));
                renewal::cutover(slug)
            }
            Kind::FinishRenewal => {
                world.must(Kind::Cutover.prepare(world, slug));
                renewal::finish(slug, false)
            }
            Kind::AbandonRenewal => {
                world.must(Kind::StartRenewal.prepare(world, slug));
                renewal::finish(slug, true)
            }
        }
    }
}

fn space(slug: &str) -> Change {
    Change::CreateSpace {
        name: format!("spaces/{slug}").parse().unwrap(),
        title: "A space".into(),
        kind: SpaceKind::Ingest,
        lifecycle: Lifecycle::default(),
    }
}

fn archive(slug: &str) -> Change {
    Change::ArchiveSpace {
        name: format!("spaces/{slug}").parse().unwrap(),
        etag: None,
        reason: "a test".into(),
    }
}

fn decommission(slug: &str) -> Change {
    Change::DecommissionSpace {
        name: format!("spaces/{slug}").parse().unwrap(),
        etag: None,
        reason: "a test".into(),
    }
}

/// The first version of a key, in a minute.
fn schedule(name: &KeyName) -> Change {
    Change::ScheduleDestruction {
        name: name.version(1),
        etag: None,
        waiting: 60_000,
        force: false,
        reason: "a test".into(),
    }
}

/// Takes that back.
pub(crate) fn cancel(name: &KeyName) -> Change {
    Change::CancelDestruction {
        name: name.version(1),
        etag: None,
        reason: "a test".into(),
    }
}

/// An import of this material as the next version of a key.
pub(crate) fn import(world: &World, name: &KeyName, material: &[u8]) -> Change {
    let wrapping: KeyName = "spaces/lab/keys/wrapping".parse().unwrap();
    if world.view().key(&wrapping).is_none() {
        world.must(Change::CreateKey {
            name: wrapping.clone(),
            class: Class::ImportWrapping,
            title: "Imports".into(),
            origin: Origin::Generated,
            exportable: false,
            labels: [].into(),
            study: None,
            lifecycle: Lifecycle::default(),
            intake: None,
        });
    }
    let mechanism = Wrapping::OaepSha1;
    let command = Command::Use(Use::GetImportParameters {
        key: name.clone(),
        wrapping,
        mechanism: Some(mechanism),
    });
    let Reply::ImportParameters(parameters) = world.get("person/olga", command) else {
        panic!("import parameters were asked for");
    };
    let learned = Learned {
        fingerprint: String::new(),
        public_key: Some(parameters.parameters.wrapper.public_key),
        recognised: None,
    };
    let any: KeySpec = spec(Class::ImportWrapping);
    let (token, mac) = ImportToken::parse(&parameters.parameters.import_token).unwrap();
    Change::ImportKey {
        name: name.clone(),
        etag: None,
        token,
        wrapped: Wrapped::Material {
            mac,
            bytes: wrap_for(&any, &learned, mechanism, material).blob,
        },
        reason: "a test".into(),
    }
}

fn domain(slug: &str) -> Change {
    Change::CreateDomain {
        name: format!("domains/{slug}").parse().unwrap(),
        title: "Identifiers".into(),
        source: None,
    }
}

/// A text sealed under a key, to be opened when everything is over.
pub(crate) fn seal(world: &World, key: &KeyName) -> Vec<u8> {
    let items = vec![Plain {
        plaintext: Zeroizing::new(b"a text".to_vec()),
        context: Ok(EncryptionContext::default()),
    }];
    let command = Command::Use(Use::Encrypt {
        key: key.clone(),
        items,
    });
    let Reply::Encrypted(mut sealed) = world.get("service/etl", command) else {
        panic!("encryption was asked for");
    };
    sealed.pop().unwrap().unwrap().ciphertext
}

/// Whether what was sealed opens.
pub(crate) fn opens(world: &World, key: &KeyName, ciphertext: Vec<u8>) -> bool {
    let items = vec![Sealed {
        ciphertext,
        context: Ok(EncryptionContext::default()),
    }];
    let command = Command::Use(Use::Decrypt {
        key: key.clone(),
        items,
    });
    let Reply::Decrypted(mut opened) = world.get("service/etl", command) else {
        panic!("decryption was asked for");
    };
    opened
        .pop()
        .unwrap()
        .is_ok_and(|opened| *opened.plaintext == b"a text")
}
