//! A key leaves for another HSM: what has to be agreed to, what has to be trusted, what arrives, and
//! what is said of it for ever.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

use std::fs;

use data_encoding::BASE64;
use kms_core::pseudonym::{Identifier, Pseudonym};
use kms_pkcs11::{
    Attribute, Handle, KeyType, Mechanism, MechanismType, Module, OaepHash, ObjectClass, Session,
    Template,
};
use softhsm_tests::cli::finish_with;
use softhsm_tests::deployment::SMALL_INVENTORY;
use softhsm_tests::program::repository;
use softhsm_tests::token::Make;
use softhsm_tests::{Deployment, Finished, InProcessToken};

/// The exit codes of what waits for others, and of what is in no state for it.
const WAITS: i32 = 12;
const STATE: i32 = 7;

const DESTINATION: [&str; 8] = [
    "export",
    "destination",
    "create",
    "other-hsm",
    "--title",
    "The new provider's",
    "--public-key",
    "other.pem",
];

#[test]
fn what_two_agreed_to_leaves_under_a_trusted_key_and_gives_the_same_pseudonyms_there() {
    let kms = deployment();
    let other = Other::new();
    fs::write(kms.directory().join("other.pem"), other.pem()).unwrap();
    let (hugo, olivia) = (kms.cli("hugo"), kms.cli("olivia"));

    // Two agree to where keys may go.
    hugo.run(DESTINATION).fails(WAITS);
    let destination = agreed(&kms);
    hugo.run(["proposal", "execute", &destination]).succeeds();
    let listed = hugo.run(["export", "destination", "list", "-o", "json"]);
    let approved = listed.succeeds().json()["destinations"][0]["publicKeySha256"].clone();
    let approved = approved.as_str().unwrap();
    hugo.run(DESTINATION).fails(6).saying("exists already");

    // Two agree that this one goes; but nobody has vouched for the destination in the token.
    olivia.run(export("first")).fails(WAITS);
    let proposal = agreed(&kms);
    olivia
        .run(["proposal", "execute", &proposal])
        .fails(3)
        .saying("kms export key");
    olivia
        .run(export("first"))
        .fails(STATE)
        .saying("kms-server trust");
    assert!(!kms.directory().join("first").exists(), "nothing was kept");
    assert_eq!(exports(&kms), 0, "nothing left");

    // The officer compares, and the server goes on serving meanwhile.
    let pin = fs::read_to_string(kms.token().officer_pin_file()).unwrap();
    trust(&kms, &[], &format!("{}\n{pin}", "0".repeat(64)))
        .fails(1)
        .saying("is not the public key that was approved");
    let said = trust(&kms, &[], &format!("{approved}\n{pin}")).succeeds();
    assert!(!format!("{said}").contains(pin.trim()), "{said}");
    trust(&kms, &[], &format!("{approved}\n{pin}")).succeeds();

    olivia.run(export("first")).succeeds();
    assert_eq!(exports(&kms), 1);
    let shown = olivia.run(["version", "show", VERSION]).succeeds();
    assert!(shown.text().contains("to other-hsm"), "{shown}");

    // It is the same key there.
    let wrapped = fs::read(kms.directory().join("first")).unwrap();
    let key = other.unwrap(&wrapped);
    let person = "SYNTHETIC-1";
    let input = Identifier::Opaque(person.to_owned().into()).canonical();
    let output = other
        .session
        .sign(&Mechanism::Sha256Hmac, key, &input)
        .unwrap();
    let there = Pseudonym::of_output("whlink".parse().unwrap(), 1, &output);
    let eval = ["pseudonym", "eval", "--edge", "warehouse/link", person];
    let here = kms.cli("link-pseudonymiser").run(eval).succeeds();
    let there = there.unwrap().to_text().unwrap();
    assert!(here.text().contains(&there), "{here}: {there}");

    // An approval is for once; and without the officer's trust nothing leaves.
    olivia.run(export("second")).fails(WAITS);
    agreed(&kms);
    trust(&kms, &["--withdraw"], &pin).succeeds();
    olivia
        .run(export("second"))
        .fails(STATE)
        .saying("kms-server trust");
    trust(&kms, &[], &format!("{approved}\n{pin}")).succeeds();
    olivia.run(export("second")).succeeds();
    assert_eq!(exports(&kms), 2);
}

#[test]
fn what_was_not_made_to_leave_never_does() {
    let mut kms = deployment();
    let other = Other::new();
    fs::write(kms.directory().join("other.pem"), other.pem()).unwrap();
    let olivia = kms.cli("olivia");
    for (version, why) in [
        ("project-01/edge-warehouse/1", "never leaves its HSM"),
        ("ingest-lyon/object/1", "not a use of it"),
        ("ingest-lyon/import/1", "not a use of it"),
    ] {
        let export = ["export", "key", version, "--to", "other-hsm", "-O", "none"];
        let reason = ["--reason", "a test"];
        let asked = olivia.run(export.into_iter().chain(reason));
        asked.fails(3).saying(why);
    }
    assert!(!kms.directory().join("none").exists());
    let hugo = kms.cli("hugo");
    hugo.run(DESTINATION).fails(WAITS);
    let destination = agreed(&kms);
    hugo.run(["proposal", "execute", &destination]).succeeds();
    // Neither the hash that the token lacks, nor another instead.
    olivia.run(EXPORT_SHA_256).fails(WAITS);
    agreed(&kms);
    olivia
        .run(EXPORT_SHA_256)
        .fails(3)
        .saying("RSA-OAEP-SHA256");
    // What the officer put into the token is no stranger there.
    let listed = hugo.run(["export", "destination", "list", "-o", "json"]);
    let approved = listed.succeeds().json()["destinations"][0]["publicKeySha256"].clone();
    let pin = fs::read_to_string(kms.token().officer_pin_file()).unwrap();
    trust(&kms, &[], &format!("{}\n{pin}", approved.as_str().unwrap())).succeeds();
    kms.terminate();
    kms.doctor(&[]).succeeds();
}

