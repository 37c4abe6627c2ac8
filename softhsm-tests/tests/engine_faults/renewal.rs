//! The changes of a renewal campaign on an edge of its own.

use crate::world::World;
use kms_core::command::{Change, Command, Passage, Use};
use kms_core::name::EdgeName;
use kms_core::pseudonym::Identifier;
use kms_core::renewal::Mode;
use kms_server::engine::Reply;
use zeroize::Zeroizing;

/// The service that translates.
pub(crate) const MAPPER: &str = "service/mapper";

fn edge(slug: &str) -> EdgeName {
    format!("spaces/lab/edges/{slug}").parse().unwrap()
}

pub(crate) fn start(slug: &str) -> Change {
    Change::StartRenewal {
        name: edge(slug),
        etag: None,
        mode: Mode::Recompute,
        translators: vec![MAPPER.parse().unwrap()],
        expected: 10,
        lasting: 3_600_000,
        reason: "a test".into(),
    }
}

/// One identifier, old to new.
pub(crate) fn translate(world: &World, slug: &str) {
    let before = Identifier::opaque(Zeroizing::new("FR-42".into()));
    let passages = vec![before.map(|before| Passage {
        before,
        after: None,
    })];
    let command = Command::Use(Use::Translate {
        edge: edge(slug),
        passages,
        batch: None,
    });
    let Reply::Translations(pairs, _) = world.get(MAPPER, command) else {
        panic!("a translation was asked for");
    };
    assert!(pairs.iter().all(Result::is_ok), "{pairs:?}");
}

pub(crate) fn verify(slug: &str) -> Change {
    Change::VerifyRenewal {
        name: edge(slug),
        etag: None,
        rows: 1,
        sampled: 1,
    }
}

pub(crate) fn cutover(slug: &str) -> Change {
    Change::Cutover {
        name: edge(slug),
        etag: None,
        reason: "a test".into(),
    }
}

pub(crate) fn finish(slug: &str, abandon: bool) -> Change {
    Change::FinishRenewal {
        name: edge(slug),
        etag: None,
        abandon,
        reason: "a test".into(),
    }
}
