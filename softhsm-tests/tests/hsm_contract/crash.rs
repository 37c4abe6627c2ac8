//! What a crash between two steps leaves on the token, and what the ordinary call makes of it.

use kms_core::class::Class;
use kms_core::error::Kind;
use kms_pkcs11::{Attribute, Mechanism, MechanismType, ObjectClass, Template};
use softhsm_tests::hsm_bench::{any, encrypt, oaep, one, software_gcm, spec, wrap_for};
use softhsm_tests::token::Make;

use crate::OnToken;

softhsm_tests::on_both! {
    half_a_pair_is_made_again
    what_an_import_left_is_not_taken_for_the_next_ones_material
    an_object_that_is_not_what_its_class_demands_stops_everything
    two_objects_of_one_id_stop_everything
}

async fn half_a_pair_is_made_again(make: Make) {
    let bench = OnToken::empty(make, "crash-half");
    let outsider = bench.token.outsider();
    for lost in [ObjectClass::PublicKey, ObjectClass::PrivateKey] {
        let spec = spec(Class::ImportWrapping);
        let first = bench.hsm().generate(&any(), &spec).await.unwrap();
        let half = Template::from([
            Attribute::Token(true),
            Attribute::Id(spec.id.to_bytes().to_vec()),
            Attribute::Class(lost),
        ]);
        for object in outsider.session.find(&half, 9).unwrap() {
            outsider.session.destroy(object).unwrap();
        }
        assert_eq!(
            bench.hsm().find(&any(), &spec).await.unwrap(),
            None,
            "half is not there"
        );
        let again = bench.hsm().generate(&any(), &spec).await.unwrap();
        assert_ne!(again.public_key, first.public_key);
        let ours = bench.hsm().objects().await.unwrap();
        assert_eq!(ours.iter().filter(|one| one.id == Some(spec.id)).count(), 2);
    }
}

/// An import that was given up may leave its key when taking it away fails too.
async fn what_an_import_left_is_not_taken_for_the_next_ones_material(make: Make) {
    let bench = OnToken::empty(make, "crash-import");
    let hsm = bench.hsm();
    let (wrapping, imported) = (spec(Class::ImportWrapping), spec(Class::DataAtRest));
    let public = hsm.generate(&any(), &wrapping).await.unwrap();
    for material in [[0x42; 32], [0x24; 32]] {
        let wrapped = wrap_for(&wrapping, &public, oaep(hsm), &material);
        let learned = hsm.unwrap(&any(), &wrapped, &imported).await.unwrap();
        let sealed = one(hsm, imported.id, &learned, encrypt(b"", b"text"))
            .await
            .unwrap();
        assert_eq!(*sealed, software_gcm(&material, b"", b"text"));
        let objects = hsm.objects().await.unwrap();
        let ours = objects.iter().filter(|o| o.id == Some(imported.id));
        assert_eq!(ours.count(), 1);
    }
}

async fn an_object_that_is_not_what_its_class_demands_stops_everything(make: Make) {
    let bench = OnToken::empty(make, "crash-foreign");
    let outsider = bench.token.outsider();
    let spec = spec(Class::DataAtRest);
    let readable = Template::from([
        Attribute::Token(true),
        Attribute::Id(spec.id.to_bytes().to_vec()),
        Attribute::Label(spec.label.to_string().into_bytes()),
        Attribute::ValueLen(32),
        Attribute::Extractable(true),
    ]);
    let aes = Mechanism::Plain(MechanismType::AES_KEY_GEN);
    outsider.session.generate(&aes, &readable).unwrap();
    let found = bench.hsm().find(&any(), &spec).await.unwrap_err();
    assert_eq!(found.kind(), Kind::Internal);
    assert_eq!(
        bench
            .hsm()
            .generate(&any(), &spec)
            .await
            .unwrap_err()
            .kind(),
        Kind::Internal
    );
    // It is not destroyed either: nobody knows whose it is.
    assert_eq!(bench.hsm().objects().await.unwrap().len(), 1);
}

async fn two_objects_of_one_id_stop_everything(make: Make) {
    let bench = OnToken::empty(make, "crash-twice");
    let outsider = bench.token.outsider();
    let spec = spec(Class::DataAtRest);
    let learned = bench.hsm().generate(&any(), &spec).await.unwrap();
    let double = Template::from([
        Attribute::Token(true),
        Attribute::Id(spec.id.to_bytes().to_vec()),
        Attribute::ValueLen(32),
        Attribute::Encrypt(true),
    ]);
    let aes = Mechanism::Plain(MechanismType::AES_KEY_GEN);
    outsider.session.generate(&aes, &double).unwrap();
    let op = encrypt(b"", b"text");
    let used = one(bench.hsm(), spec.id, &learned, op).await;
    assert_eq!(used.unwrap_err().kind(), Kind::Internal);
    assert_eq!(
        bench.hsm().find(&any(), &spec).await.unwrap_err().kind(),
        Kind::Internal
    );
}
