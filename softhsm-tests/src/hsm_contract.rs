//! What every HSM must do, whatever it is made of. An implementation says how to get an empty one
//! ([`Bench`]) and writes `hsm_contract!(ThatBench);` in a test file.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails may say so by a panic"
)]

mod incoming;
mod signing;

pub use incoming::{a_rehearsal_leaves_nothing, material_comes_in_by_every_mechanism};
pub use signing::what_is_signed_verifies_elsewhere;

use kms_core::class::Class;
use kms_core::error::{Error, Kind};
use kms_core::key::{KeySpec, Learned};
use kms_core::permit::{Permit, SystemOp};
use kms_server::health::Health;
use kms_server::hsm::{Hsm, Op, Work};
use zeroize::Zeroizing;

use crate::hsm_bench::{any, decrypt, encrypt, hmac, oaep, one, software_gcm, spec, wrap_for};

/// An HSM with nothing in it.
pub trait Bench: Send + Sync {
    /// One of its own for the test of this name.
    fn empty(test: &str) -> Self;

    /// The HSM.
    fn hsm(&self) -> &dyn Hsm;
}

/// Runs the whole contract on one kind of [`Bench`], a test for each clause.
#[macro_export]
macro_rules! hsm_contract {
    ($bench:ty) => {
        $crate::hsm_contract! { $bench:
            a_key_is_made_once_and_found_again
            makers_of_one_id_leave_one_key
            what_was_sealed_opens_and_nothing_else_does
            a_pseudonym_is_deterministic_and_its_keys_own
            material_comes_in_wrapped_and_works
            material_that_does_not_fit_leaves_nothing
            an_import_key_brings_in_nothing_but_its_class
            material_comes_in_by_every_mechanism
            a_rehearsal_leaves_nothing
            another_key_under_the_same_id_is_not_used
            what_is_destroyed_is_gone
            what_is_signed_verifies_elsewhere
            without_a_permit_nothing_happens
            the_fingerprints_own_inputs_are_refused
            random_bytes_differ
        }
    };
    ($bench:ty: $($clause:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $clause() {
                let bench = <$bench as $crate::hsm_contract::Bench>::empty(stringify!($clause));
                $crate::hsm_contract::$clause($crate::hsm_contract::Bench::hsm(&bench)).await;
            }
        )*
    };
}

/// Every class: made, found, made again without being made twice.
pub async fn a_key_is_made_once_and_found_again(hsm: &dyn Hsm) {
    assert_eq!(*hsm.health().borrow(), Health::Serving);
    for class in Class::ALL {
        let spec = spec(class);
        assert_eq!(hsm.find(&any(), &spec).await.unwrap(), None);
        let made = hsm.generate(&any(), &spec).await.unwrap();
        let objects = hsm.objects().await.unwrap();
        let pair = matches!(
            class,
            Class::ImportWrapping | Class::ServiceAttestation | Class::ServiceImportParameters
        );
        assert_eq!(made.public_key.is_some(), pair, "{class}");
        assert_eq!(
            hsm.find(&any(), &spec).await.unwrap().as_ref(),
            Some(&made),
            "{class}"
        );
        assert_eq!(hsm.generate(&any(), &spec).await.unwrap(), made, "{class}");
        assert_eq!(hsm.objects().await.unwrap(), objects, "{class}");
        let ours: Vec<_> = objects
            .iter()
            .filter(|one| one.id == Some(spec.id))
            .collect();
        assert_eq!(ours.len(), if pair { 2 } else { 1 }, "{class}");
        for object in ours.iter().filter(|object| object.class != "public") {
            assert!(
                object.sensitive && !object.extractable && object.local,
                "{object:?}"
            );
            assert_eq!(object.label, spec.label.to_string());
            assert_eq!(
                object.mechanisms,
                kms_server::hsm::template::mechanism_names(class, None)
            );
        }
    }
}

