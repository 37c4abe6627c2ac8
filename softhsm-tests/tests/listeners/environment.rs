//! Development and production never mix.

use super::{address, knock, until_refused};
use rcgen::SanType;
use softhsm_tests::{Deployment, Identity};
use std::fs;

#[test]
fn a_development_certificate_is_refused_in_production() {
    let mut dev = Deployment::emc2().start();
    let yaml = fs::read_to_string(dev.directory().join("deployment.yaml")).unwrap();
    let yaml = yaml.replace("dev.emc2.example", "prod.emc2.example");
    let yaml = yaml.replace("emc2-dev", "emc2");
    let mut prod = Deployment::emc2().deployment(&yaml).production().start();
    let door = address(&mut prod, 0);
    let trusting = |identity: &Identity| Identity {
        ca: prod.authority().certificate(),
        ..identity.clone()
    };
    knock(&door, prod.identity("ada")).unwrap();

    // The authority of development is none here.
    let developer = trusting(dev.identity("ada"));
    assert!(knock(&door, &developer).is_err());
    // Should production's authority ever vouch for it, its trust domain is another.
    let vouched = prod.authority().forged("person/ada", "vouched", |p| {
        let uri = "spiffe://dev.emc2.example/person/ada";
        p.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
    });
    assert!(
        knock(&door, &vouched.unwrap())
            .unwrap_err()
            .contains("AccessDenied")
    );
    // And should somebody put that authority among production's, the same.
    let file = prod.directory().join("pki/ca.pem");
    let both = [
        fs::read(&file).unwrap(),
        fs::read(dev.authority().certificate()).unwrap(),
    ];
    fs::write(&file, both.concat()).unwrap();
    super::reloads(&mut prod, 1.0);
    assert!(
        knock(&door, &developer)
            .unwrap_err()
            .contains("AccessDenied")
    );
    until_refused(&mut prod, "wrong_identity", 2.0);
    knock(&door, prod.identity("ada")).unwrap();
    // Nor the other way round.
    let door = address(&mut dev, 0);
    let operator = Identity {
        ca: dev.authority().certificate(),
        ..prod.identity("ada").clone()
    };
    assert!(knock(&door, &operator).is_err());
}
