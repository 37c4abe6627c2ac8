use super::{BACKUP, OBJECT, refusals, told};
use kms_proto::v1::{
    self, crypto_service_client::CryptoServiceClient, key_service_client::KeyServiceClient,
};
use softhsm_tests::{Deployment, gateway::Gateway, partner};

const ONE: &str = "6b29fc40-ca47-4f06-8a2b-1d2e1f9f0c01";

pub(super) fn a_payload_that_is_too_long_is_told_of_data_keys(kms: &mut Deployment) {
    let refused = |kms: &mut Deployment| {
        let recorded = refusals(kms, "service/lyon-etl", "Encrypt", "INVALID");
        recorded.len()
    };
    let before = refused(kms);
    let etl = Gateway::connect(kms, "lyon-etl");
    assert!(etl.encrypt(OBJECT, &vec![7; 65_536], &[]).is_ok());
    told(
        etl.encrypt(OBJECT, &vec![7; 65_537], &[]),
        "INVALID",
        "data key",
    );
    assert_eq!(refused(kms) - before, 1);

    // What is not even read.
    told(
        etl.encrypt(OBJECT, &vec![7; 20 << 20], &[]),
        "INVALID",
        "8 MiB",
    );
    assert_eq!(refused(kms) - before, 2);

    let batch = |items: usize, size: usize| {
        let item = v1::batch_encrypt_request::Item {
            plaintext: vec![7; size],
            context: [].into(),
        };
        let request = v1::BatchEncryptRequest {
            name: OBJECT.into(),
            items: vec![item; items],
        };
        etl.call(async |channel| {
            CryptoServiceClient::new(channel)
                .batch_encrypt(request)
                .await
        })
        .map(|answer| answer.into_inner().results.len())
    };
    assert_eq!(batch(1_000, 10).unwrap(), 1_000);
    told(batch(1_001, 10), "INVALID", "1,000");
    told(batch(0, 0), "INVALID", "1 to 1,000");
    told(batch(70, 65_536), "INVALID", "4 MiB");
    assert_eq!(refused(kms) - before, 5);

    let pairs: Vec<(String, String)> = (0..17).map(|n| (format!("n{n}"), String::new())).collect();
    let pairs: Vec<(&str, &str)> = pairs
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    told(etl.encrypt(OBJECT, b"x", &pairs), "INVALID", "16 pairs");
    told(etl.encrypt(OBJECT, b"x", &[("", "x")]), "INVALID", "names");
    assert!(etl.encrypt(OBJECT, b"x", &[]).is_ok());
}

pub(super) fn a_request_id_gives_the_same_result_and_only_for_the_same_request(
    kms: &mut Deployment,
) {
    let operator = Gateway::connect(kms, "olivia");
    let name = "spaces/ingest-lyon/keys/once";
    let first = operator.create_key(name, ONE).unwrap();
    assert_eq!(operator.create_key(name, ONE).unwrap(), first);
    told(
        operator.create_key("spaces/ingest-lyon/keys/twice", ONE),
        "INVALID",
        "request",
    );
    told(
        operator.create_key("spaces/ingest-lyon/keys/twice", "not a UUID"),
        "INVALID",
        "UUID",
    );
    told(operator.create_key(name, ""), "CONFLICT", "exists already");

    let rotated = operator.rotate(BACKUP, ONE);
    told(rotated, "INVALID", "request");
    let two = ONE.replace("0c01", "0c02");
    let version = operator.rotate(BACKUP, &two).unwrap();
    assert_eq!(operator.rotate(BACKUP, &two).unwrap(), version);
    assert_eq!(operator.versions(BACKUP).unwrap().len(), 2);

    // Also after a crash.
    drop(operator);
    kms.kill();
    kms.restart();
    let operator = Gateway::connect(kms, "olivia");
    assert_eq!(operator.create_key(name, ONE).unwrap().name, first.name);
    assert_eq!(operator.rotate(BACKUP, &two).unwrap().name, version.name);
    assert_eq!(operator.versions(BACKUP).unwrap().len(), 2);
}

