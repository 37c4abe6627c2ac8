//! What the probe finds on this token, and what becomes of what is missing.

use kms_core::class::Class;
use kms_core::error::Kind;
use kms_core::key::Wrapping;
use kms_server::hsm::{Capability, Report};
use softhsm_tests::hsm_bench::{any, spec, wrap_for};
use softhsm_tests::hsm_contract::Bench;

use crate::SoftHsm;

#[test]
fn softhsm_is_found_as_it_is() {
    let bench = SoftHsm::empty("probe");
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
            (Capability::SessionCopy, true),
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

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_said_and_nothing_else_is_done_instead() {
    let bench = SoftHsm::empty("probe-missing");
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

#[tokio::test(flavor = "multi_thread")]
async fn the_probe_leaves_nothing_behind() {
    let bench = SoftHsm::empty("probe-clean");
    assert_eq!(bench.hsm().objects().await.unwrap(), []);
}

/// A weakness of SoftHSM, pinned so that it is known: it keeps no length of a key that it unwraps,
/// and takes 128 bits as AES. A token that tells the length has this refused.
#[tokio::test(flavor = "multi_thread")]
async fn softhsm_does_not_tell_the_length_of_what_it_unwraps() {
    let bench = SoftHsm::empty("probe-length");
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
