//! What is handed over when a key comes in: golden for ever.

use crate::sample::{NOW, caller, deployment, key};
use kms_core::attestation::{Deployed, Token};
use kms_core::class::Class;
use kms_core::command::{Change, Wrapped};
use kms_core::deployment::Environment;
use kms_core::due::Steady;
use kms_core::error::Kind;
use kms_core::id::{KeyId, KeyUid};
use kms_core::import::{Byok, Given, Parameters, Receipt, Shown, Wrapper, fingerprint, signed_by};
use kms_core::import_token::ImportToken;
use kms_core::key::{Imported, Intake, Key, Learned, Origin, Wrapping};
use kms_core::lifecycle::Unused;
use kms_core::name::KeyName;
use kms_core::plan::{Ground, plan};
use kms_core::state::State;
use kms_core::time::Time;
use kms_core::value::Value;
use kms_core::view::View;
use proptest::prelude::*;
use rcgen::{KeyPair, PublicKeyData, SigningKey};

fn name(text: &str) -> KeyName {
    text.parse().unwrap()
}

/// A wrapping key of Hospices civils de Lyon, and a key that waits for material.
fn world() -> View {
    let mut view = deployment(Environment::Production);
    let (wrapping, target) = (name("spaces/lab/keys/hcl"), name("spaces/lab/keys/legacy"));
    key(
        &mut view,
        &wrapping,
        Class::ImportWrapping,
        &[(State::Active, true)],
    );
    key(&mut view, &target, Class::DataAtRest, &[]);
    let change = |view: &mut View, name: &KeyName, with: &dyn Fn(&mut Key)| {
        let (found, revision) = view.key(name).unwrap();
        let mut found = found.clone();
        with(&mut found);
        view.put(Value::Key(found), revision);
    };
    change(&mut view, &wrapping, &|key| {
        key.intake = Some(Intake {
            class: Class::DataAtRest,
            mechanism: Wrapping::RsaAesSha1,
            two_steps: true,
            source: Some("hcl".parse().unwrap()),
        });
    });
    change(&mut view, &target, &|key| key.origin = Origin::External);
    view
}

fn token(view: &View) -> ImportToken {
    let (target, _) = view.key(&name("spaces/lab/keys/legacy")).unwrap();
    ImportToken {
        target: view.next_id(target).unwrap(),
        wrapping: "spaces/lab/keys/hcl/versions/1".parse().unwrap(),
        mechanism: Wrapping::RsaAesSha1,
        expires: Time(NOW.0 + 1000),
    }
}

fn parameters(view: &View) -> Parameters {
    let token = token(view);
    let given = Given {
        deployment: Deployed::from(view.founded().unwrap()),
        token: Token {
            label: "emc2".into(),
            serial: "0123456789abcdef".into(),
            model: "SoftHSM v2".into(),
        },
        key: name("spaces/lab/keys/legacy"),
        class: Class::DataAtRest,
        two_steps: true,
        wrapper: Wrapper {
            version: token.wrapping.clone(),
            cka_id: KeyId {
                uid: KeyUid([3; 16]),
                version: 1,
            },
            fingerprint: "00112233445566778899aabbccddeeff".into(),
            public_key: vec![0x30, 0x00],
            partner: Some("hcl".parse().unwrap()),
            attributes: Shown {
                sensitive: true,
                extractable: false,
                local: true,
                mechanisms: vec!["CKM_RSA_PKCS_OAEP".into()],
            },
            forces: None,
            vendor_attestation: None,
        },
        issued: NOW,
    };
    let bytes = token.to_bytes(&[0xcc; 32]);
    Parameters::of(given, &token, bytes)
}

#[test]
fn import_parameters_are_golden() {
    let view = world();
    let bytes = parameters(&view).encode().unwrap();
    assert_eq!(Parameters::parse(&bytes).unwrap(), parameters(&view));
    insta::assert_snapshot!(String::from_utf8(bytes).unwrap());
}

#[test]
fn an_import_receipt_is_golden() {
    let mut view = world();
    let target = name("spaces/lab/keys/legacy");
    key(
        &mut view,
        &target,
        Class::DataAtRest,
        &[(State::Active, true)],
    );
    let (version, _) = view.version(&target.version(1)).unwrap();
    let mut version = version.clone();
    version.origin = Origin::External;
    version.learned = Some(Learned {
        fingerprint: "ffeeddccbbaa99887766554433221100".into(),
        public_key: None,
        recognised: Some("never shown".into()),
    });
    let (key, _) = view.key(&target).unwrap();
    let whose = || (parameters(&view).deployment, parameters(&view).token);
    assert_eq!(
        Receipt::of(whose(), key, &version, NOW).unwrap_err().kind(),
        Kind::State
    );
    version.imported = Some(Imported {
        wrapping: token(&view).wrapping,
        mechanism: Wrapping::RsaAesSha1,
        two_steps: true,
        source: Some("hcl".parse().unwrap()),
        sha256: Some("ab".repeat(32)),
        by: Some("spiffe://emc2.example/person/stella".into()),
    });
    let receipt = Receipt::of(whose(), key, &version, NOW).unwrap();
    let bytes = receipt.encode().unwrap();
    assert_eq!(Receipt::parse(&bytes).unwrap(), receipt);
    let text = String::from_utf8(bytes).unwrap();
    assert!(!text.contains("never shown"));
    insta::assert_snapshot!(text);
}

