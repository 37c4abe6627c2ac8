//! Forged identities, at the real door: each is refused in the handshake.

use super::{address, knock, until_refused};
use rcgen::{BasicConstraints, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType};
use softhsm_tests::{Deployment, pki::valid_for};

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

fn dns(text: &str) -> SanType {
    SanType::DnsName(text.try_into().unwrap())
}

#[test]
fn only_one_identity_in_the_right_place_opens() {
    let mut kms = Deployment::emc2().start();
    let door = address(&mut kms, 0);
    let right = "spiffe://dev.emc2.example/person/olivia";
    let forge = |name: &str, names: Vec<SanType>| {
        let forged = kms.authority().forged("person/olivia", name, |p| {
            p.subject_alt_names = names;
            p.distinguished_name.push(DnType::CommonName, right);
        });
        forged.unwrap()
    };

    // The kit's forgery is not refused for being one.
    let control = forge("control", vec![uri(right)]);
    knock(&door, &control).unwrap();
    let beside = forge("beside", vec![dns("olivia.example"), uri(right)]);
    knock(&door, &beside).unwrap();

    let strangers: &[&[SanType]] = &[
        &[],
        &[dns("dev.emc2.example")],
        &[uri(right), uri("spiffe://dev.emc2.example/person/hugo")],
        &[uri(right), uri(right)],
        &[uri(right), uri("https://olivia.example/")],
        &[uri("spiffe://prod.emc2.example/person/olivia")],
        &[uri("spiffe://dev.emc2.example.evil.example/person/olivia")],
        &[uri("spiffe://DEV.emc2.example/person/olivia")],
        &[uri("SPIFFE://dev.emc2.example/person/olivia")],
        &[uri("https://dev.emc2.example/person/olivia")],
        &[uri("spiffe://dev.emc2.example:443/person/olivia")],
        &[uri("spiffe://olivia@dev.emc2.example/person/olivia")],
        &[uri("spiffe:///person/olivia")],
        &[uri("spiffe://dev.emc2.example")],
        &[uri("spiffe://dev.emc2.example/olivia")],
        &[uri("spiffe://dev.emc2.example/ns/person/sa/olivia")],
        &[uri("spiffe://dev.emc2.example/admin/olivia")],
        &[uri("spiffe://dev.emc2.example/Person/olivia")],
        &[uri("spiffe://dev.emc2.example/person/Olivia")],
        &[uri("spiffe://dev.emc2.example/person/olivia/")],
        &[uri("spiffe://dev.emc2.example//person/olivia")],
        &[uri("spiffe://dev.emc2.example/person/../person/olivia")],
        &[uri("spiffe://dev.emc2.example/person/%6flivia")],
        &[uri("spiffe://dev.emc2.example/person/olivia?role=auditor")],
        &[uri("spiffe://dev.emc2.example/person/olivia#")],
        &[SanType::Rfc822Name(
            "olivia@dev.emc2.example".try_into().unwrap(),
        )],
    ];
    for (i, names) in strangers.iter().enumerate() {
        let stranger = forge(&format!("stranger-{i}"), names.to_vec());
        let said = knock(&door, &stranger).expect_err(&format!("{names:?}"));
        assert!(said.contains("AccessDenied"), "{names:?}: {said}");
    }
    let times = f64::from(u32::try_from(strangers.len()).unwrap());
    until_refused(&mut kms, "wrong_identity", times);
    knock(&door, &control).unwrap();
}

#[test]
fn only_a_certificate_for_clients_from_an_authority_opens() {
    let mut kms = Deployment::emc2().start();
    let door = address(&mut kms, 0);
    let authority = kms.authority();
    let usage = |usages: Vec<ExtendedKeyUsagePurpose>| {
        let forged = authority.forged("person/olivia", "usage", |p| {
            p.extended_key_usages = usages;
        });
        knock(&door, &forged.unwrap())
    };
    usage(vec![ExtendedKeyUsagePurpose::ClientAuth]).unwrap();
    for other in [
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::CodeSigning,
    ] {
        let said = usage(vec![other]).unwrap_err();
        assert!(said.contains("UnsupportedCertificate"), "{said}");
    }

    let an_authority = authority.forged("person/olivia", "authority", |p| {
        p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        p.key_usages.push(KeyUsagePurpose::KeyCertSign);
    });
    let said = knock(&door, &an_authority.unwrap()).unwrap_err();
    assert!(said.contains("CertificateUnknown"), "{said}");

    // Olivia makes Hugo a certificate with the key of her own.
    let olivia = authority.below("olivia", |_| ()).unwrap();
    let hugo = olivia.client("person/hugo").unwrap();
    let said = knock(&door, &hugo).unwrap_err();
    assert!(said.contains("CertificateUnknown"), "{said}");

    // An authority below may, as long as it is one.
    let below = authority.below("below", |p| {
        p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        p.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        valid_for(p, -60, 3600);
    });
    let hugo = below.unwrap().client("person/hugo").unwrap();
    knock(&door, &hugo).unwrap();
    // Two wrong usages, an authority itself, and what Olivia signed.
    until_refused(&mut kms, "wrong_purpose", 4.0);
}