/// An etag that is not current means that somebody else was there first: read again.
pub(super) fn a_stale_etag_changes_nothing(kms: &mut Deployment) {
    let operator = Gateway::connect(kms, "olivia");
    let name = "spaces/ingest-lyon/keys/etag";
    let made = operator.create_key(name, "").unwrap();
    let update = |title: &str, etag: &str| {
        let key = v1::Key {
            name: name.into(),
            title: title.into(),
            etag: etag.into(),
            ..v1::Key::default()
        };
        let request = v1::UpdateKeyRequest {
            key: Some(key),
            update_mask: Some(prost_types::FieldMask {
                paths: vec!["title".into()],
            }),
            ..v1::UpdateKeyRequest::default()
        };
        operator
            .call(async |channel| KeyServiceClient::new(channel).update_key(request).await)
            .map(tonic::Response::into_inner)
    };
    // What the mask names, and that alone, is changed.
    let change = |paths: Vec<&str>| {
        let key = v1::Key {
            name: name.into(),
            ..v1::Key::default()
        };
        let request = v1::UpdateKeyRequest {
            key: Some(key),
            update_mask: Some(prost_types::FieldMask {
                paths: paths.into_iter().map(Into::into).collect(),
            }),
            ..v1::UpdateKeyRequest::default()
        };
        operator.call(async |channel| KeyServiceClient::new(channel).update_key(request).await)
    };
    let rotate = |etag: &str| {
        let request = v1::RotateKeyRequest {
            name: name.into(),
            etag: etag.into(),
            reason: "a test".into(),
            ..v1::RotateKeyRequest::default()
        };
        operator
            .call(async |channel| KeyServiceClient::new(channel).rotate_key(request).await)
            .map(tonic::Response::into_inner)
    };
    let first = update("first", &made.etag).unwrap();
    assert_ne!(first.etag, made.etag);
    told(update("second", &made.etag), "CONFLICT", "read");
    told(rotate(&made.etag), "CONFLICT", "read");
    told(update("second", "no etag"), "INVALID", "etag");
    for paths in [vec!["class"], vec!["*"], vec![]] {
        told(change(paths), "INVALID", "update_mask");
    }
    assert_eq!(operator.versions(name).unwrap().len(), 1);
    let title = |etag: &str| update("first", etag).unwrap().title;
    assert_eq!(title(&first.etag), "first");
    assert_eq!(
        refusals(kms, "person/olivia", "RotateKey", "CONFLICT").len(),
        1
    );
    rotate("").unwrap();
    assert_eq!(operator.versions(name).unwrap().len(), 2);
}

/// Page by page is the same list, and a token that is none does not end it in silence.
pub(super) fn a_list_goes_on_where_its_page_ended(kms: &mut Deployment) {
    let auditor = Gateway::connect(kms, "ada");
    let list = |page_size: i32, page_token: &str| {
        let request = v1::ListKeysRequest {
            page_size,
            page_token: page_token.into(),
            ..v1::ListKeysRequest::default()
        };
        auditor
            .call(async |channel| KeyServiceClient::new(channel).list_keys(request).await)
            .map(tonic::Response::into_inner)
    };
    let all = list(0, "").unwrap();
    assert!(all.next_page_token.is_empty());
    let (mut paged, mut token) = (Vec::new(), String::new());
    loop {
        let page = list(2, &token).unwrap();
        assert!((1..=2).contains(&page.keys.len()));
        paged.extend(page.keys);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(paged, all.keys);
    assert!(paged.len() > 2);
    told(list(2, "zzz"), "INVALID", "next_page_token");
    told(list(2, "spaces/warehouse"), "INVALID", "next_page_token");
    told(list(-1, ""), "INVALID", "page_size");
}

/// `SoftHSM` 2.6.1 has RSA-OAEP with SHA-1 alone: the other is refused, never fallen back from.
pub(super) fn a_mechanism_that_the_token_lacks_is_refused_with_those_that_it_has(kms: &Deployment) {
    let service = kms.cli("lyon-ingest");
    let params = [
        "import",
        "params",
        "ingest-lyon/partner",
        "--wrapping-key",
        "ingest-lyon/import",
    ];
    let refused =
        service.run(
            params
                .iter()
                .chain(&["--mechanism", "oaep-sha256", "-O", "transfer"]),
        );
    assert!(matches!(refused.code(), Some(3 | 7)), "{refused}");
    let refused = refused.saying("SHA1");
    assert!(
        !kms.directory().join("transfer/import-token").exists(),
        "{refused}"
    );
}

pub(super) fn an_import_that_is_not_what_it_should_be_brings_nothing_in(kms: &mut Deployment) {
    let (key, by, who) = ("ingest-lyon/partner", "ingest-lyon/import", "lyon-ingest");
    let right = partner::wrap(kms, who, key, by, &[0x42; 32]);

    // Another length than any AES key's, another token, another blob. (A shorter AES key cannot
    // be told from outside on SoftHSM, which keeps no length of what it unwraps.)
    let short = partner::wrap(kms, who, key, by, &[0x42; 20]);
    partner::submit(kms, who, key, &short).fails(3);
    let mut forged = right.clone();
    forged.token = kms.directory().join("forged");
    let mut token = std::fs::read(&right.token).unwrap();
    let last = token.len() - 1;
    token[last] ^= 1;
    std::fs::write(&forged.token, &token).unwrap();
    partner::submit(kms, who, key, &forged)
        .fails(3)
        .saying("import token");
    let mut mixed = right.clone();
    mixed.wrapped = kms.directory().join("mixed");
    let mut blob = std::fs::read(&right.wrapped).unwrap();
    blob[100] ^= 1;
    std::fs::write(&mixed.wrapped, &blob).unwrap();
    partner::submit(kms, who, key, &mixed).fails(3);
    partner::submit(kms, who, "ingest-lyon/object", &right).fails(3);

    partner::submit(kms, who, key, &right).succeeds();
    partner::submit(kms, who, key, &right)
        .fails(6)
        .saying("import");
    let versions = Gateway::connect(kms, "olivia").versions("spaces/ingest-lyon/keys/partner");
    let versions = versions.unwrap();
    assert_eq!(versions.len(), 1, "{versions:?}");
    assert_eq!(versions[0].origin(), v1::Origin::External);
}
