use super::refusals;
use softhsm_tests::{Authority, Deployment, Flaw, wait::until};

/// A refused handshake has neither status nor caller: the client says so and exits with 10,
/// the server logs and counts it.
#[test]
fn a_certificate_that_tls_refuses_becomes_a_sentence_and_a_count() {
    let mut kms = Deployment::emc2().start();
    for (flaw, word) in [
        (
            Flaw::Expired,
            "server refused your certificate: it has expired",
        ),
        (Flaw::NotYetValid, "not valid yet"),
        (Flaw::SelfSigned, "server refused"),
        (Flaw::SelfSignedAuthority, "signed itself"),
        (Flaw::OtherAuthority, "server refused"),
        (Flaw::ServerUsage, "server refused"),
    ] {
        let before = kms.metrics().sum("kms_tls_handshakes_refused_total");
        kms.issue_flawed("person/olivia", flaw);
        let refused = kms
            .cli(&format!("olivia-{flaw:?}"))
            .run(["status"])
            .fails(10);
        let said = refused.saying("certificate").saying(word);
        assert_eq!(said.stderr.trim().lines().count(), 1, "{flaw:?}: {said}");
        let after = kms.metrics().sum("kms_tls_handshakes_refused_total");
        assert!(after > before, "{flaw:?} was not counted");
    }
    assert!(
        kms.log().to_lowercase().contains("handshake"),
        "{}",
        kms.log()
    );
    // The right one still opens.
    kms.cli("olivia").run(["status"]).succeeds();
}

/// What is no identity of this deployment does not get through the handshake either; whoever
/// is one and has no role is refused with a record.
#[test]
fn an_identity_that_is_none_of_this_deployment_is_refused() {
    let mut kms = Deployment::emc2().start();
    for flaw in [Flaw::NoUri, Flaw::TwoUris, Flaw::OtherTrustDomain] {
        kms.issue_flawed("person/olivia", flaw);
        let refused = kms
            .cli(&format!("olivia-{flaw:?}"))
            .run(["status"])
            .fails(10);
        refused.saying("trust domain").saying("spiffe://");
    }
    assert!(kms.metrics().sum("kms_tls_handshakes_refused_total") >= 3.0);

    kms.issue("person/nobody");
    kms.cli("nobody")
        .run(["key", "list"])
        .fails(4)
        .saying("no role");
    assert_eq!(
        refusals(&mut kms, "person/nobody", "ReadInventory", "REFUSED").len(),
        1
    );
}

#[test]
fn a_server_that_the_client_cannot_trust_is_not_spoken_to() {
    let mut kms = Deployment::emc2().start();
    let elsewhere = tempfile::tempdir().unwrap();
    let other = Authority::create(elsewhere.path(), "dev.emc2.example").unwrap();
    let contexts = kms.directory().join("contexts.toml");
    let text = std::fs::read_to_string(&contexts).unwrap();
    let right = kms.directory().join("pki/ca.pem").display().to_string();
    let wrong = other.certificate().display().to_string();
    std::fs::write(&contexts, text.replace(&right, &wrong)).unwrap();
    let refused = kms.cli("olivia").run(["status"]).fails(10);
    refused.saying("ca file");
    // The server tells it from a stranger who speaks no TLS.
    until("the alert is counted", || {
        let counted = kms.metrics().text().contains("reason=\"broken_off\"} 1");
        counted.then_some(())
    });
}
