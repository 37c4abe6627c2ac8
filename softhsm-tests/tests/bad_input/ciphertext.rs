use super::{BACKUP, OBJECT, refusals, told};
use softhsm_tests::{Deployment, gateway::Gateway};

#[test]
fn a_ciphertext_that_is_not_what_it_was_opens_nothing() {
    let mut kms = Deployment::emc2().start();
    kms.furnish();
    let etl = Gateway::connect(&mut kms, "lyon-etl");
    let context = [("dataset", "visits")];
    let sealed = etl.encrypt(OBJECT, b"a plaintext", &context).unwrap();

    let flips = (0..sealed.len()).step_by(7).chain([sealed.len() - 1]);
    for position in flips.clone() {
        let mut flipped = sealed.clone();
        flipped[position] ^= 0x10;
        told(etl.decrypt(OBJECT, &flipped, &context), "INVALID", "");
    }
    for length in [0, 1, 22, 34, 50, sealed.len() - 1] {
        told(
            etl.decrypt(OBJECT, &sealed[..length], &context),
            "INVALID",
            "ciphertext",
        );
    }
    told(
        etl.decrypt(
            OBJECT,
            b"not one of ours, not even nearly, whatever",
            &context,
        ),
        "INVALID",
        "ciphertext",
    );
    told(etl.decrypt(BACKUP, &sealed, &context), "INVALID", "key");
    for wrong in [
        &[][..],
        &[("dataset", "visit")],
        &[("dataset", "visits"), ("more", "")],
    ] {
        told(etl.decrypt(OBJECT, &sealed, wrong), "INVALID", "context");
    }

    // Tampering is not a broken HSM: it goes on serving, and every attempt left a record.
    assert_eq!(
        etl.decrypt(OBJECT, &sealed, &context).unwrap(),
        b"a plaintext"
    );
    let recorded = refusals(&mut kms, "service/lyon-etl", "Decrypt", "INVALID");
    assert_eq!(recorded.len(), flips.count() + 6 + 1 + 1 + 3);
}

/// Whoever may not decrypt in another space learns nothing about what is there.
#[test]
fn another_spaces_key_and_no_key_look_the_same() {
    let mut kms = Deployment::emc2().start();
    kms.furnish();
    let etl = Gateway::connect(&mut kms, "lyon-etl");
    let sealed = etl.encrypt(OBJECT, b"a plaintext", &[]).unwrap();
    let sentence = |name: &str| {
        let status = etl.decrypt(name, &sealed, &[]).unwrap_err();
        assert_eq!(status.code(), tonic::Code::PermissionDenied, "{status:?}");
        status.message().replace(name, "NAME")
    };
    assert_eq!(
        sentence("spaces/warehouse/keys/object"),
        sentence("spaces/warehouse/keys/no-such-key"),
    );
    assert_eq!(
        refusals(&mut kms, "service/lyon-etl", "Decrypt", "REFUSED").len(),
        2
    );
}
