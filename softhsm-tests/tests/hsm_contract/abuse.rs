//! Whoever has the PIN, PKCS#11 and not our code: the token refuses, by the keys' own attributes.

use kms_core::class::{Algorithm, Class};
use kms_core::error::Kind as ErrorKind;
use kms_core::key::{KeySpec, Wrapping};
use kms_pkcs11::{
    Attribute, AttributeName, Error, Handle, KeyType, Kind, Mechanism, MechanismType, OaepHash,
    ObjectClass, P256, Reading, Session, Template,
};
use softhsm_tests::hsm_bench::{any, oaep, one, sign, spec, wrap_for};
use softhsm_tests::token::Make;

use crate::OnToken;

softhsm_tests::on_both! {
    every_class_refuses_every_use_but_its_own
    no_key_leaves_the_token
    no_copy_has_more_rights
    a_partners_blob_does_not_unwrap_as_readable
    a_public_key_that_was_swapped_is_noticed
    a_destruction_that_leaves_something_is_none
}

async fn every_class_refuses_every_use_but_its_own(make: Make) {
    let bench = OnToken::empty(make, "abuse-uses");
    let outsider = bench.token.outsider();
    let session = &outsider.session;
    let (prey, kek) = (extractable(session), wrapping_key(session));
    for class in Class::ALL {
        let spec = spec(class);
        bench.hsm().generate(&any(), &spec).await.unwrap();
        let key = handle(session, &spec);
        let gcm = Mechanism::AesGcm {
            iv: b"twelve bytes",
            aad: b"",
        };
        let ciphers = [
            gcm,
            Mechanism::Plain(MechanismType::AES_ECB),
            Mechanism::RsaOaep(OaepHash::Sha1),
            Mechanism::Plain(MechanismType::RSA_PKCS),
            Mechanism::Plain(MechanismType::RSA_X_509),
        ];
        for cipher in ciphers {
            let own =
                class == Class::DataAtRest && cipher.mechanism_type() == MechanismType::AES_GCM;
            let sealed = session.encrypt(&cipher, key, &[0; 16]);
            assert_eq!(
                sealed.is_ok(),
                own,
                "{class} encrypts by {cipher:?}: {sealed:?}"
            );
            if !own {
                refused(
                    &format!("{class} decrypts by {cipher:?}"),
                    session.decrypt(&cipher, key, &[0; 384]),
                );
            }
        }
        let macs = [
            Mechanism::Sha256Hmac,
            Mechanism::Ecdsa,
            Mechanism::Plain(MechanismType::RSA_PKCS),
        ];
        for mac in macs {
            let own = match class.algorithm() {
                Algorithm::HmacSha256 => mac.mechanism_type() == MechanismType::SHA256_HMAC,
                Algorithm::EcdsaP256 => mac.mechanism_type() == MechanismType::ECDSA,
                Algorithm::Aes256 | Algorithm::Aes256Kw | Algorithm::Rsa3072 => false,
            };
            let tag = session.sign(&mac, key, b"message");
            assert_eq!(tag.is_ok(), own, "{class} signs by {mac:?}: {tag:?}");
        }
        for wrap in [
            Mechanism::AesKeyWrap,
            Mechanism::AesKeyWrapPad,
            Mechanism::AesKeyWrapKwp,
            Mechanism::RsaOaep(OaepHash::Sha1),
        ] {
            // Of the three, each token has its own.
            let own = class == Class::ServiceExchange && session.wrap(&wrap, kek, prey).is_ok();
            let wrapped = session.wrap(&wrap, key, prey);
            assert_eq!(
                wrapped.is_ok(),
                own,
                "{class} wraps by {wrap:?}: {wrapped:?}"
            );
        }
    }
}

