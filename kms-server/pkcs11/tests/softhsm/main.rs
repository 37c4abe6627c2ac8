//! The crate on SoftHSM: what the calls do, and what the token really enforces.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test says what it expects and fails loudly"
)]

mod kit;

use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm, OaepPublicEncryptingKey,
    PublicEncryptingKey,
};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use kit::{MODULE, TestToken, aes, gcm_key, pin, protected, unwrapping_pair};
use kms_pkcs11::{
    Attribute, AttributeName, Error, Handle, KeyType, Kind, Mechanism, MechanismType, Module,
    OaepHash, ObjectClass, P256, Reading, Session, Template,
};
use secrecy::SecretString;

const IV: [u8; 12] = *b"twelve bytes";

#[test]
fn gcm_opens_what_it_sealed_and_nothing_else() {
    let token = TestToken::new("pkcs11-gcm");
    let session = token.session();
    let key = gcm_key(&session, []);
    let gcm = Mechanism::AesGcm {
        iv: &IV,
        aad: b"bucket A",
    };
    for plaintext in [&b""[..], b"x", &[7; 65_536]] {
        let ciphertext = session.encrypt(&gcm, key, plaintext).unwrap();
        assert_eq!(ciphertext.len(), plaintext.len() + 16);
        assert_eq!(*session.decrypt(&gcm, key, &ciphertext).unwrap(), plaintext);

        let elsewhere = Mechanism::AesGcm {
            iv: &IV,
            aad: b"bucket B",
        };
        let mut flipped = ciphertext.clone();
        flipped[0] ^= 1;
        for refused in [
            session.decrypt(&elsewhere, key, &ciphertext),
            session.decrypt(&gcm, key, &flipped),
            session.decrypt(&gcm, key, &ciphertext[..15]),
        ] {
            let kind = refused.unwrap_err().kind();
            assert!(
                matches!(kind, Kind::Ambiguous | Kind::InvalidInput),
                "{kind:?}"
            );
        }
    }
    // A refusal leaves no operation open behind it.
    assert!(session.encrypt(&gcm, key, b"again").is_ok());
}

#[test]
fn attributes_read_back_as_they_were_asked_for() {
    let token = TestToken::new("pkcs11-attributes");
    let session = token.session();
    let asked = [
        Attribute::Token(true),
        Attribute::Id(vec![1, 2, 3, 4, 5]),
        Attribute::Label(b"spaces/a/keys/b/versions/1".to_vec()),
        Attribute::Modifiable(false),
    ];
    let mut template = Template::from([
        Attribute::Class(ObjectClass::SecretKey),
        Attribute::KeyType(KeyType::Aes),
        Attribute::ValueLen(32),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Encrypt(true),
        Attribute::AllowedMechanisms(vec![
            MechanismType::AES_GCM,
            MechanismType::AES_KEY_WRAP_KWP,
        ]),
    ]);
    template.extend(asked);
    let generate = Mechanism::Plain(MechanismType::AES_KEY_GEN);
    let key = session.generate(&generate, &template).unwrap();
    for attribute in template.attributes() {
        assert_eq!(value(&session, key, attribute.name()), *attribute);
    }
    for granted_by_the_token in [
        Attribute::Local(true),
        Attribute::AlwaysSensitive(true),
        Attribute::NeverExtractable(true),
        Attribute::KeyGenMechanism(MechanismType::AES_KEY_GEN),
    ] {
        assert_eq!(
            value(&session, key, granted_by_the_token.name()),
            granted_by_the_token
        );
    }
    assert_eq!(
        session.read(key, AttributeName::Value).unwrap(),
        Reading::Sensitive
    );
    assert_eq!(
        session.read(key, AttributeName::Modulus).unwrap(),
        Reading::Absent
    );

    // Found by id on the token, also by another session; gone once destroyed.
    let by_id = Template::from([Attribute::Token(true), Attribute::Id(vec![1, 2, 3, 4, 5])]);
    let other = token.session();
    assert_eq!(other.find(&by_id, 10).unwrap().len(), 1);
    session.destroy(key).unwrap();
    assert!(other.find(&by_id, 10).unwrap().is_empty());
    assert_eq!(
        session.read(key, AttributeName::Local).unwrap_err().kind(),
        Kind::Stale
    );
    let gcm = Mechanism::AesGcm { iv: &IV, aad: b"" };
    assert_eq!(
        session.encrypt(&gcm, key, b"x").unwrap_err().kind(),
        Kind::Stale
    );
}

