//! Revocation: who is in a list has no connection, old or new.

use super::{
    address, ended, held::Held, knock, publish, refused, reloads, sample, until_refused,
    with_a_list,
};
use kms_client::{Client, Kind, Target};
use rcgen::{BasicConstraints, IsCa, KeyUsagePurpose};
use softhsm_tests::{Authority, Deployment, Identity, Revoked, gateway::Gateway, wait::until};
use std::fs;
use std::path::Path;

const OBJECT: &str = "spaces/ingest-lyon/keys/object";

#[test]
fn a_revoked_certificate_is_refused_and_its_connection_ended() {
    let mut kms = with_a_list();
    kms.furnish();
    let door = address(&mut kms, 0);
    let lost = kms.identity("lyon-etl").clone();
    let held = Held::open(&door, &lost).unwrap();
    let mut other = Held::open(&door, kms.identity("ada")).unwrap();
    let etl = Gateway::connect(&mut kms, "lyon-etl");
    let program = Program::connect(&door, &lost).unwrap();
    program.random().unwrap();

    publish(&kms, 2, &[&lost]);
    // Whoever is at work is cut off in the middle, and what was acknowledged is in the log.
    let mut acknowledged: usize = 0;
    until("the connection at work to be cut off", || {
        let answer = etl.encrypt(OBJECT, b"x", &[]);
        acknowledged += usize::from(answer.is_ok());
        answer.is_err().then_some(())
    });
    held.until_cut();
    assert!(other.is_open());
    // A program that was connected learns why, too.
    until("the program to be told", || {
        let told = program.random().err()?;
        (told.kind() == Kind::Tls && told.to_string().contains("revoked")).then_some(())
    });
    assert_eq!(ended(&mut kms, "revoked"), 3.0);
    assert!(kms.log().contains("a connection was ended"));
    let said = kms.cli("lyon-etl").run(["status"]).fails(10);
    said.saying("revoked");
    until("its refusal to be counted", || {
        (refused(&mut kms, "revoked") >= 1.0).then_some(())
    });
    let records = Gateway::connect(&mut kms, "ada")
        .records(kms_proto::v1::Log::Uses)
        .unwrap();
    let recorded = records
        .iter()
        .filter(|r| r["api"]["operation"] == "Encrypt" && r["status_id"] == 1)
        .count();
    assert!(acknowledged > 0 && recorded >= acknowledged);

    // A new certificate of the same service is another one.
    let renewed = kms.authority().forged("service/lyon-etl", "new", |_| ());
    knock(&door, &renewed.unwrap()).unwrap();
    assert!(other.is_open());
}

/// A program that holds a connection with our library.
pub(super) struct Program {
    runtime: tokio::runtime::Runtime,
    client: Client,
}