async fn no_key_leaves_the_token(make: Make) {
    let bench = OnToken::empty(make, "abuse-leaving");
    let outsider = bench.token.outsider();
    let session = &outsider.session;
    let (kek, prey) = (wrapping_key(session), extractable(session));
    for class in Class::ALL {
        let spec = spec(class);
        bench.hsm().generate(&any(), &spec).await.unwrap();
        let key = handle(session, &spec);
        let value = session.read(key, AttributeName::Value).unwrap();
        assert!(!matches!(value, Reading::Value(_)), "{class}");
        refused(
            &format!("{class} wrapped"),
            session.wrap(&Mechanism::AesKeyWrapPad, kek, key),
        );
    }
    // An exportable one leaves under a trusted key alone, and none is trusted here.
    let spec = KeySpec {
        exportable: true,
        ..spec(Class::Pseudonymisation)
    };
    let made = bench.hsm().generate(&any(), &spec).await;
    if make == Make::Kryoptic {
        // Its user can make a trusted key: on this token no key can be made to leave.
        let refused = made.unwrap_err();
        assert_eq!(refused.field(), Some("exportable"), "{refused:?}");
        return;
    }
    made.unwrap();
    let key = handle(session, &spec);
    refused(
        "exportable, wrapped",
        session.wrap(&Mechanism::AesKeyWrap, kek, key),
    );
    let own = Template::from([
        Attribute::Token(false),
        Attribute::ModulusBits(3072),
        Attribute::PublicExponent(vec![1, 0, 1]),
        Attribute::Wrap(true),
    ]);
    let pair = Mechanism::Plain(MechanismType::RSA_KEY_PAIR_GEN);
    let private = Template::from([Attribute::Token(false), Attribute::Unwrap(true)]);
    let (public, _) = session.generate_pair(&pair, &own, &private).unwrap();
    let oaep = Mechanism::RsaOaep(OaepHash::Sha1);
    session.wrap(&oaep, public, prey).unwrap();
    refused(
        "exportable, wrapped under an RSA key of one's own",
        session.wrap(&oaep, public, key),
    );
    let trusted = own.with(Attribute::Trusted(true));
    refused(
        "a trusted key of one's own",
        session.generate_pair(&pair, &trusted, &private),
    );
    assert!(!matches!(
        session.read(key, AttributeName::Value).unwrap(),
        Reading::Value(_)
    ));
}

async fn no_copy_has_more_rights(make: Make) {
    let bench = OnToken::empty(make, "abuse-copies");
    let outsider = bench.token.outsider();
    let session = &outsider.session;
    for class in Class::ALL {
        let spec = spec(class);
        bench.hsm().generate(&any(), &spec).await.unwrap();
        let key = handle(session, &spec);
        for more in [
            Attribute::Sensitive(false),
            Attribute::Extractable(true),
            Attribute::Encrypt(true),
            Attribute::Wrap(true),
            Attribute::AllowedMechanisms(vec![MechanismType::AES_ECB]),
            Attribute::Label(b"another name".to_vec()),
            Attribute::Token(false),
        ] {
            let template = Template::from([more.clone()]);
            refused(
                &format!("{class} copied with {more:?}"),
                session.copy(key, &template),
            );
        }
        refused(
            &format!("{class} copied"),
            session.copy(key, &Template::default()),
        );
    }
}

async fn a_partners_blob_does_not_unwrap_as_readable(make: Make) {
    let bench = OnToken::empty(make, "abuse-unwrapping");
    let outsider = bench.token.outsider();
    let session = &outsider.session;
    let wrapping = spec(Class::ImportWrapping);
    let public = bench.hsm().generate(&any(), &wrapping).await.unwrap();
    let how = oaep(bench.hsm());
    let blob = wrap_for(&wrapping, &public, how, &[0x42; 32]).blob;
    let key = handle(session, &wrapping);
    let mechanism = Mechanism::RsaOaep(match how {
        Wrapping::OaepSha256 => OaepHash::Sha256,
        Wrapping::OaepSha1
        | Wrapping::RsaAesSha256
        | Wrapping::RsaAesSha1
        | Wrapping::AesKw
        | Wrapping::AesKwp => OaepHash::Sha1,
    });
    for template in [
        unwrapped(
            KeyType::GenericSecret,
            [Attribute::Sensitive(false), Attribute::Extractable(true)],
        ),
        unwrapped(
            KeyType::Aes,
            [Attribute::Sensitive(false), Attribute::Extractable(true)],
        ),
        unwrapped(
            KeyType::Aes,
            [
                Attribute::Encrypt(true),
                Attribute::AllowedMechanisms(vec![MechanismType::AES_GCM, MechanismType::AES_ECB]),
            ],
        ),
    ] {
        refused(
            &format!("{template:?}"),
            session.unwrap(&mechanism, key, &blob, &template),
        );
    }
    // Who leaves out what is forced is refused, or gets all of it.
    let silent = unwrapped(KeyType::Aes, [Attribute::Encrypt(true)]);
    match session.unwrap(&mechanism, key, &blob, &silent) {
        Err(error) => refused::<()>("what is forced, left out", Err(error)),
        Ok(key) => {
            for forced in [
                Attribute::Sensitive(true),
                Attribute::Extractable(false),
                Attribute::Copyable(false),
                Attribute::AllowedMechanisms(vec![MechanismType::AES_GCM]),
            ] {
                let told = session.read(key, forced.name()).unwrap();
                assert_eq!(told, Reading::Value(forced));
            }
        }
    }
    refused("decrypted", session.decrypt(&mechanism, key, &blob));
}

