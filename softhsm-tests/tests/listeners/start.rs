//! Starts that are refused, each with a sentence that says what to mend.

use softhsm_tests::{Authority, Deployment, Revoked};
use std::fs;
use std::net::TcpListener;

#[test]
fn a_listener_that_cannot_be_right_stops_the_start() {
    let mut kms = Deployment::emc2().prepare();
    kms.init().succeeds();
    let configuration = kms.directory().join("kms-server.toml");
    let right = fs::read_to_string(&configuration).unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let pki = kms.directory().join("pki");
    fs::write(pki.join("empty.pem"), "").unwrap();
    let other = Authority::create(&pki.join("other"), "other.example").unwrap();
    let list = Revoked {
        number: 1,
        valid: (-60, 3600),
        certificates: vec![],
    };
    other.list(&pki.join("other.crl"), &list).unwrap();

    let mut refuses = |from: &str, to: &str, says: &str| {
        let wrong = right.replacen(from, to, 1);
        assert_ne!(wrong, right, "{from}");
        fs::write(&configuration, wrong).unwrap();
        let refused = kms.try_restart().expect_err(to);
        let said = refused
            .log
            .lines()
            .find(|line| line.starts_with("kms-server: "));
        assert!(said.is_some(), "{to}: {refused}");
        assert!(refused.log.contains(says), "{to}: {refused}");
    };
    let planes = "planes = [\"data\", \"administration\"]";
    let metrics = "[metrics]\naddress = \"127.0.0.1:0\"";
    refuses(planes, "services = [\"all\"]", "services");
    refuses(planes, "planes = []", "serves nothing");
    refuses(planes, "planes = [\"metrics\"]", "metrics");
    let limits = format!("{planes}\nlimits = {{ handshakes = 0 }}\n");
    refuses(&format!("{planes}\n"), &limits, "handshakes = 0");
    refuses(
        metrics,
        "[metrics]\naddress = \"0.0.0.0:0\"",
        "no loopback address",
    );
    refuses(
        metrics,
        &format!("{metrics}\ncertificate = \"pki/server.pem\""),
        "give the first three together",
    );
    let listener = "address = \"127.0.0.1:0\"\ncertificate";
    let occupied = format!("address = \"{address}\"\ncertificate");
    refuses(listener, &occupied, "another server");
    refuses("pki/ca.pem", "pki/absent.pem", "cannot read");
    refuses("pki/ca.pem", "pki/empty.pem", "there is none in it");
    refuses("pki/server.key", "pki/ca.key", "do not go together");
    let crl = "client_crl = []";
    refuses(crl, "client_crl = [\"pki/absent.crl\"]", "absent.crl");
    refuses(
        crl,
        "client_crl = [\"pki/ca.pem\"]",
        "there is no revocation list",
    );
    refuses(
        crl,
        "client_crl = [\"pki/other.crl\"]",
        "has no list of the authority \"CN=development CA of dev.emc2.example\"",
    );

    fs::write(&configuration, &right).unwrap();
    kms.restart();
}