impl Program {
    pub(super) fn connect(door: &str, identity: &Identity) -> Result<Self, kms_client::Error> {
        let target = Target {
            endpoint: format!("https://{door}"),
            ca: identity.ca.clone(),
            certificate: identity.certificate.clone(),
            key: identity.key.clone(),
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let client = runtime.block_on(Client::connect(&target))?;
        Ok(Program { runtime, client })
    }

    pub(super) fn random(&self) -> Result<(), kms_client::Error> {
        let asked = kms_client::v1::GenerateRandomRequest { length: 1 };
        self.runtime
            .block_on(self.client.generate_random(asked))
            .map(drop)
    }
}

/// The whole chain counts, and so does whose list it is: what no list covers is refused.
#[test]
fn an_authority_below_needs_a_list_and_may_be_revoked_itself() {
    let mut kms = Deployment::emc2()
        .configure(|file| {
            file.listener[0].client_crl = vec!["pki/ca.crl".into(), "pki/below.crl".into()];
        })
        .prepare();
    let below = kms.authority().below("below", |p| {
        p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        p.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    });
    let below = below.unwrap();
    let list = |authority: &Authority, file: &str, number, certificates| {
        let revoked = Revoked {
            number,
            valid: (-60, 3600),
            certificates,
        };
        authority
            .list(&kms.directory().join(file), &revoked)
            .unwrap();
    };
    list(kms.authority(), "pki/ca.crl", 1, vec![]);
    list(&below, "pki/below.crl", 1, vec![]);
    let hugo = below.client("person/hugo").unwrap();
    let itself = Identity {
        certificate: below.certificate(),
        ..hugo.clone()
    };
    let uncovered = kms.authority().below("uncovered", |p| {
        p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        p.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    });
    let stranger = uncovered.unwrap().client("person/hugo").unwrap();
    kms.init().succeeds();
    kms.restart();
    let door = address(&mut kms, 0);
    let held = Held::open(&door, &hugo).unwrap();

    let said = knock(&door, &stranger).unwrap_err();
    assert!(said.contains("CertificateUnknown"), "{said}");
    until_refused(&mut kms, "revocation_unknown", 1.0);

    let revoked = Revoked {
        number: 2,
        valid: (-60, 3600),
        certificates: vec![&itself],
    };
    let file = kms.directory().join("pki/ca.crl");
    kms.authority().list(&file, &revoked).unwrap();
    held.until_cut();
    assert!(
        knock(&door, &hugo)
            .unwrap_err()
            .contains("CertificateRevoked")
    );
    knock(&door, kms.identity("ada")).unwrap();
}

/// A list that ends cuts off whoever hangs on it, is announced before, and mends by itself.
#[test]
fn a_list_that_has_ended_lets_nobody_in_until_the_next_one() {
    let mut kms = with_a_list();
    let door = address(&mut kms, 0);
    let ada = kms.identity("ada").clone();
    let held = Held::open(&door, &ada).unwrap();
    let left = |kms: &mut Deployment| {
        let what = "what=\"revocation_list\"";
        sample(kms, 0, "kms_tls_expires_seconds", what).unwrap()
    };
    assert!((3000.0..=3600.0).contains(&left(&mut kms)));

    let file = kms.directory().join("pki/ca.crl");
    let ending = Revoked {
        number: 2,
        valid: (-60, 6),
        certificates: vec![],
    };
    kms.authority().list(&file, &ending).unwrap();
    until("the warning", || {
        let log = kms.log();
        (log.contains("expires soon") || log.contains("has expired")).then_some(())
    });
    held.until_cut();
    assert!(left(&mut kms) <= 0.0);
    assert!(ended(&mut kms, "revocation_unknown") >= 1.0);
    let said = kms.cli("ada").run(["status"]).fails(10);
    said.saying("revocation").saying("operator");

    publish(&kms, 3, &[]);
    until("the next list", || knock(&door, &ada).ok());
}

/// What would lock everybody out, or let somebody back in, stays a file.
#[test]
fn a_list_that_cannot_be_right_is_not_taken_in() {
    let mut kms = with_a_list();
    let door = address(&mut kms, 0);
    let lost = kms.identity("lyon-etl").clone();
    publish(&kms, 7, &[&lost]);
    reloads(&mut kms, 1.0);
    let file = kms.directory().join("pki/ca.crl");
    let good = fs::read(&file).unwrap();

    let elsewhere = tempfile::tempdir().unwrap();
    let namesake = Authority::create(elsewhere.path(), "dev.emc2.example").unwrap();
    let stranger = Authority::create(&elsewhere.path().join("2"), "prod.emc2.example").unwrap();
    let empty = |number| Revoked {
        number,
        valid: (-60, 3600),
        certificates: vec![],
    };
    let ours = Authority::create(&kms.directory().join("pki"), "dev.emc2.example").unwrap();
    let older = |file: &Path| ours.list(file, &empty(6)).unwrap();
    let forged = |file: &Path| namesake.list(file, &empty(9)).unwrap();
    let foreign = |file: &Path| stranger.list(file, &empty(9)).unwrap();
    let twice = |file: &Path| {
        fs::write(file, [good.as_slice(), good.as_slice()].concat()).unwrap();
    };
    let cut = |file: &Path| fs::write(file, &good[..good.len() / 2]).unwrap();
    let gone = |file: &Path| fs::remove_file(file).unwrap();
    type Spoil<'a> = &'a dyn Fn(&Path);
    let wrong: [(Spoil<'_>, &str); 6] = [
        (&older, "older than the one in force"),
        (&forged, "did not sign it"),
        (&foreign, "has no list of the authority"),
        (&twice, "two revocation lists of one issuer"),
        (&cut, "ca.crl"),
        (&gone, "cannot read"),
    ];
    for (wrong, says) in wrong {
        wrong(&file);
        until(says, || kms.log().contains(says).then_some(()));
        let stale = sample(&mut kms, 0, "kms_tls_files_refused", "");
        assert_eq!(stale, Some(1.0), "{says}");
        assert!(knock(&door, &lost).is_err(), "{says}");
        knock(&door, kms.identity("ada")).unwrap();
    }
    // It is tried again and again; what is right at last is taken in.
    publish(&kms, 8, &[]);
    reloads(&mut kms, 2.0);
    knock(&door, &lost).unwrap();
    assert_eq!(sample(&mut kms, 0, "kms_tls_files_refused", ""), Some(0.0));
}