/// Two calls that make the same id at the same time: one key in the end, and both may try again.
pub async fn makers_of_one_id_leave_one_key(hsm: &dyn Hsm) {
    let spec = spec(Class::DataAtRest);
    let permit = any();
    let makers = (0..8).map(|_| hsm.generate(&permit, &spec));
    let outcomes = futures::future::join_all(makers).await;
    let made: Vec<_> = outcomes
        .iter()
        .filter_map(|outcome| outcome.as_ref().ok())
        .collect();
    assert!(!made.is_empty());
    for outcome in &outcomes {
        match outcome {
            Ok(learned) => assert_eq!(learned, made[0]),
            Err(error) => assert_eq!(error.kind(), Kind::Unavailable),
        }
    }
    assert_eq!(hsm.objects().await.unwrap().len(), 1);
}

/// Encryption, its way back, and each of the ways in which it must not open.
pub async fn what_was_sealed_opens_and_nothing_else_does(hsm: &dyn Hsm) {
    let (here, there) = (spec(Class::DataAtRest), spec(Class::DataAtRest));
    let key = hsm.generate(&any(), &here).await.unwrap();
    let other = hsm.generate(&any(), &there).await.unwrap();
    for plaintext in [&b""[..], b"a content key", &[7; 65_536]] {
        let sealed = one(hsm, here.id, &key, encrypt(b"bucket A", plaintext))
            .await
            .unwrap();
        assert_eq!(sealed.len(), plaintext.len() + 16);
        let opened = one(hsm, here.id, &key, decrypt(b"bucket A", &sealed))
            .await
            .unwrap();
        assert_eq!(*opened, plaintext);
    }
    let sealed = one(hsm, here.id, &key, encrypt(b"bucket A", b"secret"))
        .await
        .unwrap();
    let mut flipped = sealed.to_vec();
    flipped[0] ^= 1;
    let health = hsm.health();
    let work = |id, learned: &Learned, op| Work {
        id,
        fingerprint: learned.fingerprint.clone(),
        op,
    };
    let outcomes = hsm
        .apply(
            &any(),
            vec![
                work(here.id, &key, decrypt(b"bucket A", &sealed)),
                work(here.id, &key, decrypt(b"bucket B", &sealed)),
                work(here.id, &key, decrypt(b"bucket A", &flipped)),
                work(here.id, &key, decrypt(b"bucket A", &sealed[..15])),
                work(here.id, &key, decrypt(b"bucket A", b"")),
                work(there.id, &other, decrypt(b"bucket A", &sealed)),
                work(here.id, &key, decrypt(b"bucket A", &sealed)),
            ],
        )
        .await
        .unwrap();
    let kinds: Vec<_> = outcomes
        .iter()
        .map(|one| one.as_ref().map_err(Error::kind).err())
        .collect();
    let bad = Some(Kind::Invalid);
    assert_eq!(kinds, [None, bad, bad, bad, bad, bad, None]);
    // Rubbish from callers is no reason to doubt the token, not even for a moment.
    assert!(!health.has_changed().unwrap());
}

/// The same input gives the same pseudonym, under this key alone.
pub async fn a_pseudonym_is_deterministic_and_its_keys_own(hsm: &dyn Hsm) {
    let (one_edge, other_edge) = (spec(Class::Pseudonymisation), spec(Class::Pseudonymisation));
    let key = hsm.generate(&any(), &one_edge).await.unwrap();
    let other = hsm.generate(&any(), &other_edge).await.unwrap();
    let first = one(hsm, one_edge.id, &key, hmac(b"person")).await.unwrap();
    assert_eq!(first.len(), 32);
    assert_eq!(
        one(hsm, one_edge.id, &key, hmac(b"person")).await.unwrap(),
        first
    );
    assert_ne!(
        one(hsm, one_edge.id, &key, hmac(b"persom")).await.unwrap(),
        first
    );
    assert_ne!(
        one(hsm, other_edge.id, &other, hmac(b"person"))
            .await
            .unwrap(),
        first
    );
}

