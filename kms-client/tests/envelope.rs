//! Files and streams, sealed, opened, re-wrapped and damaged.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "a test may panic, and each suite uses a part of the service"
)]

mod service;

use kms_client::{Bounds, Context, Envelopes, HEADER_LENGTH, Kind, SLOT_LENGTH};
use service::{Pki, Service};
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

const KEY: &str = "spaces/ingest-lyon/keys/object";

struct Bench {
    pki: Pki,
    service: Service,
    envelopes: Envelopes,
}

impl Bench {
    async fn new() -> Self {
        Self::within(Bounds {
            messages: 1,
            ..Bounds::default()
        })
        .await
    }

    async fn within(bounds: Bounds) -> Self {
        let pki = Pki::new();
        let service = Service::start(&pki).await;
        let envelopes = Envelopes::new(service.client(&pki).await, bounds);
        Self {
            pki,
            service,
            envelopes,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.pki.path(name)
    }

    async fn sealed(&self, name: &str, content: &[u8]) -> PathBuf {
        let (plain, sealed) = (self.path(name), self.path(&format!("{name}.kms")));
        std::fs::write(&plain, content).unwrap();
        self.envelopes
            .seal_file(KEY, &Context::none(), &plain, &sealed)
            .await
            .unwrap();
        sealed
    }

    async fn opened(&self, sealed: &Path) -> Result<Vec<u8>, kms_client::Error> {
        let bytes = std::fs::read(sealed).unwrap();
        let opened = self
            .envelopes
            .open(None, &Context::none(), Cursor::new(bytes), Vec::new())
            .await?;
        Ok(opened.1)
    }
}

#[tokio::test]
async fn a_file_comes_back() {
    let bench = Bench::new().await;
    let content: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let sealed = bench.sealed("visits", &content).await;
    let opened = bench.path("opened");
    let told = bench
        .envelopes
        .open_file(Some(KEY), &Context::none(), &sealed, &opened)
        .await
        .unwrap();
    assert_eq!(told.bytes, 300_000);
    assert_eq!(told.version, format!("{KEY}/versions/1"));
    assert!(std::fs::read(&opened).unwrap() == content);
    let bytes = std::fs::read(&sealed).unwrap();
    assert!(bytes[HEADER_LENGTH..].starts_with(b"age-encryption.org/v1\n-> scrypt "));
}

#[tokio::test]
async fn only_key_and_context_of_the_sealing_open() {
    let bench = Bench::new().await;
    let context = Context::none().with("dataset", "visits").unwrap();
    let other = Context::none().with("dataset", "images").unwrap();
    let (plain, sealed) = (bench.path("plain"), bench.path("sealed"));
    std::fs::write(&plain, "content").unwrap();
    bench
        .envelopes
        .seal_file(KEY, &context, &plain, &sealed)
        .await
        .unwrap();
    for (key, context) in [
        (None, &other),
        (None, &Context::none()),
        (Some("spaces/a/keys/b"), &context),
    ] {
        let opened = bench.path("opened");
        let refused = bench
            .envelopes
            .open_file(key, context, &sealed, &opened)
            .await
            .unwrap_err();
        assert_eq!(refused.kind(), Kind::Invalid);
        assert!(!opened.exists());
    }
    let opened = bench.path("opened");
    bench
        .envelopes
        .open_file(Some(KEY), &context, &sealed, &opened)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_damaged_file_gives_an_error_and_no_output() {
    let bench = Bench::new().await;
    let sealed = bench.sealed("visits", &[7; 1_000]).await;
    let whole = std::fs::read(&sealed).unwrap();
    let damaged = bench.path("damaged");
    let mut cases: Vec<(String, Vec<u8>)> = Vec::new();
    for length in [
        0,
        3,
        8,
        100,
        SLOT_LENGTH,
        HEADER_LENGTH - 1,
        HEADER_LENGTH,
        whole.len() - 1,
    ] {
        cases.push((format!("cut at {length}"), whole[..length].to_vec()));
    }
    for at in (HEADER_LENGTH..whole.len()).step_by(211) {
        let mut touched = whole.clone();
        touched[at] ^= 0x10;
        cases.push((format!("byte {at} touched"), touched));
    }
    let mut both = whole.clone();
    both[20] ^= 1;
    both[SLOT_LENGTH + 20] ^= 1;
    cases.push(("both slots touched".into(), both));
    cases.push(("longer".into(), [whole.as_slice(), b"x"].concat()));
    cases.push((
        "foreign".into(),
        b"PK\x03\x04 something else, long enough".repeat(1_000),
    ));
    for (case, bytes) in cases {
        std::fs::write(&damaged, bytes).unwrap();
        let output = bench.path("output");
        let refused = bench
            .envelopes
            .open_file(None, &Context::none(), &damaged, &output)
            .await
            .expect_err(&case);
        assert_eq!(refused.kind(), Kind::Invalid, "{case}: {refused}");
        assert!(!output.exists(), "{case}");
    }
    let left: Vec<_> = std::fs::read_dir(bench.pki.place.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".part"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn rewrapping_changes_the_header_alone() {
    let bench = Bench::new().await;
    let sealed = bench.sealed("visits", b"content").await;
    let before = std::fs::read(&sealed).unwrap();
    let none = Context::none();
    assert!(
        !bench
            .envelopes
            .rewrap(&sealed, &none)
            .await
            .unwrap()
            .written
    );
    assert_eq!(std::fs::read(&sealed).unwrap(), before);

    bench.service.shared.primary.store(2, Ordering::SeqCst);
    let told = bench.envelopes.rewrap(&sealed, &none).await.unwrap();
    assert!(told.written);
    assert_eq!(told.former_version, format!("{KEY}/versions/1"));
    assert_eq!(told.version, format!("{KEY}/versions/2"));
    let after = std::fs::read(&sealed).unwrap();
    assert_eq!(before[HEADER_LENGTH..], after[HEADER_LENGTH..]);
    assert_eq!(after[..SLOT_LENGTH], after[SLOT_LENGTH..HEADER_LENGTH]);
    assert_ne!(before[..SLOT_LENGTH], after[..SLOT_LENGTH]);
    assert_eq!(bench.opened(&sealed).await.unwrap(), b"content");
}

#[tokio::test]
async fn a_torn_header_opens_and_rewrapping_mends_it() {
    let bench = Bench::new().await;
    let sealed = bench.sealed("visits", b"content").await;
    let whole = std::fs::read(&sealed).unwrap();
    // Every state that a power failure can leave: the first k bytes of the new slot, then the old.
    for (slot, cut) in [(0, 0), (0, 9), (0, 500), (1, 0), (1, 9), (1, 500)] {
        let mut torn = whole.clone();
        torn[slot * SLOT_LENGTH + cut..(slot + 1) * SLOT_LENGTH].fill(0xff);
        std::fs::write(&sealed, &torn).unwrap();
        assert_eq!(bench.opened(&sealed).await.unwrap(), b"content");
        assert!(
            bench
                .envelopes
                .rewrap(&sealed, &Context::none())
                .await
                .unwrap()
                .written
        );
        let mended = std::fs::read(&sealed).unwrap();
        assert_eq!(mended[..SLOT_LENGTH], mended[SLOT_LENGTH..HEADER_LENGTH]);
        assert_eq!(bench.opened(&sealed).await.unwrap(), b"content");
    }
}

#[tokio::test]
async fn data_keys_are_shared_within_their_bounds() {
    let bounds = Bounds {
        messages: 3,
        ..Bounds::default()
    };
    let bench = Bench::within(bounds).await;
    for number in 0..6 {
        bench.sealed(&format!("file-{number}"), b"content").await;
    }
    assert_eq!(bench.service.calls(), 2);
    for number in 0..6 {
        bench
            .opened(&bench.path(&format!("file-{number}.kms")))
            .await
            .unwrap();
    }
    assert_eq!(bench.service.calls(), 4);
    let context = Context::none().with("dataset", "visits").unwrap();
    let plain = bench.path("file-0");
    bench
        .envelopes
        .seal_file(KEY, &context, &plain, &bench.path("other"))
        .await
        .unwrap();
    assert_eq!(
        bench.service.calls(),
        5,
        "another context is another data key"
    );
}

#[tokio::test]
async fn an_unavailable_service_is_asked_again_and_then_given_up() {
    let bench = Bench::new().await;
    bench.service.shared.unavailable.store(3, Ordering::SeqCst);
    bench.sealed("visits", b"content").await;
    assert_eq!(bench.service.calls(), 4);

    bench.service.shared.unavailable.store(4, Ordering::SeqCst);
    let (plain, sealed) = (bench.path("visits"), bench.path("again"));
    let refused = bench
        .envelopes
        .seal_file(KEY, &Context::none(), &plain, &sealed)
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), Kind::Unavailable);
    assert_eq!(refused.to_string(), "the token is away");
    assert!(!sealed.exists());
}
