//! The metrics page behind TLS of its own.

use softhsm_tests::{Authority, Deployment, Flaw, http::Metrics, wait::until};

#[test]
fn any_certificate_of_its_authority_may_scrape_and_no_other() {
    let mut kms = Deployment::emc2()
        .configure(|file| {
            file.metrics.certificate = Some("pki/server.pem".into());
            file.metrics.key = Some("pki/server.key".into());
            file.metrics.client_ca = Some("pki-metrics/ca.pem".into());
        })
        .prepare();
    let authority = kms.directory().join("pki-metrics");
    let authority = Authority::create(&authority, "monitoring.example").unwrap();
    kms.init().succeeds();
    kms.restart();
    let page = kms.server().endpoints().metrics.clone();
    let trusting = |mut identity: softhsm_tests::Identity| {
        identity.ca = kms.authority().certificate();
        identity
    };

    let prometheus = authority.flawed("service/prometheus", Flaw::NoUri).unwrap();
    let prometheus = trusting(prometheus);
    let read = Metrics::read_as(&page, &prometheus).unwrap();
    assert_eq!(read.value("kms_hsm_serving"), Some(1.0));
    let refused = format!("kms_tls_handshakes_refused_total{{listener=\"{page}\"");
    let counted = |reason: &str| {
        until(reason, || {
            let read = Metrics::read_as(&page, &prometheus).unwrap();
            let count = read.value(&format!("{refused},reason=\"{reason}\"}}"));
            (count == Some(1.0)).then_some(())
        });
    };
    assert!(!read.text().contains(&refused));

    assert!(Metrics::read(&page).is_err());
    counted("not_tls");
    let caller = kms.identity("ada").clone();
    assert!(Metrics::read_as(&page, &caller).is_err());
    counted("unknown_authority");
    let expired = authority.flawed("service/prometheus", Flaw::Expired);
    assert!(Metrics::read_as(&page, &trusting(expired.unwrap())).is_err());
    counted("expired");
}
