use super::{BACKUP, OBJECT, refusals, told};
use softhsm_tests::{Deployment, deployment::SMALL_INVENTORY, gateway::Gateway};

pub(super) fn a_ciphertext_that_is_not_what_it_was_opens_nothing(kms: &mut Deployment) {
    let refused = |kms: &mut Deployment| {
        let recorded = refusals(kms, "service/lyon-etl", "Decrypt", "INVALID");
        recorded.len()
    };
    let before = refused(kms);
    let etl = Gateway::connect(kms, "lyon-etl");
    let context = [("dataset", "visits")];
    let sealed = etl.encrypt(OBJECT, b"a plaintext", &context).unwrap();

    // Every byte of it: format, key, version, nonce, text, tag.
    for position in 0..sealed.len() {
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
    let longer = [sealed.as_slice(), b"x"].concat();
    told(etl.decrypt(OBJECT, &longer, &context), "INVALID", "");

    // Foreign: nobody's, another key's, another space's, another deployment's.
    let warehouse = "spaces/warehouse/keys/object";
    let theirs = Gateway::connect(kms, "warehouse-etl")
        .encrypt(warehouse, b"a plaintext", &context)
        .unwrap();
    let nobodys = b"not one of ours, not even nearly, whatever";
    let elsewhere = of_another_deployment(&context);
    told(
        etl.decrypt(OBJECT, nobodys, &context),
        "INVALID",
        "ciphertext",
    );
    told(etl.decrypt(BACKUP, &sealed, &context), "INVALID", BACKUP);
    told(etl.decrypt(OBJECT, &theirs, &context), "INVALID", OBJECT);
    told(etl.decrypt(OBJECT, &elsewhere, &context), "INVALID", OBJECT);
    for wrong in [
        &[][..],
        &[("dataset", "visit")],
        &[("Dataset", "visits")],
        &[("dataset", "visits"), ("more", "")],
    ] {
        told(etl.decrypt(OBJECT, &sealed, wrong), "INVALID", "context");
    }

    // Tampering is not a broken HSM: it goes on serving, and every attempt left a record.
    assert_eq!(
        etl.decrypt(OBJECT, &sealed, &context).unwrap(),
        b"a plaintext"
    );
    assert_eq!(refused(kms) - before, sealed.len() + 6 + 1 + 4 + 4);
    assert_eq!(kms.metrics().value("kms_hsm_serving"), Some(1.0));
    assert!(!kms.log().contains("does not answer"), "{}", kms.log());
}

/// A ciphertext of the same name, context and plaintext, made elsewhere.
fn of_another_deployment(context: &[(&str, &str)]) -> Vec<u8> {
    let mut other = Deployment::emc2().start();
    let path = other.directory().join("lyon.yaml");
    let lyon = SMALL_INVENTORY.split("domains:").next().unwrap();
    let keys = "keys:\n  - {name: ingest-lyon/object, class: data-at-rest}\n";
    std::fs::write(path, format!("{lyon}{keys}")).unwrap();
    let apply = ["inventory", "apply", "-f", "lyon.yaml"];
    other.cli("stella").run(apply).succeeds();
    Gateway::connect(&mut other, "lyon-etl")
        .encrypt(OBJECT, b"a plaintext", context)
        .unwrap()
}