#[test]
fn find_is_complete_beyond_one_batch_and_keeps_its_limit() {
    let token = TestToken::new("pkcs11-find");
    let session = token.session();
    for _ in 0..130 {
        gcm_key(&session, [Attribute::Id(vec![9])]);
    }
    let template = Template::from([Attribute::Id(vec![9])]);
    assert_eq!(session.find(&template, 1000).unwrap().len(), 130);
    assert_eq!(session.find(&template, 2).unwrap().len(), 2);
    // The search that was cut short does not block the session.
    assert_eq!(session.find(&template, 1000).unwrap().len(), 130);
}

#[test]
fn a_key_bound_to_gcm_does_nothing_else() {
    let token = TestToken::new("pkcs11-bound");
    let session = token.session();
    let key = gcm_key(&session, [Attribute::Wrap(true), Attribute::Unwrap(true)]);
    let extractable = session
        .generate(
            &Mechanism::Plain(MechanismType::AES_KEY_GEN),
            &Template::from([
                Attribute::Token(false),
                Attribute::ValueLen(32),
                Attribute::Extractable(true),
            ]),
        )
        .unwrap();
    let ecb = Mechanism::Plain(MechanismType::AES_ECB);
    refused(session.encrypt(&ecb, key, &[0; 16]));
    refused(session.decrypt(&ecb, key, &[0; 16]));
    refused(session.wrap(&Mechanism::AesKeyWrap, key, extractable));
    refused(session.unwrap(&Mechanism::AesKeyWrap, key, &[0; 40], &aes([])));
    let gcm = Mechanism::AesGcm { iv: &IV, aad: b"" };
    assert!(
        session
            .encrypt(&gcm, key, b"its own mechanism works")
            .is_ok()
    );
}

#[test]
fn a_copy_keeps_what_protects_the_original() {
    let token = TestToken::new("pkcs11-copy");
    let session = token.session();
    let key = gcm_key(&session, [Attribute::Token(true), Attribute::Id(vec![7])]);
    let copy = session
        .copy(key, &Template::from([Attribute::Token(false)]))
        .unwrap();
    for name in [
        AttributeName::Id,
        AttributeName::Sensitive,
        AttributeName::Extractable,
        AttributeName::AllowedMechanisms,
    ] {
        assert_eq!(
            value(&session, copy, name),
            value(&session, key, name),
            "{name}"
        );
    }
    assert_eq!(
        value(&session, copy, AttributeName::Token),
        Attribute::Token(false)
    );
    refused(session.encrypt(&Mechanism::Plain(MechanismType::AES_ECB), copy, &[0; 16]));
    for more in [
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
        Attribute::AllowedMechanisms(vec![MechanismType::AES_ECB]),
    ] {
        let name = more.name();
        let template = Template::from([Attribute::Token(false), more]);
        let copied = session.copy(key, &template);
        assert!(copied.is_err(), "a copy with another {name}");
    }
    session.destroy(key).unwrap();

    // Where an object says so, there is no copy at all. (SoftHSM refuses even to change
    // CKA_TOKEN in the copy of an object that is not modifiable.)
    for fixed in [Attribute::Copyable(false), Attribute::Modifiable(false)] {
        let key = gcm_key(&session, [fixed]);
        refused(session.copy(key, &Template::from([Attribute::Token(true)])));
    }
}