#[test]
fn a_byok_file_is_golden() {
    let file = Byok {
        kid: token(&world()).wrapping,
        ciphertext: vec![0xfb; Wrapping::RsaAesSha1.length()],
        generator: "kms 0.1.0".into(),
    };
    let bytes = file.encode().unwrap();
    assert_eq!(Byok::parse(&bytes).unwrap(), file);
    insta::assert_snapshot!(String::from_utf8(bytes).unwrap());
}

#[test]
fn what_another_key_signed_is_not_believed() {
    let (ours, theirs) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let statement = parameters(&world()).encode().unwrap();
    let signature = ours.sign(&statement).unwrap();
    let key = ours.subject_public_key_info();
    let told = fingerprint(&key);
    signed_by(&statement, &signature, &key, &told).unwrap();
    signed_by(&statement, &signature, &key, &told.to_uppercase()).unwrap();
    let other = theirs.subject_public_key_info();
    for (signature, key, told) in [
        (&signature, &other, &told),
        (&signature, &other, &fingerprint(&other)),
        (&theirs.sign(&statement).unwrap(), &key, &told),
        (&signature, &key, &told[..62].to_owned()),
        (&signature, &key, &String::new()),
    ] {
        assert!(signed_by(&statement, signature, key, told).is_err());
    }
}

/// To the millisecond, by the clock that things are judged by.
#[test]
fn an_import_token_ends_when_it_says() {
    let view = world();
    let token = token(&view);
    let import = |now: Time| {
        let change = Change::ImportKey {
            name: name("spaces/lab/keys/legacy"),
            etag: None,
            token: token.clone(),
            wrapped: Wrapped::Material {
                mac: [0; 32],
                bytes: vec![1],
            },
            reason: "a test".into(),
        };
        let stella = caller("person/stella");
        let ground = Ground {
            view: &view,
            caller: &stella,
            now,
            steady: Steady::default(),
            uses: &Unused,
            fresh: KeyUid([9; 16]),
            carried: None,
        };
        plan(ground, &change)
    };
    let planned = import(Time(token.expires.0 - 1)).unwrap();
    let version = planned
        .writes
        .iter()
        .find_map(|w| w.value.as_version())
        .unwrap();
    let imported = version.imported.as_ref().unwrap();
    assert!(imported.two_steps && imported.by.is_some() && imported.sha256.is_some());
    assert_eq!(imported.source.as_ref().unwrap().as_str(), "hcl");
    for late in [0, 1, 1000] {
        let told = import(Time(token.expires.0 + late)).unwrap_err();
        assert_eq!(
            told.message(),
            "the import token has expired; get new import parameters"
        );
    }
    let good = parameters(&view);
    assert!(good.still_good(NOW).is_ok() && good.still_good(token.expires).is_err());
}

#[test]
fn one_wrapping_key_serves_one_method_and_one_class() {
    let intake = |class, mechanism, two_steps| Intake {
        class,
        mechanism,
        two_steps,
        source: None,
    };
    let mut fit = String::new();
    for by in Class::ALL {
        for class in Class::ALL {
            for mechanism in Wrapping::ALL {
                for two_steps in [false, true] {
                    if intake(class, mechanism, two_steps).suits(by).is_ok() {
                        let steps = if two_steps { ", in two steps" } else { "" };
                        let mechanism = mechanism.name();
                        fit.push_str(&format!("{by} takes in {class} by {mechanism}{steps}\n"));
                    }
                }
            }
        }
    }
    insta::assert_snapshot!(fit);
}

proptest! {
    #[test]
    fn any_byok_file_reads_back(ciphertext in prop::collection::vec(any::<u8>(), 424), generator in ".{0,40}") {
        let kid = "spaces/a/keys/b/versions/3".parse().unwrap();
        let file = Byok { kid, ciphertext, generator };
        prop_assert_eq!(Byok::parse(&file.encode().unwrap()).unwrap(), file);
    }

    #[test]
    fn any_bytes_are_no_byok_file_or_one(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(file) = Byok::parse(&bytes) {
            prop_assert_eq!(Byok::parse(&file.encode().unwrap()).unwrap(), file);
        }
    }
}
