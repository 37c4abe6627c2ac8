//! A disk that is full: what cannot be recorded is not answered, nothing acknowledged is lost,
//! and the service goes on by itself when there is room again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
    process::Command,
};

use kms_proto::v1;
use softhsm_tests::{Deployment, cli::finish, gateway::Gateway, wait::until};
use tonic::Code;
use uuid::Uuid;

const KEY: &str = "spaces/ingest-lyon/keys/object";
const LINK: &str = "spaces/warehouse/edges/link";

/// The story below runs in a mount namespace of its own, where the deployment's data lie on a
/// small file system; it ends with the namespace.
#[test]
fn a_full_disk_stops_the_service_and_loses_nothing() {
    let me = std::env::current_exe().unwrap();
    let again = ["--ignored", "--exact", "story", "--nocapture"];
    // Without root where user namespaces are allowed, else as root.
    let user = ["--user", "--map-root-user", "--mount"];
    let mut probe = Command::new("unshare");
    probe
        .args(user)
        .args(["sh", "-c", "mount -t tmpfs tmpfs /mnt"]);
    let flags = if finish(probe).status.success() {
        &user[..]
    } else {
        &["--mount"]
    };
    let mut command = Command::new("unshare");
    command.args(flags).arg("--").arg(me).args(again);
    let told = finish(command).succeeds();
    assert!(told.text().contains("1 passed"), "{told}");
}

#[test]
#[ignore = "run by a_full_disk_stops_the_service_and_loses_nothing, in a namespace of its own"]
fn story() {
    let mut kms = Deployment::emc2().prepare();
    let mut mount = Command::new("mount");
    mount
        .args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"])
        .arg(kms.data());
    finish(mount).succeeds();
    kms.init().succeeds();
    kms.restart();
    kms.furnish();
    let etl = Gateway::connect(&mut kms, "lyon-etl");
    let link = Gateway::connect(&mut kms, "link-pseudonymiser");
    let operator = Gateway::connect(&mut kms, "olivia");
    let before = etl.encrypt(KEY, b"before", &[]).unwrap();
    let pseudonym = link.pseudonymise(LINK, &["SYNTHETIC-1"]).unwrap();

    let filler = kms.data().join("filler");
    fill(&filler);
    // The last page of each log may still take a few.
    let mut acknowledged = 0_u32;
    let refused = until("the disk to be full", || {
        match etl.encrypt(KEY, b"full", &[]) {
            Ok(_) => {
                acknowledged += 1;
                None
            }
            Err(status) => Some(status),
        }
    });
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    for _ in 0..20 {
        let refusals = [
            etl.encrypt(KEY, b"full", &[]).map(drop),
            etl.decrypt(KEY, &before, &[]).map(drop),
            link.pseudonymise(LINK, &["SYNTHETIC-2"]).map(drop),
            operator
                .create_key("spaces/ingest-lyon/keys/full", "")
                .map(drop),
            operator.rotate(KEY, "").map(drop),
        ];
        for refusal in refusals {
            let status = refusal.expect_err("nothing that cannot be recorded is answered");
            assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        }
    }

    // Some room, but less than a change may need: keys are used, and none is made.
    File::options()
        .write(true)
        .open(&filler)
        .and_then(|file| file.set_len(file.metadata()?.len().saturating_sub(4 << 20)))
        .unwrap();
    until("keys to be used", || etl.encrypt(KEY, b"tight", &[]).ok());
    let request = Uuid::new_v4().to_string();
    for _ in 0..3 {
        let tight = operator.create_key("spaces/ingest-lyon/keys/tight", &request);
        assert_eq!(tight.unwrap_err().code(), Code::Unavailable);
    }

    fs::remove_file(&filler).unwrap();
    let made = operator.create_key("spaces/ingest-lyon/keys/tight", &request);
    assert_eq!(operator.versions(&made.unwrap().name).unwrap().len(), 1);
    let sealed = until("the service to go on", || {
        etl.encrypt(KEY, b"after", &[]).ok()
    });
    assert_eq!(etl.decrypt(KEY, &sealed, &[]).unwrap(), b"after");
    assert_eq!(etl.decrypt(KEY, &before, &[]).unwrap(), b"before");
    assert_eq!(
        link.pseudonymise(LINK, &["SYNTHETIC-1"]).unwrap(),
        pseudonym
    );
    operator
        .create_key("spaces/ingest-lyon/keys/full", "")
        .unwrap();
    operator.rotate(KEY, "").unwrap();
    drop((etl, link, operator));

    // A server that starts on a full disk says so, or answers nothing; neither does harm.
    fill(&filler);
    kms.kill();
    match kms.try_restart() {
        Ok(()) => {
            let etl = Gateway::connect(&mut kms, "lyon-etl");
            until("the last of the room to be gone", || {
                etl.encrypt(KEY, b"full", &[]).err()
            });
            kms.kill();
        }
        Err(ended) => {
            let last = ended.log.trim_end().lines().last().unwrap_or_default();
            assert!(last.contains("No space left"), "{ended}");
        }
    }
    fs::remove_file(&filler).unwrap();

    // The same after a crash, and the log holds each acknowledged encryption.
    kms.restart();
    let etl = Gateway::connect(&mut kms, "lyon-etl");
    assert_eq!(etl.decrypt(KEY, &sealed, &[]).unwrap(), b"after");
    let records = Gateway::connect(&mut kms, "ada")
        .records(v1::Log::Uses)
        .unwrap();
    let done = |record: &&serde_json::Value| {
        record["api"]["operation"] == "Encrypt" && record["status_id"] == 1
    };
    let recorded = records.iter().filter(done).count();
    assert!(
        recorded >= usize::try_from(acknowledged).unwrap() + 2,
        "{recorded}, {acknowledged}"
    );
    kms.cli("ada").run(["audit", "verify"]).succeeds();
    drop(etl);
    assert!(kms.terminate().success());
    kms.doctor(&[]).succeeds();
}

/// Writes until there is no room left, not even for a byte.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    let mut size = 1 << 20;
    while size > 0 {
        match file.write(&vec![0; size]) {
            Ok(0) | Err(_) => size /= 2,
            Ok(_) => {}
        }
    }
}
