use super::{OBJECT, refusals, told};
use softhsm_tests::{Deployment, gateway::Gateway};

pub(super) fn a_typo_in_a_keys_name_never_makes_a_key(kms: &mut Deployment) {
    let keys = |kms: &Deployment| {
        kms.cli("ada")
            .run(["key", "list", "-o", "json"])
            .succeeds()
            .json()
    };
    let before = keys(kms);

    let refused = |kms: &mut Deployment, word: &str| {
        let recorded = refusals(kms, "service/lyon-etl", "Encrypt", word);
        recorded.len()
    };
    let (not_found, invalid) = (refused(kms, "NOT_FOUND"), refused(kms, "INVALID"));
    let etl = Gateway::connect(kms, "lyon-etl");
    told(
        etl.encrypt("spaces/ingest-lyon/keys/objekt", b"x", &[]),
        "NOT_FOUND",
        "objekt",
    );
    for malformed in [
        "",
        "objekt",
        "spaces/ingest-lyon/keys/",
        "spaces/ingest-lyon/keys/Objekt",
        "keys/object",
    ] {
        told(etl.encrypt(malformed, b"x", &[]), "INVALID", "name");
    }
    assert_eq!(refused(kms, "NOT_FOUND") - not_found, 1);
    assert_eq!(refused(kms, "INVALID") - invalid, 5);

    let operator = kms.cli("olivia");
    let rotate = ["key", "rotate", "ingest-lyon/objekt", "--reason", "a test"];
    operator.run(rotate).fails(5).saying("objekt");
    let suspend = [
        "version",
        "suspend",
        "ingest-lyon/object/7",
        "--reason",
        "a test",
    ];
    operator.run(suspend).fails(5).saying("7");
    std::fs::write(kms.directory().join("visits"), "x").unwrap();
    kms.cli("lyon-etl")
        .run(["encrypt", "visits", "--key", "ingest-lyon/objekt"])
        .fails(5);
    assert!(!kms.directory().join("visits.kms").exists());
    assert_eq!(keys(kms), before);

    // Nothing of what is not there is a typo, not an empty list.
    let auditor = kms.cli("ada");
    auditor
        .run(["key", "list", "ingest-lyn"])
        .fails(5)
        .saying("spaces/ingest-lyn does not exist");
    auditor
        .run(["version", "list", "ingest-lyon/objekt"])
        .fails(5)
        .saying("objekt");
    auditor.run(["key", "list", "project-01"]).succeeds();

    // A key of another class is no key for it.
    told(
        etl.encrypt("spaces/ingest-lyon/keys/import", b"x", &[]),
        "REFUSED",
        "Encrypt",
    );
    assert!(etl.encrypt(OBJECT, b"x", &[]).is_ok());
}

pub(super) fn a_name_is_never_used_again_and_a_class_never_bent(kms: &Deployment) {
    let operator = kms.cli("olivia");
    let create = |name: &str, more: &[&str]| {
        operator.run(
            ["key", "create", name, "--class", "data-at-rest"]
                .iter()
                .chain(more),
        )
    };
    create("ingest-lyon/object", &[])
        .fails(6)
        .saying("exists already");
    create("nowhere/object", &[]).fails(5).saying("nowhere");
    create("kms/object", &[]).fails(4).saying("own keys");
    create("ingest-lyon/edge-link", &[])
        .fails(3)
        .saying("edge-");
    create("ingest-lyon/new", &["--exportable"])
        .fails(3)
        .saying("never leave");
    let rotate = ["key", "rotate", "warehouse/edge-link", "--reason", "a test"];
    operator.run(rotate).fails(7).saying("renewal campaign");
    let rotate = ["key", "rotate", "ingest-lyon/partner", "--reason", "a test"];
    operator.run(rotate).fails(7).saying("import");
    let resume = [
        "version",
        "resume",
        "ingest-lyon/object/1",
        "--reason",
        "a test",
    ];
    operator.run(resume).fails(7).saying("active");
}