/// A key from outside encrypts as that key does outside.
pub async fn material_comes_in_wrapped_and_works(hsm: &dyn Hsm) {
    let (wrapping, imported) = (spec(Class::ImportWrapping), spec(Class::DataAtRest));
    let public = hsm.generate(&any(), &wrapping).await.unwrap();
    let wrapped = wrap_for(&wrapping, &public, oaep(hsm), &[0x42; 32]);
    let learned = hsm.unwrap(&any(), &wrapped, &imported).await.unwrap();
    // Again, as after a crash: the same key, not a second one.
    assert_eq!(
        hsm.unwrap(&any(), &wrapped, &imported).await.unwrap(),
        learned
    );
    assert_eq!(
        hsm.find(&any(), &imported).await.unwrap().as_ref(),
        Some(&learned)
    );
    let sealed = one(hsm, imported.id, &learned, encrypt(b"context", b"text"))
        .await
        .unwrap();
    assert_eq!(*sealed, software_gcm(&[0x42; 32], b"context", b"text"));
    let objects = hsm.objects().await.unwrap();
    let object = objects
        .iter()
        .find(|one| one.id == Some(imported.id))
        .unwrap();
    assert!(object.sensitive && !object.extractable, "{object:?}");
    assert!(
        !object.local,
        "imported material says so for ever: {object:?}"
    );
}

/// A damaged blob, a blob for another key, a key of the wrong length.
pub async fn material_that_does_not_fit_leaves_nothing(hsm: &dyn Hsm) {
    let (wrapping, imported) = (spec(Class::ImportWrapping), spec(Class::DataAtRest));
    let public = hsm.generate(&any(), &wrapping).await.unwrap();
    let objects = hsm.objects().await.unwrap();
    let health = hsm.health();
    let good = wrap_for(&wrapping, &public, oaep(hsm), &[0x42; 32]);
    let mut flipped = good.clone();
    flipped.blob[7] ^= 1;
    let mut cut = good.clone();
    cut.blob.pop();
    let material = |length| wrap_for(&wrapping, &public, oaep(hsm), &vec![0x42; length]);
    for (what, wrapped) in [
        ("flipped", flipped),
        ("cut", cut),
        ("one byte", material(1)),
        ("31 bytes", material(31)),
        ("33 bytes", material(33)),
        ("190 bytes", material(190)),
    ] {
        let error = hsm.unwrap(&any(), &wrapped, &imported).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{what}: {error:?}");
        assert_eq!(hsm.objects().await.unwrap(), objects, "{what}");
    }
    assert!(!health.has_changed().unwrap());
    hsm.unwrap(&any(), &good, &imported).await.unwrap();
}

/// The unwrapping key's template: what it brings in is a data-at-rest key and nothing else.
pub async fn an_import_key_brings_in_nothing_but_its_class(hsm: &dyn Hsm) {
    let wrapping = spec(Class::ImportWrapping);
    let public = hsm.generate(&any(), &wrapping).await.unwrap();
    let wrapped = wrap_for(&wrapping, &public, oaep(hsm), &[0x42; 32]);
    for class in [
        Class::Pseudonymisation,
        Class::ServiceExchange,
        Class::ServiceImportToken,
        Class::ServiceAttestation,
        Class::ServiceDigest,
        Class::ServiceImportParameters,
    ] {
        let refused = spec(class);
        assert!(
            hsm.unwrap(&any(), &wrapped, &refused).await.is_err(),
            "{class}"
        );
        assert_eq!(hsm.find(&any(), &refused).await.unwrap(), None, "{class}");
    }
    let exportable = KeySpec {
        exportable: true,
        ..spec(Class::DataAtRest)
    };
    assert_eq!(
        hsm.unwrap(&any(), &wrapped, &exportable)
            .await
            .unwrap_err()
            .kind(),
        Kind::Invalid
    );
}

/// A fingerprint that does not match stops the operation: ours, or a mix-up on the token.
pub async fn another_key_under_the_same_id_is_not_used(hsm: &dyn Hsm) {
    let spec = spec(Class::DataAtRest);
    let first = hsm.generate(&any(), &spec).await.unwrap();
    one(hsm, spec.id, &first, encrypt(b"", b"text"))
        .await
        .unwrap();
    hsm.destroy(&any(), &spec.id).await.unwrap();
    let second = hsm.generate(&any(), &spec).await.unwrap();
    assert_ne!(first.fingerprint, second.fingerprint);
    // Whichever thread it meets, and whatever that thread remembers of the first key.
    for _ in 0..8 {
        let error = one(hsm, spec.id, &first, encrypt(b"", b"text"))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), Kind::Internal);
    }
    for _ in 0..8 {
        one(hsm, spec.id, &second, encrypt(b"", b"text"))
            .await
            .unwrap();
    }
    let as_hmac = one(hsm, spec.id, &second, hmac(b"input"))
        .await
        .unwrap_err();
    assert_eq!(as_hmac.kind(), Kind::Internal);
}

