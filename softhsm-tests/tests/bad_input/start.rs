use super::{OBJECT, refusals, told};
use softhsm_tests::{Deployment, gateway::Gateway, pki::write_private, wait::until};
use std::{fs, path::Path};

/// Changes a file for as long as `act` takes.
fn changed(path: &Path, change: impl Fn(&str) -> String, act: impl FnOnce()) {
    let right = fs::read_to_string(path).unwrap();
    let wrong = change(&right);
    assert_ne!(wrong, right, "{}", path.display());
    fs::write(path, wrong).unwrap();
    act();
    fs::write(path, right).unwrap();
}

#[test]
fn init_refuses_documents_with_a_fault_and_leaves_room_for_the_right_ones() {
    let mut kms = Deployment::emc2().prepare();
    let file = |name: &str| kms.directory().join(name);
    let refuses = |name: &str, from: &str, to: &str, says: &str| {
        changed(
            &file(name),
            |text| text.replacen(from, to, 1),
            || {
                let refused = kms.init();
                assert_ne!(refused.code(), Some(0), "{name} with {to:?}: {refused}");
                assert!(refused.stderr.contains(says), "{says:?}: {refused}");
                let sentences = refused.stderr.lines().filter(|line| !line.contains("INFO"));
                assert_eq!(sentences.count(), 1, "one sentence: {refused}");
            },
        );
    };
    refuses("kms-server.toml", "threads", "treads", "treads");
    refuses(
        "kms-server.toml",
        "format = \"json\"",
        "format = \"xml\"",
        "xml",
    );
    refuses(
        "kms-server.toml",
        "level = \"info\"",
        "level = \"loud\"",
        "loud",
    );
    refuses(
        "deployment.yaml",
        "environment:",
        "environnement:",
        "environnement",
    );
    refuses(
        "deployment.yaml",
        "environment: development",
        "environment: staging",
        "staging",
    );
    refuses("deployment.yaml", "emc2-dev", "EMC2 dev", "name");
    refuses(
        "bindings.yaml",
        "role: auditor",
        "role: auditeur",
        "auditeur",
    );
    refuses("bindings.yaml", "person/ada", "ada", "person/{id}");
    refuses("bindings.yaml", "person/ada", "person/olivia", "olivia");
    refuses(
        "bindings.yaml",
        "principal: person/ada",
        "principal: person/ada\n    aliases: [person/olivia]",
        "two people's name",
    );
    refuses(
        "bindings.yaml",
        "{role: hsm-officer}",
        "{role: data-reader, spaces: [warehouse]}",
        "lock every officer out",
    );
    refuses(
        "bindings.yaml",
        "roles: [{role: key-operator}]",
        "roles: [{role: key-operator}, {role: key-custodian}]",
        "incompatible",
    );
    refuses(
        "bindings.yaml",
        "edges: [spaces/project-01/edges/warehouse]",
        "spaces: [project-01]",
        "edges",
    );
    refuses(
        "bindings.yaml",
        "{role: data-service, spaces: [warehouse]}",
        "{role: data-service, spaces: [\"*\"]}",
        "*",
    );

    let refused = kms.try_restart().expect_err("serving nothing");
    assert!(refused.log.contains("init"), "{refused}");
    kms.init().succeeds();
    kms.restart();
    kms.cli("stella").run(["status"]).succeeds();
    assert!(kms.terminate().success());
    let again = kms.init();
    assert_ne!(again.code(), Some(0), "{again}");
    kms.restart();
}

#[test]
fn a_policy_with_a_typo_is_refused_by_name() {
    let policy = tempfile::tempdir().unwrap();
    let ours = softhsm_tests::program::repository().join("ops/policy");
    for file in fs::read_dir(ours).unwrap() {
        let file = file.unwrap();
        let text = fs::read_to_string(file.path()).unwrap();
        let text = text.replace("principal.dataReader", "principal.dataReeder");
        fs::write(policy.path().join(file.file_name()), text).unwrap();
    }
    let kms = Deployment::emc2().policy(policy.path()).prepare();
    let refused = kms.init();
    assert_ne!(refused.code(), Some(0), "{refused}");
    assert!(refused.stderr.contains("dataReeder"), "{refused}");
}

/// A wrong PIN or a missing token: the server says so and answers UNAVAILABLE, quickly; the PIN
/// is not tried again; nothing is lost, and with the right one it serves.
#[test]
fn a_wrong_pin_and_a_missing_token_are_said_and_mended() {
    let mut kms = Deployment::emc2().start();
    kms.furnish();
    let etl = Gateway::connect(&mut kms, "lyon-etl");
    let sealed = etl.encrypt(OBJECT, b"before", &[]).unwrap();
    drop(etl);
    let pin_file = kms.token().pin_file();
    let pin = fs::read_to_string(&pin_file).unwrap();
    let configuration = kms.directory().join("kms-server.toml");
    assert!(kms.terminate().success());

    write_private(&pin_file, b"WRONGPIN\n").unwrap();
    answers_without_hsm(&mut kms, "refuses the PIN");
    assert!(kms.terminate().success());
    assert!(!kms.log().contains("WRONGPIN"));
    // One attempt: each more would bring the token nearer to locking itself.
    let log = kms.log();
    let attempts = log
        .lines()
        .filter(|line| line.contains("ERROR") && line.contains("refuses the PIN"));
    assert_eq!(attempts.count(), 1, "{log}");
    write_private(&pin_file, pin.as_bytes()).unwrap();

    let right = fs::read_to_string(&configuration).unwrap();
    assert!(right.contains("token = \"emc2\""));
    fs::write(
        &configuration,
        right.replace("token = \"emc2\"", "token = \"elsewhere\""),
    )
    .unwrap();
    answers_without_hsm(&mut kms, "elsewhere");
    assert!(kms.terminate().success());
    fs::write(
        &configuration,
        right.replace("libsofthsm2.so", "libsofthsm3.so"),
    )
    .unwrap();
    let ended = kms.try_restart().expect_err("serving without a module");
    assert!(ended.log.contains("libsofthsm3.so"), "{ended}");
    fs::write(&configuration, &right).unwrap();

    // A PIN that others can read is not used; mended, it is, without a restart.
    set_mode(&pin_file, 0o644);
    answers_without_hsm(&mut kms, "chmod");
    set_mode(&pin_file, 0o600);
    until("the HSM to be taken up", || {
        (kms.metrics().value("kms_hsm_serving") == Some(1.0)).then_some(())
    });
    let etl = Gateway::connect(&mut kms, "lyon-etl");
    assert_eq!(etl.decrypt(OBJECT, &sealed, &[]).unwrap(), b"before");
    // What could not be answered is recorded all the same.
    assert!(!refusals(&mut kms, "service/lyon-etl", "Encrypt", "UNAVAILABLE").is_empty());
}

/// Starts, says NOT_SERVING and why, refuses at once, and shows what needs no HSM.
fn answers_without_hsm(kms: &mut Deployment, says: &str) {
    kms.restart_without_hsm();
    assert!(kms.log().contains(says), "{says:?}: {}", kms.log());
    let etl = Gateway::connect(kms, "lyon-etl");
    told(etl.encrypt(OBJECT, b"x", &[]), "UNAVAILABLE", "HSM");
    assert_eq!(kms.metrics().value("kms_hsm_serving"), Some(0.0));
    kms.cli("ada")
        .run(["key", "show", "ingest-lyon/object"])
        .succeeds();
    let shown = kms.cli("hugo").run(["hsm", "show"]).succeeds().text();
    assert!(shown.contains(says), "{shown}");
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
