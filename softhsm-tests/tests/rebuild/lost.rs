//! The store is lost, and nothing else.

use crate::{Contents, KEY, LINK, contents, copy_directory, lose, named, values_but_of};
use kms_core::command::LogName;
use kms_core::envelope::Envelope;
use kms_core::id::KeyUid;
use kms_core::name::RebuildName;
use kms_core::time::Time;
use kms_server::audit::DiskJournal;
use kms_server::engine::restored::{Proven, Unfinished};
use softhsm_tests::gateway::{Gateway, reason};
use softhsm_tests::{Deployment, partner};
use std::path::Path;

const REQUEST: &str = "16fd2706-8baf-433b-82eb-8c7fada847da";

#[test]
fn a_lost_store_is_rebuilt_and_holds_what_it_held() {
    let mut kms = Deployment::emc2().start();
    kms.furnish();
    kms.budget("warehouse/link", 1_000);
    let etl = Gateway::connect(&mut kms, "lyon-etl");
    let link = Gateway::connect(&mut kms, "link-pseudonymiser");
    let operator = Gateway::connect(&mut kms, "olivia");
    let sealed = etl.encrypt(KEY, b"of before", &[]).unwrap();
    let pseudonyms = link.pseudonymise(LINK, &["SYNTHETIC-1"]).unwrap();
    let made = operator
        .create_key("spaces/ingest-lyon/keys/later", REQUEST)
        .unwrap();
    operator.rotate("spaces/warehouse/keys/object", "").unwrap();
    let suspend = ["version", "suspend", "ingest-lyon/backup/1"];
    let why = ["--reason", "suspected"];
    kms.cli("olivia").run(suspend.iter().chain(&why)).succeeds();
    let (key, wrapping) = ("ingest-lyon/partner", "ingest-lyon/import");
    let transfer = partner::wrap(&kms, "lyon-ingest", key, wrapping, &[0x42; 32]);
    partner::submit(&kms, "lyon-ingest", key, &transfer).succeeds();
    kms.rebuild(&[]).fails(1).saying("another process has");
    drop((etl, link, operator));
    assert!(kms.terminate().success());
    let before = contents(&kms);
    let copied = kms.directory().join("copy");
    copy_directory(kms.data(), &copied);
    lose(&kms);

    // What the log proves is every value there was, at its revision, and every request.
    assert_eq!(
        values_but_of(&proven(&copied), &[]),
        values_but_of(&before, &[])
    );
    let requests = |contents: &Contents| -> Contents {
        let mut requests = contents.clone();
        // What import parameters were given is no change, and in no record.
        requests.retain(|name, (_, value)| {
            name.starts_with("local/requests/") && !value.contains("ImportParameters")
        });
        requests
    };
    assert_eq!(requests(&proven(&copied)), requests(&before));
    assert!(requests(&before).len() > 3, "nothing was asked");

    let refused = kms.try_restart().expect_err("it serves without a store");
    assert!(refused.log.contains("kms-server rebuild"), "{refused}");
    let dry = kms.rebuild(&["--dry-run"]).succeeds();
    assert!(dry.text().contains("nothing was changed"), "{dry}");
    assert!(!kms.data().join("store").exists());

    let rebuilt = kms.rebuild(&[]);
    // An imported key's count is lost, and the service cannot rotate it.
    assert_eq!(rebuilt.code(), Some(2), "{rebuilt}");
    let report = rebuilt.text();
    assert!(report.contains("the store is rebuilt"), "{rebuilt}");
    assert_eq!(named(&report, "SPENT"), ["spaces/ingest-lyon/keys/partner"]);
    for word in ["MISSING", "UNPROVED", "AGAIN", "ORPHAN"] {
        assert_eq!(named(&report, word), Vec::<String>::new(), "{rebuilt}");
    }
    let rotated = named(&report, "ROTATED");
    assert!(rotated.contains(&KEY.to_owned()), "{rebuilt}");
    let after = contents(&kms);
    assert_eq!(
        values_but_of(&after, &rotated),
        values_but_of(&before, &rotated)
    );
    let records: Vec<_> = after
        .keys()
        .filter(|n| n.starts_with("rebuilds/"))
        .collect();
    assert_eq!(records.len(), 1, "{records:?}");
    assert!(!after.contains_key("local/rebuild"));
    // Again, there is nothing to do.
    let again = kms.rebuild(&[]).succeeds();
    assert!(
        again.text().contains("there is nothing to rebuild"),
        "{again}"
    );
    assert_eq!(contents(&kms), after);

    kms.restart();
    let etl = Gateway::connect(&mut kms, "lyon-etl");
    let operator = Gateway::connect(&mut kms, "olivia");
    assert_eq!(etl.decrypt(KEY, &sealed, &[]).unwrap(), b"of before");
    let version = |sealed: &[u8]| Envelope::parse(sealed).unwrap().id.version;
    let fresh = etl.encrypt(KEY, b"of after", &[]).unwrap();
    assert_eq!((version(&sealed), version(&fresh)), (1, 2));
    let held = etl.encrypt("spaces/ingest-lyon/keys/backup", b"x", &[]);
    assert_eq!(reason(&held.unwrap_err()), "KEY_STATE");
    let imported = etl.encrypt("spaces/ingest-lyon/keys/partner", b"x", &[]);
    assert_eq!(reason(&imported.unwrap_err()), "KEY_STATE");
    let sent_again = operator.create_key("spaces/ingest-lyon/keys/later", REQUEST);
    assert_eq!(sent_again.unwrap().name, made.name);
    // What was left of the budget is not known.
    let link = Gateway::connect(&mut kms, "link-pseudonymiser");
    let spent = link.pseudonymise(LINK, &["SYNTHETIC-1"]).unwrap_err();
    assert_eq!(spent.code(), tonic::Code::ResourceExhausted, "{spent}");
    kms.budget("warehouse/link", 2_000);
    assert_eq!(
        link.pseudonymise(LINK, &["SYNTHETIC-1"]).unwrap(),
        pseudonyms
    );
    kms.cli("ada").run(["audit", "verify"]).succeeds();
    drop((etl, operator, link));
    assert!(kms.terminate().success());
    kms.doctor(&[]).succeeds();
}

/// What the log in a copy of a data directory proves.
fn proven(data: &Path) -> Contents {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let log = DiskJournal::open(data, LogName::Changes).unwrap();
    let proven = runtime.block_on(Proven::by(&log)).unwrap();
    let unfinished = Unfinished {
        name: RebuildName::fresh(&KeyUid([7; 16])).unwrap(),
        unproved: vec![],
        behind: false,
    };
    let now: Time = proven.replay().latest();
    let entries = proven.contents(&unfinished, now).unwrap();
    entries
        .into_iter()
        .map(|e| (e.key, (e.revision.0, String::from_utf8(e.value).unwrap())))
        .collect()
}

#[test]
fn a_store_that_is_not_what_the_log_says_is_set_aside() {
    let mut kms = Deployment::emc2().start();
    kms.furnish();
    assert!(kms.terminate().success());
    let before = contents(&kms);
    let store = kms.data().join("store");
    std::fs::write(store.join("db"), b"no store").unwrap();
    let rebuilt = kms.rebuild(&[]).succeeds();
    let rotated = named(&rebuilt.text(), "ROTATED");
    assert_eq!(
        values_but_of(&contents(&kms), &rotated),
        values_but_of(&before, &rotated)
    );
    let aside = kms.data().join("store.aside-1");
    assert_eq!(std::fs::read(aside.join("db")).unwrap(), b"no store");
    kms.restart();
}
