//! New certificates and authorities while the server serves.

use super::{address, ended, held::Held, knock, reloads, sample};
use softhsm_tests::{Authority, Deployment, Identity, wait::until};
use std::{fs, path::Path};

/// What somebody puts in place as one should: complete, by renaming it.
fn put(content: &[u8], path: &Path) {
    let new = path.with_extension("new");
    fs::write(&new, content).unwrap();
    fs::rename(&new, path).unwrap();
}

/// As a roll of the authority goes: both, then the new one alone.
#[test]
fn an_authority_is_rolled_while_the_server_serves() {
    let mut kms = Deployment::emc2().start();
    let door = address(&mut kms, 0);
    let pki = kms.directory().join("pki");
    let elsewhere = tempfile::tempdir().unwrap();
    let new = Authority::create(elsewhere.path(), "dev.emc2.example").unwrap();
    let old = fs::read(pki.join("ca.pem")).unwrap();
    let before = kms.identity("ada").clone();
    // Clients trust the server's authority as before.
    let after = Identity {
        ca: before.ca.with_file_name("server-ca.pem"),
        ..new.client("person/ada").unwrap()
    };
    fs::copy(&before.ca, &after.ca).unwrap();
    let before = Identity {
        ca: after.ca.clone(),
        ..before
    };
    let mut former = Held::open(&door, &before).unwrap();
    assert!(knock(&door, &after).unwrap_err().contains("DecryptError"));

    let both = [old.clone(), fs::read(new.certificate()).unwrap()].concat();
    put(&both, &pki.join("ca.pem"));
    reloads(&mut kms, 1.0);
    let mut latter = Held::open(&door, &after).unwrap();
    assert!(former.is_open());

    put(&fs::read(new.certificate()).unwrap(), &pki.join("ca.pem"));
    former.until_cut();
    assert!(latter.is_open());
    assert_eq!(ended(&mut kms, "unknown_authority"), 1.0);
    assert!(knock(&door, &before).is_err());
    knock(&door, &after).unwrap();
}

/// The server's own certificate: by SIGHUP at once, by itself soon, a fault never.
#[test]
fn a_server_certificate_is_renewed_and_a_fault_changes_nothing() {
    let mut kms = Deployment::emc2().start();
    let door = address(&mut kms, 0);
    let pki = kms.directory().join("pki");
    let ada = kms.identity("ada").clone();
    let mut held = Held::open(&door, &ada).unwrap();
    let left = |kms: &mut Deployment| {
        sample(kms, 0, "kms_tls_expires_seconds", "what=\"certificate\"").unwrap()
    };
    until("the first look", || {
        let days = left(&mut kms) / 86_400.0;
        (88.0..91.0).contains(&days).then_some(())
    });

    // The key alone does not go with the certificate before: nothing changes until both are there.
    let server = kms.authority().server().unwrap();
    let [certificate, key] = [&server.certificate, &server.key].map(|f| fs::read(f).unwrap());
    for file in [&server.certificate, &server.key] {
        fs::remove_file(file).unwrap();
    }
    let renewed = kms.authority().server().unwrap();
    let new_certificate = fs::read(&renewed.certificate).unwrap();
    put(&certificate, &renewed.certificate);
    until("the half of it to be refused", || {
        kms.log().contains("do not go together").then_some(())
    });
    assert_eq!(sample(&mut kms, 0, "kms_tls_files_refused", ""), Some(1.0));
    knock(&door, &ada).unwrap();
    put(&new_certificate, &renewed.certificate);
    reloads(&mut kms, 1.0);
    knock(&door, &ada).unwrap();
    assert_eq!(sample(&mut kms, 0, "kms_tls_files_refused", ""), Some(0.0));

    put(b"no certificate", &pki.join("server.pem"));
    kms.server().reload();
    until("the refusal of a file with a fault", || {
        let log = kms.log();
        (log.contains("server.pem") && log.contains("certificates stay as they were")).then_some(())
    });
    knock(&door, &ada).unwrap();

    put(&certificate, &renewed.certificate);
    put(&key, &renewed.key);
    kms.server().reload();
    until("the certificates before", || {
        (sample(&mut kms, 0, "kms_tls_reloads_total", "") >= Some(2.0)).then_some(())
    });
    knock(&door, &ada).unwrap();
    // Whoever was connected did not notice.
    assert!(held.is_open());
    assert!(pki.join("server.key").exists());
}