#[test]
fn an_hmac_key_that_comes_in_by_oaep_gives_the_published_tag() {
    let token = TestToken::new("pkcs11-import");
    let session = token.session();
    let forced = [
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::KeyType(KeyType::GenericSecret),
        Attribute::AllowedMechanisms(vec![MechanismType::SHA256_HMAC]),
    ];
    let (private, spki) = unwrapping_pair(&session, Template::from(forced.clone()));
    let oaep = Mechanism::RsaOaep(OaepHash::Sha1);
    // RFC 4231, test case 6 (SoftHSM takes no HMAC key shorter than the hash).
    let blob = oaep_encrypt(&OAEP_SHA1_MGF1SHA1, &spki, &[0xaa; 131]);
    let class = Attribute::Class(ObjectClass::SecretKey);
    let mut template = protected([class, Attribute::Sign(true)]);
    template.extend(forced.into_iter().skip(2));
    let key = session.unwrap(&oaep, private, &blob, &template).unwrap();
    let message = b"Test Using Larger Than Block-Size Key - Hash Key First";
    let tag = session.sign(&Mechanism::Sha256Hmac, key, message).unwrap();
    assert_eq!(
        tag[..8],
        [0x60, 0xe4, 0x31, 0x59, 0x1e, 0xe0, 0xb6, 0x7f],
        "HMAC-SHA-256 of RFC 4231"
    );
    assert_eq!(
        value(&session, key, AttributeName::Local),
        Attribute::Local(false)
    );

    let mut damaged = blob.clone();
    damaged[10] ^= 1;
    let kind = session
        .unwrap(&oaep, private, &damaged, &template)
        .unwrap_err()
        .kind();
    assert!(
        matches!(kind, Kind::Ambiguous | Kind::InvalidInput),
        "{kind:?}"
    );
}

#[test]
fn an_unwrap_template_is_shown_and_enforced() {
    let token = TestToken::new("pkcs11-unwrap-template");
    let session = token.session();
    let forced = Template::from([
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::KeyType(KeyType::Aes),
        Attribute::AllowedMechanisms(vec![MechanismType::AES_GCM]),
    ]);
    let (private, spki) = unwrapping_pair(&session, forced.clone());
    let blob = oaep_encrypt(&OAEP_SHA1_MGF1SHA1, &spki, &[5; 32]);
    let read = session
        .read(private, AttributeName::UnwrapTemplate)
        .unwrap();
    let Reading::Value(Attribute::UnwrapTemplate(read)) = read else {
        panic!("{read:?}");
    };
    assert_eq!(sorted(&read), sorted(&forced));

    let oaep = Mechanism::RsaOaep(OaepHash::Sha1);
    let base = [
        Attribute::Class(ObjectClass::SecretKey),
        Attribute::Token(false),
        Attribute::Encrypt(true),
    ];
    let whole: Template = base.iter().chain(forced.attributes()).cloned().collect();
    assert!(session.unwrap(&oaep, private, &blob, &whole).is_ok());
    // Each attribute left out, then each contradicted.
    for left_out in forced.attributes() {
        let template = whole
            .attributes()
            .iter()
            .filter(|one| *one != left_out)
            .cloned()
            .collect();
        assert!(
            session.unwrap(&oaep, private, &blob, &template).is_err(),
            "{left_out:?} left out"
        );
    }
    for other in [
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
        Attribute::KeyType(KeyType::GenericSecret),
        Attribute::AllowedMechanisms(vec![MechanismType::AES_GCM, MechanismType::AES_ECB]),
    ] {
        let template = whole
            .attributes()
            .iter()
            .map(|one| {
                if one.name() == other.name() {
                    other.clone()
                } else {
                    one.clone()
                }
            })
            .collect();
        assert!(
            session.unwrap(&oaep, private, &blob, &template).is_err(),
            "{other:?} instead"
        );
    }
}