/// Destroyed means gone: object and use; and destroying nothing is no error.
pub async fn what_is_destroyed_is_gone(hsm: &dyn Hsm) {
    for class in Class::ALL {
        let spec = spec(class);
        let learned = hsm.generate(&any(), &spec).await.unwrap();
        hsm.destroy(&any(), &spec.id).await.unwrap();
        assert_eq!(hsm.find(&any(), &spec).await.unwrap(), None, "{class}");
        assert!(hsm.objects().await.unwrap().is_empty(), "{class}");
        hsm.destroy(&any(), &spec.id).await.unwrap();
        let error = one(hsm, spec.id, &learned, encrypt(b"", b""))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), Kind::Internal, "{class}");
    }
    assert_eq!(*hsm.health().borrow(), Health::Serving);
}

/// A permit for something else reaches no key.
pub async fn without_a_permit_nothing_happens(hsm: &dyn Hsm) {
    let none = Permit::system(SystemOp::Random);
    let (made, wrapping) = (spec(Class::DataAtRest), spec(Class::ImportWrapping));
    let learned = hsm.generate(&any(), &made).await.unwrap();
    let public = hsm.generate(&any(), &wrapping).await.unwrap();
    let objects = hsm.objects().await.unwrap();
    let wrapped = wrap_for(&wrapping, &public, oaep(hsm), &[1; 32]);
    let work = Work {
        id: made.id,
        fingerprint: learned.fingerprint,
        op: encrypt(b"", b""),
    };
    for error in [
        hsm.generate(&none, &spec(Class::DataAtRest))
            .await
            .unwrap_err(),
        hsm.find(&none, &made).await.unwrap_err(),
        hsm.unwrap(&none, &wrapped, &spec(Class::DataAtRest))
            .await
            .unwrap_err(),
        hsm.destroy(&none, &made.id).await.unwrap_err(),
        hsm.apply(&none, vec![work]).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), Kind::Internal);
    }
    assert_eq!(hsm.objects().await.unwrap(), objects);
}

/// The all-zero nonce, and an HMAC input that begins like the fingerprint's.
pub async fn the_fingerprints_own_inputs_are_refused(hsm: &dyn Hsm) {
    let (data, edge) = (spec(Class::DataAtRest), spec(Class::Pseudonymisation));
    let key = hsm.generate(&any(), &data).await.unwrap();
    let secret = hsm.generate(&any(), &edge).await.unwrap();
    let zero = [0; 12];
    let sealing = Op::GcmEncrypt {
        nonce: zero,
        aad: vec![],
        plaintext: Zeroizing::default(),
    };
    assert_eq!(
        one(hsm, data.id, &key, sealing).await.unwrap_err().kind(),
        Kind::Internal
    );
    let opening = Op::GcmDecrypt {
        nonce: zero,
        aad: vec![],
        ciphertext: vec![0; 16],
    };
    assert_eq!(
        one(hsm, data.id, &key, opening).await.unwrap_err().kind(),
        Kind::Invalid
    );
    let input = [&b"emc2-kms/fingerprint/v1"[..], &edge.id.to_bytes()].concat();
    assert_eq!(
        one(hsm, edge.id, &secret, hmac(&input))
            .await
            .unwrap_err()
            .kind(),
        Kind::Internal
    );
}

/// Of the token's generator.
pub async fn random_bytes_differ(hsm: &dyn Hsm) {
    let permit = Permit::system(SystemOp::Random);
    let one = hsm.random(&permit, 32).await.unwrap();
    let two = hsm.random(&permit, 32).await.unwrap();
    assert_eq!((one.len(), two.len()), (32, 32));
    assert_ne!(one, two);
}