#[test]
fn a_token_without_trusted_keys_says_so() {
    let kms = Deployment::emc2().token(Make::Kryoptic).start();
    let other = Other::new();
    fs::write(kms.directory().join("other.pem"), other.pem()).unwrap();
    let approved = kms
        .cli("hugo")
        .run(DESTINATION.into_iter().chain(["-o", "json"]))
        .succeeds()
        .json()["publicKeySha256"]
        .clone();
    let pin = fs::read_to_string(kms.token().officer_pin_file()).unwrap();
    trust(&kms, &[], &format!("{}\n{pin}", approved.as_str().unwrap()))
        .fails(1)
        .saying("does not let its security officer mark a key as trusted");
}

const VERSION: &str = "warehouse/edge-link/1";

const EXPORT_SHA_256: [&str; 9] = [
    "export",
    "key",
    VERSION,
    "--to",
    "other-hsm",
    "-O",
    "none",
    "--reason",
    "the warehouse moves",
];

fn export(file: &str) -> Vec<&str> {
    let mut asked = EXPORT_SHA_256.to_vec();
    asked[6] = file;
    asked.extend(["--mechanism", "oaep-sha1"]);
    asked
}

/// A development deployment, because this token has SHA-1 only, in which what leaves needs two
/// approvals all the same.
fn deployment() -> Deployment {
    let shipped = repository().join("ops/policy");
    let policy = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(shipped.join("policy.cedar")).unwrap();
    let strict = text.replace(
        "context.environment == \"development\" || context.approvals >= 2",
        "context.approvals >= 2",
    );
    assert_ne!(strict, text);
    fs::write(policy.path().join("policy.cedar"), strict).unwrap();
    let schema = "schema.cedarschema";
    fs::copy(shipped.join(schema), policy.path().join(schema)).unwrap();
    let kms = Deployment::emc2().policy(policy.path()).start();
    let inventory = SMALL_INVENTORY.replace(
        "code: whlink, input: opaque, exportable: false",
        "code: whlink, input: opaque, exportable: true",
    );
    assert_ne!(inventory, SMALL_INVENTORY);
    fs::write(kms.directory().join("small.yaml"), inventory).unwrap();
    kms.cli("stella")
        .run(["inventory", "apply", "-f", "small.yaml"])
        .succeeds();
    kms
}

/// Both custodians agree to what waits, having looked at it.
fn agreed(kms: &Deployment) -> String {
    let list = ["proposal", "list", "-o", "json"];
    let waiting = kms.cli("carl").run(list).succeeds().json();
    let names: Vec<_> = waiting["proposals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap().to_owned())
        .collect();
    let [name] = names.as_slice() else {
        panic!("{waiting}")
    };
    for custodian in ["carl", "carol"] {
        let approve = ["proposal", "approve", name, "--reason", "checked", "--yes"];
        kms.cli(custodian).run(approve).succeeds();
    }
    name.clone()
}

fn exports(kms: &Deployment) -> usize {
    let show = ["version", "show", VERSION, "-o", "json"];
    let version = kms.cli("olivia").run(show).succeeds().json();
    version["exports"].as_array().map_or(0, Vec::len)
}

/// `kms-server trust`, with what the officer types.
fn trust(kms: &Deployment, more: &[&str], typed: &str) -> Finished {
    let mut command = kms.command("trust");
    command
        .args(["destinations/other-hsm", "--public-key", "other.pem"])
        .args(more);
    finish_with(command, typed.as_bytes())
}

/// Another HSM: kryoptic, in this process.
struct Other {
    _token: InProcessToken,
    session: Session,
    public_key: Vec<u8>,
    private: Handle,
}

impl Other {
    fn new() -> Self {
        let token = InProcessToken::empty_of(Make::Kryoptic, "other");
        let module = Module::load(&Make::Kryoptic.module()).unwrap();
        module.initialize().unwrap();
        let session = token.outsider().session;
        let public = Template::from([
            Attribute::Token(false),
            Attribute::ModulusBits(3072),
            Attribute::PublicExponent(vec![1, 0, 1]),
        ]);
        let private = Template::from([
            Attribute::Token(false),
            Attribute::Private(true),
            Attribute::Unwrap(true),
        ]);
        let generate = Mechanism::Plain(MechanismType::RSA_KEY_PAIR_GEN);
        let (public, private) = session.generate_pair(&generate, &public, &private).unwrap();
        Self {
            public_key: session.public_key(public).unwrap(),
            _token: token,
            session,
            private,
        }
    }

    fn pem(&self) -> String {
        let text = BASE64.encode(&self.public_key);
        let lines: Vec<_> = text
            .as_bytes()
            .chunks(64)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        let lines = lines.join("\n");
        format!("-----BEGIN PUBLIC KEY-----\n{lines}\n-----END PUBLIC KEY-----\n")
    }

    /// As a key that evaluates, and does nothing else.
    fn unwrap(&self, wrapped: &[u8]) -> Handle {
        let template = Template::from([
            Attribute::Class(ObjectClass::SecretKey),
            Attribute::KeyType(KeyType::GenericSecret),
            Attribute::Token(false),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
            Attribute::AllowedMechanisms(vec![MechanismType::SHA256_HMAC]),
        ]);
        let oaep = Mechanism::RsaOaep(OaepHash::Sha1);
        self.session
            .unwrap(&oaep, self.private, wrapped, &template)
            .unwrap()
    }
}
