//! Material that comes in by the mechanisms of several steps.

use kms_core::class::Class;
use kms_core::error::Kind;
use kms_core::key::{Intake, KeySpec, Learned, Wrapping};
use kms_server::health::Health;
use kms_server::hsm::{Capability, Hsm, Op, Wrapped};

use crate::hsm_bench::{any, encrypt, oaep, one, software_gcm, spec, wrap_for, wrap_under};

/// Hybrid in two steps, and under an exchange key that came in itself: what comes in encrypts as it
/// does outside, and of the steps nothing is left.
pub async fn material_comes_in_by_every_mechanism(hsm: &dyn Hsm) {
    let data = Class::DataAtRest;
    let works = async |spec: &KeySpec, learned: &Learned, material: &[u8; 32]| {
        let sealed = one(hsm, spec.id, learned, encrypt(b"context", b"text")).await;
        let outside = software_gcm(material, b"context", b"text");
        assert_eq!(*sealed.unwrap(), outside);
    };
    let oaep = oaep(hsm);
    let wrapping = takes(Class::ImportWrapping, data, before_kwp(oaep));
    let public = hsm.generate(&any(), &wrapping).await.unwrap();
    let imported = spec(data);
    let wrapped = hybrid(&wrapping, &public, oaep, &[0x42; 32]);
    let learned = hsm.unwrap(&any(), &wrapped, &imported).await.unwrap();
    works(&imported, &learned, &[0x42; 32]).await;
    // The pair and the key: no ephemeral one.
    assert_eq!(hsm.objects().await.unwrap().len(), 3);

    let wrapping = takes(Class::ImportWrapping, Class::ServiceExchange, oaep);
    let public = hsm.generate(&any(), &wrapping).await.unwrap();
    let mut marks = Vec::new();
    for (mechanism, secret) in [
        (Wrapping::AesKw, [0x31; 32]),
        (Wrapping::AesKwp, [0x32; 32]),
    ] {
        let exchange = takes(Class::ServiceExchange, data, mechanism);
        let wrapped = wrap_for(&wrapping, &public, oaep, &secret);
        let known = hsm.unwrap(&any(), &wrapped, &exchange).await.unwrap();
        let material = [secret[0] + 0x10; 32];
        let wrapped = Wrapped {
            by: exchange.id,
            fingerprint: known.fingerprint.clone(),
            mechanism,
            two_steps: false,
            blob: wrap_under(&secret, mechanism, &material),
        };
        let imported = spec(data);
        let learned = hsm.unwrap(&any(), &wrapped, &imported).await.unwrap();
        works(&imported, &learned, &material).await;
        // The exchange key takes in data-at-rest keys, and nothing else.
        let edge = spec(Class::Pseudonymisation);
        assert!(hsm.unwrap(&any(), &wrapped, &edge).await.is_err());

        // Its own material as a data-at-rest key: another fingerprint, and the same mark.
        let twin = spec(data);
        let wrapped = Wrapped {
            blob: wrap_under(&secret, mechanism, &secret),
            ..wrapped
        };
        let twin_learned = hsm.unwrap(&any(), &wrapped, &twin).await.unwrap();
        let mark = async |spec: &KeySpec, learned: &Learned| {
            let algorithm = spec.class.algorithm();
            let op = Op::Recognise { algorithm };
            one(hsm, spec.id, learned, op).await.unwrap().to_vec()
        };
        assert!(
            hsm.report().has(Capability::Recognition),
            "{:?}",
            hsm.report()
        );
        let same = mark(&exchange, &known).await;
        assert_eq!(same, mark(&twin, &twin_learned).await, "{mechanism:?}");
        assert_ne!(same, mark(&imported, &learned).await);
        marks.push(same);
    }
    assert_ne!(marks[0], marks[1]);
}

/// What would come in and what would not, and nothing is there afterwards. Where the token has both
/// hashes of OAEP, it tells which one was taken.
pub async fn a_rehearsal_leaves_nothing(hsm: &dyn Hsm) {
    let (wrapping, imported) = (spec(Class::ImportWrapping), spec(Class::DataAtRest));
    let public = hsm.generate(&any(), &wrapping).await.unwrap();
    let objects = hsm.objects().await.unwrap();
    let good = wrap_for(&wrapping, &public, oaep(hsm), &[0x42; 32]);
    let mut flipped = good.clone();
    flipped.blob[200] ^= 1;
    let short = wrap_for(&wrapping, &public, oaep(hsm), &[0x42; 31]);
    for _ in 0..2 {
        hsm.rehearse(&any(), &good, &imported).await.unwrap();
        for bad in [&flipped, &short] {
            let told = hsm.rehearse(&any(), bad, &imported).await.unwrap_err();
            assert_eq!(told.kind(), Kind::Invalid, "{told:?}");
        }
        assert_eq!(hsm.objects().await.unwrap(), objects);
    }
    let mut other = wrap_for(&wrapping, &public, Wrapping::OaepSha1, &[0x42; 32]);
    other.mechanism = Wrapping::OaepSha256;
    let told = hsm.rehearse(&any(), &other, &imported).await.unwrap_err();
    if hsm.report().has(Capability::OaepSha256) {
        assert!(
            told.message().contains("the wrong hash of OAEP"),
            "{told:?}"
        );
    }
    assert_eq!(told.kind(), Kind::Invalid);
    assert_eq!(*hsm.health().borrow(), Health::Serving);
}

/// A wrapping key that takes this in.
fn takes(by: Class, class: Class, mechanism: Wrapping) -> KeySpec {
    KeySpec {
        intake: Some(Intake {
            class,
            mechanism,
            two_steps: mechanism.is_hybrid(),
            source: None,
        }),
        ..spec(by)
    }
}

/// OAEP of an ephemeral key, then the material under that: by other implementations.
fn hybrid(wrapping: &KeySpec, public: &Learned, oaep: Wrapping, material: &[u8; 32]) -> Wrapped {
    let head = wrap_for(wrapping, public, oaep, &[0x17; 32]);
    let tail = wrap_under(&[0x17; 32], Wrapping::AesKwp, material);
    Wrapped {
        mechanism: before_kwp(oaep),
        two_steps: true,
        blob: [head.blob, tail].concat(),
        ..head
    }
}

/// The hybrid mechanism that begins with this OAEP.
fn before_kwp(oaep: Wrapping) -> Wrapping {
    if oaep == Wrapping::OaepSha256 {
        Wrapping::RsaAesSha256
    } else {
        Wrapping::RsaAesSha1
    }
}