/// Somebody puts another public key beside our private one: what we would hand out to verify with.
async fn a_public_key_that_was_swapped_is_noticed(make: Make) {
    let bench = OnToken::empty(make, "abuse-swapping");
    let outsider = bench.token.outsider();
    let session = &outsider.session;
    let spec = spec(Class::ServiceAttestation);
    let learned = bench.hsm().generate(&any(), &spec).await.unwrap();
    let public = Template::from([
        Attribute::Token(true),
        Attribute::Id(spec.id.to_bytes().to_vec()),
        Attribute::Class(ObjectClass::PublicKey),
    ]);
    let ours = session.find(&public, 2).unwrap();
    session.destroy(ours[0]).unwrap();
    let theirs = public.with(Attribute::EcParams(P256.to_vec()));
    let private = Template::from([Attribute::Token(false), Attribute::Sign(true)]);
    let generate = Mechanism::Plain(MechanismType::EC_KEY_PAIR_GEN);
    session.generate_pair(&generate, &theirs, &private).unwrap();
    let told = bench.hsm().find(&any(), &spec).await.unwrap_err();
    assert_eq!(told.kind(), ErrorKind::Internal, "{told:?}");
    // Nor does a pool that has not seen it yet sign with it.
    let signing = one(bench.hsm(), spec.id, &learned, sign(b"a statement")).await;
    assert_eq!(signing.unwrap_err().kind(), ErrorKind::Internal);
}

/// More objects under an id than a key can have: what is left after a destruction is told.
async fn a_destruction_that_leaves_something_is_none(make: Make) {
    let bench = OnToken::empty(make, "abuse-leftovers");
    let outsider = bench.token.outsider();
    let spec = spec(Class::DataAtRest);
    let planted = Template::from([
        Attribute::Token(true),
        Attribute::Id(spec.id.to_bytes().to_vec()),
        Attribute::ValueLen(32),
    ]);
    let generate = Mechanism::Plain(MechanismType::AES_KEY_GEN);
    for _ in 0..9 {
        outsider.session.generate(&generate, &planted).unwrap();
    }
    let told = bench.hsm().destroy(&any(), &spec.id).await.unwrap_err();
    assert_eq!(told.kind(), ErrorKind::Internal, "{told:?}");
    assert_eq!(bench.hsm().objects().await.unwrap().len(), 1);
    bench.hsm().destroy(&any(), &spec.id).await.unwrap();
    assert!(bench.hsm().objects().await.unwrap().is_empty());
}

/// The token says no, and is not in doubt about itself.
fn refused<T: std::fmt::Debug>(what: &str, outcome: Result<T, Error>) {
    match outcome {
        Ok(done) => panic!("{what}: the token did it: {done:?}"),
        Err(error) => {
            assert!(
                // Of a wrapping key that is not trusted, kryoptic says that it is no such key.
                matches!(
                    error.kind(),
                    Kind::Refused | Kind::Unsupported | Kind::Stale
                ),
                "{what}: {error}"
            );
        }
    }
}

fn handle(session: &Session, spec: &KeySpec) -> Handle {
    let class = match spec.class {
        Class::ImportWrapping | Class::ServiceAttestation | Class::ServiceImportParameters => {
            ObjectClass::PrivateKey
        }
        Class::DataAtRest
        | Class::Pseudonymisation
        | Class::ServiceImportToken
        | Class::ServiceDigest
        | Class::ServiceExchange => ObjectClass::SecretKey,
    };
    let template = Template::from([
        Attribute::Token(true),
        Attribute::Id(spec.id.to_bytes().to_vec()),
        Attribute::Class(class),
    ]);
    let found = session.find(&template, 2).unwrap();
    assert_eq!(found.len(), 1, "{spec:?}");
    found[0]
}

fn unwrapped<const N: usize>(key_type: KeyType, more: [Attribute; N]) -> Template {
    let mut template = Template::from([
        Attribute::Class(ObjectClass::SecretKey),
        Attribute::KeyType(key_type),
        Attribute::Token(false),
    ]);
    template.extend(more);
    template
}

/// Something that any key may wrap.
fn extractable(session: &Session) -> Handle {
    let template = Template::from([
        Attribute::Token(false),
        Attribute::ValueLen(32),
        Attribute::Extractable(true),
    ]);
    session
        .generate(&Mechanism::Plain(MechanismType::AES_KEY_GEN), &template)
        .unwrap()
}

/// Something of the abuser's own to wrap with.
fn wrapping_key(session: &Session) -> Handle {
    let template = Template::from([
        Attribute::Token(false),
        Attribute::ValueLen(32),
        Attribute::Wrap(true),
    ]);
    session
        .generate(&Mechanism::Plain(MechanismType::AES_KEY_GEN), &template)
        .unwrap()
}