/// What the token signs, another implementation verifies: key and signature in the forms that
/// others read.
#[test]
fn what_an_ec_key_signs_verifies_elsewhere() {
    let token = TestToken::new("ec");
    let session = token.session();
    let public = Template::from([
        Attribute::Token(false),
        Attribute::Private(false),
        Attribute::EcParams(P256.to_vec()),
    ]);
    let private = protected([
        Attribute::Sign(true),
        Attribute::AllowedMechanisms(vec![MechanismType::ECDSA]),
    ]);
    let generate = Mechanism::Plain(MechanismType::EC_KEY_PAIR_GEN);
    let (public, private) = session.generate_pair(&generate, &public, &private).unwrap();
    let spki = session.public_key(public).unwrap();
    assert_eq!(spki.len(), 91);
    // The private half does not hold the point.
    refused(session.public_key(private));
    let theirs = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, spki);
    // Half of the halves begin with a set bit, one in 256 with a zero.
    for number in 0..64_u8 {
        let digest = digest(&SHA256, &[number]);
        let signature = session.sign_ecdsa(private, digest.as_ref()).unwrap();
        theirs.verify(&[number], &signature).unwrap();
        assert!(theirs.verify(&[number, 0], &signature).is_err());
    }
}

#[test]
fn a_wrapped_key_comes_back_the_same() {
    let token = TestToken::new("pkcs11-wrap");
    let session = token.session();
    let kek = session
        .generate(
            &Mechanism::Plain(MechanismType::AES_KEY_GEN),
            &aes([Attribute::Wrap(true), Attribute::Unwrap(true)]),
        )
        .unwrap();
    let usage = [
        Attribute::Class(ObjectClass::SecretKey),
        Attribute::KeyType(KeyType::GenericSecret),
        Attribute::Token(false),
        Attribute::Sign(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(true),
    ];
    let generic = Mechanism::Plain(MechanismType::GENERIC_SECRET_KEY_GEN);
    let template = Template::from(usage.clone()).with(Attribute::ValueLen(32));
    let secret = session.generate(&generic, &template).unwrap();
    let tag = session
        .sign(&Mechanism::Sha256Hmac, secret, b"message")
        .unwrap();
    for wrap in [Mechanism::AesKeyWrap, Mechanism::AesKeyWrapPad] {
        let blob = session.wrap(&wrap, kek, secret).unwrap();
        assert_eq!(blob.len(), 40);
        let again = session
            .unwrap(&wrap, kek, &blob, &Template::from(usage.clone()))
            .unwrap();
        assert_eq!(
            session
                .sign(&Mechanism::Sha256Hmac, again, b"message")
                .unwrap(),
            tag
        );
    }
    let protected_key = gcm_key(&session, []);
    refused(session.wrap(&Mechanism::AesKeyWrap, kek, protected_key));
}

#[test]
fn what_softhsm_lacks_is_unsupported() {
    let token = TestToken::new("pkcs11-unsupported");
    let session = token.session();
    let (private, spki) = unwrapping_pair(&session, Template::default());
    let blob = oaep_encrypt(&OAEP_SHA256_MGF1SHA256, &spki, &[5; 32]);
    let oaep = Mechanism::RsaOaep(OaepHash::Sha256);
    let error = session.unwrap(&oaep, private, &blob, &aes([])).unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported, "{error}");

    let kek = session
        .generate(
            &Mechanism::Plain(MechanismType::AES_KEY_GEN),
            &aes([Attribute::Wrap(true), Attribute::Unwrap(true)]),
        )
        .unwrap();
    let error = session
        .unwrap(&Mechanism::AesKeyWrapKwp, kek, &[0; 40], &aes([]))
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported, "{error}");
    let listed = token.module.mechanisms(token.slot).unwrap();
    assert!(listed.contains(&MechanismType::AES_GCM));
    assert!(!listed.contains(&MechanismType::AES_KEY_WRAP_KWP));
}

#[test]
fn the_library_can_be_finalised_and_initialised_again() {
    let mut token = TestToken::new("pkcs11-restart");
    let session = token.session();
    let key = gcm_key(&session, []);
    assert_eq!(token.module.open_sessions(), 1);
    let error = token.module.finalize().unwrap_err();
    assert_eq!(error.to_string(), "C_Finalize: 1 sessions are still open");
    let gcm = Mechanism::AesGcm { iv: &IV, aad: b"" };
    assert!(session.encrypt(&gcm, key, b"still alive").is_ok());
    drop(session);
    for _ in 0..3 {
        token.restart();
        let session = token.session();
        let key = gcm_key(&session, []);
        assert!(session.encrypt(&gcm, key, b"alive again").is_ok());
    }
    token.module.finalize().unwrap();
    assert_eq!(
        token.module.slot("pkcs11-restart").unwrap_err().kind(),
        Kind::Lost
    );
    assert_eq!(token.module.finalize().unwrap_err().kind(), Kind::Lost);
}

