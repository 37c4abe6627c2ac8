//! What the probe finds on this token, and what becomes of what is missing.

use kms_core::class::Class;
use kms_core::error::Kind;
use kms_core::key::Wrapping;
use kms_server::hsm::{Capability, Report};
use softhsm_tests::hsm_bench::{any, spec, wrap_for};
use softhsm_tests::token::Make;

use crate::OnToken;

#[test]
fn softhsm_is_found_as_it_is() {
    let bench = OnToken::empty(Make::SoftHsm, "probe");
    let report = bench.hsm().report();
    let found: Vec<_> = report
        .findings
        .iter()
        .map(|one| (one.capability, one.present))
        .collect();
    assert_eq!(
        found,
        [
            (Capability::AesGcm, true),
            (Capability::HmacSha256, true),
            (Capability::OaepSha256, false),
            (Capability::OaepSha1, true),
            (Capability::EcdsaP256, true),
            (Capability::AesKw, true),
            (Capability::AesKwp, true),
            (Capability::RsaAesKeyWrap, false),
            (Capability::AllowedMechanisms, true),
            (Capability::UnwrapTemplate, true),
            (Capability::Recognition, true),
            (Capability::SessionCopy, true),
            (Capability::TrustedKeys, true),
        ]
    );
    assert_eq!(report.label, "probe");
    assert_eq!(report.manufacturer, "SoftHSM project");
    assert!(!report.serial.is_empty() && !report.firmware.is_empty());
    let detail = |wanted| detail(&report, wanted);
    assert!(
        detail(Capability::AesGcm).contains("CKR_GENERAL_ERROR"),
        "{report:?}"
    );
    assert!(
        detail(Capability::AesKwp).contains("CKM_AES_KEY_WRAP_PAD"),
        "{report:?}"
    );
    assert!(
        detail(Capability::OaepSha256).contains("CKR_ARGUMENTS_BAD"),
        "{report:?}"
    );
}

#[test]
fn kryoptic_is_found_as_it_is() {
    let bench = OnToken::empty(Make::Kryoptic, "probe");
    let report = bench.hsm().report();
    let missing: Vec<_> = report
        .findings
        .iter()
        .filter(|one| !one.present)
        .map(|one| one.capability)
        .collect();
    let known = [Capability::RsaAesKeyWrap, Capability::TrustedKeys];
    assert_eq!(missing, known, "{report:?}");
    assert_eq!(report.manufacturer, "Kryoptic Project");
    for (capability, said) in [
        (Capability::AesGcm, "CKR_ENCRYPTED_DATA_INVALID"),
        (Capability::AesKwp, "CKM_AES_KEY_WRAP_KWP"),
        (Capability::UnwrapTemplate, "CKR_TEMPLATE_INCONSISTENT"),
        (Capability::TrustedKeys, "its user can make a trusted key"),
    ] {
        let detail = detail(&report, capability);
        assert!(detail.contains(said), "{capability:?}: {detail}");
    }
}

/// Unlike the other token, which takes 128 bits as AES-256.
#[tokio::test(flavor = "multi_thread")]
async fn kryoptic_tells_the_length_of_what_it_unwraps() {
    let bench = OnToken::empty(Make::Kryoptic, "probe-length");
    let wrapping = spec(Class::ImportWrapping);
    let public = bench.hsm().generate(&any(), &wrapping).await.unwrap();
    let short = wrap_for(&wrapping, &public, Wrapping::OaepSha256, &[1; 16]);
    let refused = bench
        .hsm()
        .unwrap(&any(), &short, &spec(Class::DataAtRest))
        .await;
    assert_eq!(refused.unwrap_err().kind(), Kind::Invalid);
    assert_eq!(bench.hsm().objects().await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_said_and_nothing_else_is_done_instead() {
    let bench = OnToken::empty(Make::SoftHsm, "probe-missing");
    let wrapping = spec(Class::ImportWrapping);
    let public = bench.hsm().generate(&any(), &wrapping).await.unwrap();
    let wrapped = wrap_for(&wrapping, &public, Wrapping::OaepSha256, &[1; 32]);
    let target = spec(Class::DataAtRest);
    let error = bench
        .hsm()
        .unwrap(&any(), &wrapped, &target)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert_eq!(error.field(), Some("wrapping_mechanism"));
    assert!(error.message().contains("RSA-OAEP-SHA256"), "{error}");
    assert_eq!(bench.hsm().find(&any(), &target).await.unwrap(), None);
}

softhsm_tests::on_both! {
    the_probe_leaves_nothing_behind
}

async fn the_probe_leaves_nothing_behind(make: Make) {
    let bench = OnToken::empty(make, "probe-clean");
    assert_eq!(bench.hsm().objects().await.unwrap(), []);
}

/// A weakness of SoftHSM, pinned so that it is known: it keeps no length of a key that it unwraps,
/// and takes 128 bits as AES. A token that tells the length has this refused.
#[tokio::test(flavor = "multi_thread")]
async fn softhsm_does_not_tell_the_length_of_what_it_unwraps() {
    let bench = OnToken::empty(Make::SoftHsm, "probe-length");
    let wrapping = spec(Class::ImportWrapping);
    let public = bench.hsm().generate(&any(), &wrapping).await.unwrap();
    let short = wrap_for(&wrapping, &public, Wrapping::OaepSha1, &[1; 16]);
    bench
        .hsm()
        .unwrap(&any(), &short, &spec(Class::DataAtRest))
        .await
        .unwrap();
}

fn detail(report: &Report, wanted: Capability) -> String {
    let finding = report
        .findings
        .iter()
        .find(|finding| finding.capability == wanted);
    finding.unwrap().detail.clone()
}
