//! `kms` as it is run: what it prints, what it leaves behind, how it exits.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "a test may panic, and each suite uses a part of the service"
)]

mod service;

use service::attestation::STATEMENT;
use service::{Pki, Service, pseudonym};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

/// A service and a directory with a contexts file, in which `kms` runs.
struct Desk {
    pki: Pki,
    _service: Service,
}

impl Desk {
    async fn new() -> Self {
        let pki = Pki::new();
        pki.issue_elsewhere("stranger", "another authority");
        let service = Service::start(&pki).await;
        let context = |name: &str| {
            format!(
                "[context.{name}]\nendpoint = \"https://127.0.0.1:{}\"\nca = \"ca.pem\"\n\
                 certificate = \"{name}.pem\"\nkey = \"{name}.key\"\n",
                service.port
            )
        };
        let text = format!(
            "current = \"client\"\n{}{}",
            context("client"),
            context("stranger")
        );
        std::fs::write(pki.path("contexts.toml"), text).unwrap();
        Self {
            pki,
            _service: service,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.pki.path(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn begin(&self, arguments: &str) -> Child {
        Command::new(env!("CARGO_BIN_EXE_kms"))
            .args(["--config", "contexts.toml"])
            .args(arguments.split_whitespace())
            .current_dir(self.pki.place.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    async fn run(&self, arguments: &str) -> Ended {
        self.run_on(arguments, b"").await
    }

    async fn run_on(&self, arguments: &str, stdin: &[u8]) -> Ended {
        let mut child = self.begin(arguments);
        let mut pipe = child.stdin.take().unwrap();
        let stdin = stdin.to_vec();
        let feeding = tokio::spawn(async move {
            // A command that fails early closes its end.
            drop(pipe.write_all(&stdin).await);
        });
        let output = child.wait_with_output().await.unwrap();
        feeding.await.unwrap();
        Ended(output)
    }

    fn partial(&self) -> Vec<String> {
        std::fs::read_dir(self.pki.place.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| {
                Path::new(name)
                    .extension()
                    .is_some_and(|ending| ending == "part")
            })
            .collect()
    }
}

struct Ended(Output);

impl Ended {
    fn code(&self) -> i32 {
        self.0.status.code().expect("no signal ended it")
    }

    fn stdout(&self) -> String {
        String::from_utf8(self.0.stdout.clone()).unwrap()
    }

    fn stderr(&self) -> String {
        String::from_utf8(self.0.stderr.clone()).unwrap()
    }

    #[track_caller]
    fn good(self) -> Self {
        assert_eq!(self.code(), 0, "{}", self.stderr());
        self
    }

    /// The exit code, and a part of the one sentence on the standard error.
    #[track_caller]
    fn bad(self, code: i32, sentence: &str) {
        assert_eq!(self.code(), code, "{}", self.stderr());
        assert!(self.stderr().contains(sentence), "{}", self.stderr());
        assert_eq!(self.stderr().lines().count(), 1, "{}", self.stderr());
        assert_eq!(self.stdout(), "");
    }
}

#[tokio::test]
async fn a_file_goes_there_and_back() {
    let desk = Desk::new().await;
    desk.write("visits.csv", "a,b\n");
    let told = desk
        .run("encrypt visits.csv --key ingest-lyon/object")
        .await
        .good();
    assert_eq!(
        told.stdout(),
        "visits.csv.kms: sealed 4 bytes, under ingest-lyon/object/1\n"
    );
    desk.run("encrypt visits.csv --key ingest-lyon/object")
        .await
        .bad(11, "exists already");
    desk.run("decrypt visits.csv.kms")
        .await
        .bad(11, "exists already");
    desk.run("decrypt visits.csv.kms -O back.csv --key ingest-lyon/object")
        .await
        .good();
    assert_eq!(desk.read("back.csv"), "a,b\n");
    desk.run("decrypt visits.csv.kms --force").await.good();
    desk.run("decrypt visits.csv.kms -O x --key ingest-lyon/volume")
        .await
        .bad(3, "sealed under spaces/ingest-lyon/keys/object");
    desk.run("decrypt visits.csv.kms -O x --context a=b")
        .await
        .bad(3, "does not open");
    desk.run("decrypt visits.csv -O x")
        .await
        .bad(3, "visits.csv: it is not a file that kms sealed");
    desk.run("decrypt absent.kms")
        .await
        .bad(11, "cannot read absent.kms");
    let told = desk.run("rewrap visits.csv.kms -o json").await.good();
    let json: serde_json::Value = serde_json::from_str(&told.stdout()).unwrap();
    assert_eq!(json["items"], 1);
    assert_eq!(json["current"][0]["count"], 1);
    assert!(!desk.path("x").exists() && desk.partial().is_empty());
}

#[tokio::test]
async fn a_stream_goes_there_and_back() {
    let desk = Desk::new().await;
    let content: Vec<u8> = (0..=255).cycle().take(200_000).collect();
    let sealed = desk
        .run_on("encrypt - --key ingest-lyon/object", &content)
        .await
        .good();
    let opened = desk.run_on("decrypt -", &sealed.0.stdout).await.good();
    assert!(opened.0.stdout == content);
    let cut = &sealed.0.stdout[..sealed.0.stdout.len() - 5];
    let ended = desk.run_on("decrypt -", cut).await;
    assert_eq!(ended.code(), 3, "{}", ended.stderr());
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_is_no_failure() {
    let desk = Desk::new().await;
    for command in ["completions bash", "context list", "--help"] {
        let mut child = desk.begin(command);
        drop(child.stdout.take());
        let ended = Ended(child.wait_with_output().await.unwrap());
        assert_eq!(ended.code(), 0, "{command}: {}", ended.stderr());
        assert_eq!(ended.stderr(), "", "{command}");
    }
}

#[tokio::test]
async fn an_interrupt_leaves_no_half_file() {
    let desk = Desk::new().await;
    let mut child = desk.begin("encrypt - --key ingest-lyon/object -O out.kms");
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(&[7; 1_000_000]).await.unwrap();
    while desk.partial().is_empty() {
        tokio::task::yield_now().await;
    }
    let id = rustix::process::Pid::from_raw(child.id().unwrap().try_into().unwrap()).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    let ended = Ended(child.wait_with_output().await.unwrap());
    assert_eq!(ended.code(), 130, "{}", ended.stderr());
    assert!(desk.partial().is_empty() && !desk.path("out.kms").exists());
    drop(pipe);
}

#[tokio::test]
async fn a_column_becomes_pseudonyms_and_the_rest_stays() {
    let desk = Desk::new().await;
    let mut text = "ID;NOTE\n".to_owned();
    let mut expected = text.clone();
    for number in 1_000..3_500 {
        text.push_str(&format!("p{number};\"a;b{number}\"\n"));
        let made = pseudonym(&format!("p{number}"));
        expected.push_str(&format!("{made};\"a;b{number}\"\n"));
    }
    desk.write("patients.csv", &text);
    let map =
        "pseudonym map patients.csv --column ID --edge warehouse/link --delimiter ; --batch 100";
    let told = desk.run(map).await.good();
    assert_eq!(
        told.stdout(),
        "patients.pseudonymised.csv: 2500 lines pseudonymised\n"
    );
    assert!(desk.read("patients.pseudonymised.csv") == expected);
    desk.run(map).await.bad(11, "exists already");
    let streamed = desk
        .run_on(&map.replace("patients.csv", "-"), text.as_bytes())
        .await
        .good();
    assert!(streamed.stdout() == expected);
}

#[tokio::test]
async fn a_csv_file_that_is_wrong_is_told_by_line_and_never_by_value() {
    let desk = Desk::new().await;
    let map = "pseudonym map in.csv --edge warehouse/link -O out.csv --column ID";
    desk.write("in.csv", "PATIENT,SEX\nsecret,1\n");
    desk.run(map)
        .await
        .bad(3, "has no column \"ID\"; its first line names 2 columns");
    assert!(!desk.path("out.csv").exists() && desk.partial().is_empty());
    let mut text = b"ID,SEX\nsecret,1\n,1\nsecret,2\nsecret\nsecret\xff,2\n".to_vec();
    desk.write("in.csv", &text);
    let ended = desk.run(map).await;
    assert!(!ended.stderr().contains("secret"));
    assert_eq!(ended.code(), 13, "{}", ended.stderr());
    assert!(
        ended
            .stderr()
            .contains("3 of 5 lines are rejected and left out")
    );
    assert_eq!(ended.stdout(), "out.csv: 2 lines pseudonymised\n");
    let made = pseudonym("secret");
    assert_eq!(
        desk.read("out.csv"),
        format!("ID,SEX\n{made},1\n{made},2\n")
    );
    assert_eq!(
        desk.read("out.csv.rejected.csv"),
        "line,column,reason\n3,ID,the identifier is missing\n\
         5,ID,\"the line has 1 fields, the header has 2\"\n6,ID,the identifier is not UTF-8\n"
    );
    // Where there is no place for them, the first one ends it.
    let piped = map.replace("in.csv", "-").replace("out.csv", "-");
    let ended = desk.run_on(&piped, &text).await;
    assert!(!ended.stderr().contains("secret"));
    assert_eq!(ended.code(), 3, "{}", ended.stderr());
    let words = "line 3, column \"ID\": the identifier is missing; say with --rejected";
    assert!(ended.stderr().contains(words), "{}", ended.stderr());
    // Mended, nothing is left of it.
    text.truncate(16);
    desk.write("in.csv", &text);
    desk.run(&format!("{map} --force")).await.good();
    assert_eq!(desk.read("out.csv"), format!("ID,SEX\n{made},1\n"));
    assert!(!desk.path("out.csv.rejected.csv").exists() && desk.partial().is_empty());
}

#[tokio::test]
async fn a_few_identifiers_need_no_file() {
    let desk = Desk::new().await;
    let told = desk
        .run_on("pseudonym eval --edge warehouse/link", b"abc\ndef\n")
        .await
        .good();
    assert_eq!(
        told.stdout(),
        format!("{}\n{}\n", pseudonym("abc"), pseudonym("def"))
    );
    let told = desk
        .run("pseudonym eval --edge warehouse/link abc -o json")
        .await
        .good();
    let json: serde_json::Value = serde_json::from_str(&told.stdout()).unwrap();
    assert_eq!(json["pseudonyms"][0], pseudonym("abc"));
    desk.run_on("pseudonym eval --edge warehouse/link", b"abc\n\n")
        .await
        .bad(
            3,
            "identifier 2: an opaque identifier has 1 to 256 printable",
        );
}

#[tokio::test]
async fn what_cannot_be_done_has_its_exit_code() {
    let desk = Desk::new().await;
    desk.run("random 4").await.good();
    desk.run("--context stranger random 4")
        .await
        .bad(10, "refused your certificate");
    desk.run("--context nobody random 4")
        .await
        .bad(2, "has no context \"nobody\"");
    desk.run("space list").await.bad(1, "not implemented");
    let usage = desk.run("key show Ingest_Lyon/object").await;
    assert_eq!(usage.code(), 2);
    assert!(
        usage.stderr().contains("1 to 63 characters"),
        "{}",
        usage.stderr()
    );
    let compromise = "version compromise a/b/1 --reason leaked";
    desk.run(compromise).await.bad(2, "give --yes");
    let version = desk.run("--version").await.good();
    assert!(version.stdout().starts_with("kms "));
}

#[tokio::test]
async fn an_attestation_is_kept_in_three_files_and_verified_without_a_service() {
    let desk = Desk::new().await;
    let told = desk
        .run("attestation get lab/object/1 -O kept")
        .await
        .good();
    assert!(told.stdout().contains("NO, not before 2027-02-05"));
    assert_eq!(desk.read("kept/lab.object.1.json"), STATEMENT);
    let again = "attestation get lab/object/1 -O kept";
    desk.run(again).await.bad(11, "exists");
    desk.run(&format!("{again} --force")).await.good();
    // What does not verify is not kept.
    desk.run("attestation get lab/object/2 -O kept")
        .await
        .bad(3, "NOT VERIFIED");
    assert!(!desk.path("kept/lab.object.2.json").exists());
    desk.run("attestation get lab")
        .await
        .bad(5, "no such version");

    // Without a service, without a context.
    std::fs::remove_file(desk.path("contexts.toml")).unwrap();
    let verify = "attestation verify kept/lab.object.1.json";
    let told = desk.run(verify).await.good();
    assert!(
        told.stderr().contains("by another route"),
        "{}",
        told.stderr()
    );
    let pinned = format!("{verify} --key kept/lab.object.1.pem");
    let told = desk.run(&pinned).await.good();
    assert!(!told.stderr().contains("by another route"));
    let told = desk.run(&format!("{pinned} -o json")).await.good();
    let json: serde_json::Value = serde_json::from_str(&told.stdout()).unwrap();
    assert_eq!(json["verified"], true);
    assert_eq!(json["statement"]["final"], false);
    desk.write(
        "kept/lab.object.1.json",
        STATEMENT.replace("vault 1", "vault 9"),
    );
    desk.run(verify).await.bad(3, "NOT VERIFIED");
    desk.write("key.pem", "no key");
    desk.run(&format!("{verify} --key key.pem"))
        .await
        .bad(3, "no public key in PEM");
    desk.run("attestation verify none.json")
        .await
        .bad(11, "none.json");
}

#[tokio::test]
async fn contexts_are_listed_and_chosen() {
    let desk = Desk::new().await;
    let told = desk.run("context list").await.good();
    assert!(
        told.stdout().contains("*  client    https://127.0.0.1:"),
        "{}",
        told.stdout()
    );
    desk.run("context use stranger").await.good();
    desk.run("random 4")
        .await
        .bad(10, "refused your certificate");
    desk.run("context use nobody")
        .await
        .bad(2, "it has client, stranger");
}