#[test]
fn a_login_tells_a_wrong_pin_from_an_earlier_login() {
    let token = TestToken::new("pkcs11-login");
    let session = token.module.open_session(token.slot).unwrap();
    let wrong = session.login(&SecretString::from("11111111")).unwrap_err();
    assert_eq!(wrong.kind(), Kind::WrongPin);
    assert_eq!(wrong.to_string(), "C_Login: CKR_PIN_INCORRECT");
    assert_eq!(session.login(&pin()).unwrap(), kms_pkcs11::Login::New);
    assert_eq!(session.login(&pin()).unwrap(), kms_pkcs11::Login::Already);
    assert!(session.logged_in().unwrap());
    session.logout().unwrap();
    assert!(!session.logged_in().unwrap());
    // Logged out, the process has no right to a private object any more.
    let key = Mechanism::Plain(MechanismType::AES_KEY_GEN);
    assert_eq!(
        session.generate(&key, &aes([])).unwrap_err().kind(),
        Kind::Lost
    );
}

#[test]
fn a_missing_library_or_token_is_named() {
    let absent = Module::load(Path::new("/nonexistent/module.so")).unwrap_err();
    assert!(
        absent.to_string().contains("/nonexistent/module.so"),
        "{absent}"
    );
    let token = TestToken::new("pkcs11-named");
    let error = token.module.slot("no such label").unwrap_err();
    assert_eq!(error.kind(), Kind::Lost);
    assert!(
        error
            .to_string()
            .contains("no token is labelled `no such label`"),
        "{error}"
    );
    assert!(error.to_string().contains("`pkcs11-named`"), "{error}");
    assert_eq!(
        token.module.token(token.slot).unwrap().label,
        "pkcs11-named"
    );
}

#[test]
fn random_bytes_come_from_the_token() {
    let token = TestToken::new("pkcs11-random");
    let session = token.session();
    let (mut one, mut two) = ([0; 32], [0; 32]);
    session.random(&mut one).unwrap();
    session.random(&mut two).unwrap();
    assert_ne!(one, two);
    assert_ne!(one, [0; 32]);
}

#[test]
fn sessions_and_modules_go_to_other_threads() {
    fn send<T: Send>() {}
    fn shared<T: Send + Sync>() {}
    send::<Session>();
    shared::<Module>();
    assert!(Path::new(MODULE).exists());
}

/// The token will not: it says so in one of several ways, none of which is a doubt
/// about its health.
fn refused<T: std::fmt::Debug>(outcome: Result<T, Error>) {
    let error = outcome.unwrap_err();
    assert!(
        matches!(error.kind(), Kind::Refused | Kind::Unsupported),
        "{error}"
    );
}

fn value(session: &Session, object: Handle, name: AttributeName) -> Attribute {
    match session.read(object, name).unwrap() {
        Reading::Value(value) => value,
        other @ (Reading::Sensitive | Reading::Absent) => panic!("{name}: {other:?}"),
    }
}

fn sorted(template: &Template) -> Vec<String> {
    let mut lines: Vec<_> = template
        .attributes()
        .iter()
        .map(|attribute| format!("{attribute:?}"))
        .collect();
    lines.sort();
    lines
}

fn oaep_encrypt(algorithm: &'static OaepAlgorithm, spki: &[u8], secret: &[u8]) -> Vec<u8> {
    let key = PublicEncryptingKey::from_der(spki).unwrap();
    let key = OaepPublicEncryptingKey::new(key).unwrap();
    let mut blob = vec![0; key.ciphertext_size()];
    key.encrypt(algorithm, secret, &mut blob, None)
        .unwrap()
        .to_vec()
}
