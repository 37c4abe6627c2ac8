//! A key ceremony from its sheets to the audit log: made and combined where there is no network and
//! no context, handed in as any import, confirmed by the log.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

use serde_json::Value;
use softhsm_tests::wait::until;
use softhsm_tests::{Cli, Deployment, Finished};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

struct Bench {
    kms: Deployment,
    /// Whoever sits at the offline machine: there is no contexts file.
    offline: Cli,
    signer: String,
}

impl Bench {
    /// A deployment that waits for an exchange key, with its import parameters in `transfer`.
    fn start() -> Self {
        let kms = Deployment::emc2().start();
        let stella = kms.cli("stella");
        let run = |words: &[&str]| stella.run(words).succeeds();
        run(&["space", "create", "lab", "--kind", "project"]);
        let way = ["key", "create", "lab/import", "--class", "import-wrapping"];
        let takes = ["--takes", "rsa-oaep-sha1", "--takes-class", "exchange"];
        run(&[&way[..], &takes].concat());
        let key = ["key", "create", "lab/exchange", "--class", "exchange"];
        let takes = ["--origin", "external", "--takes", "aes-kwp"];
        run(&[&key[..], &takes].concat());
        let params = ["import", "params", "lab/exchange", "--wrapping-key"];
        run(&[&params[..], &["lab/import", "-O", "transfer"]].concat());
        let signer = run(&["import", "signer"]).text().trim().to_owned();
        let nowhere = kms.directory().join("no-contexts.toml");
        Bench {
            offline: Cli::new(nowhere, "nobody", kms.directory().to_owned()),
            signer,
            kms,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.kms.directory().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Two of three make it.
    fn made(&self, place: &str) -> Value {
        let new = ["ceremony", "new", "--title", "Exchange key with Lyon"];
        let who = ["--holder", "carl", "--holder", "carol", "--holder", "chloe"];
        let rest = ["--threshold", "2", "-O", place, "-o", "json"];
        let new = [&new[..], &who, &rest].concat();
        self.offline.run(new).succeeds().json()
    }

    fn arguments<'a>(&'a self, minutes: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let asked = ["ceremony", "combine", minutes, "--parameters", "transfer"];
        let rest = ["--signed-by", &self.signer, "-O", "wrapped.bin"];
        [&asked[..], &rest, more].concat()
    }

    fn combined(&self, minutes: &str, more: &[&str], typed: &str) -> Finished {
        let arguments = self.arguments(minutes, more);
        self.offline.run_with(arguments, typed.as_bytes())
    }

    fn confirmed(&self, minutes: &str) -> Finished {
        let asked = ["ceremony", "confirm", minutes, "-o", "json"];
        self.kms.cli("ada").run(asked)
    }

    fn submitted(&self) -> Finished {
        let submit = ["import", "submit", "lab/exchange", "--token"];
        let rest = ["transfer/import-token", "--wrapped", "wrapped.bin"];
        let submit = [&submit[..], &rest, &["--reason", "a ceremony"]].concat();
        self.kms.cli("stella").run(submit)
    }
}

/// The lines that a holder types.
fn lines(sheet: &str) -> Vec<String> {
    let line = |line: &&str| matches!(line.trim().as_bytes(), [b'1'..=b'4', b':', ..]);
    let lines = sheet.lines().filter(line);
    lines.map(|line| line.trim()[3..].to_owned()).collect()
}

fn typed(sheets: &[String]) -> String {
    let all: Vec<String> = sheets.iter().flat_map(|sheet| lines(sheet)).collect();
    format!("{}\n", all.join("\n"))
}

#[test]
fn a_key_is_made_of_components_offline_and_the_log_confirms_the_minutes() {
    let mut bench = Bench::start();
    // Nothing of it needs a service.
    assert!(bench.kms.terminate().success());
    let made = bench.made("ceremony");
    let sheets: Vec<String> = (1..=3)
        .map(|n| bench.read(&format!("ceremony/sheet-{n}.txt")))
        .collect();
    for (number, sheet) in (0..).zip(&sheets) {
        let holder = &made["minutes"]["holders"][number];
        for words in [&holder["name"], &holder["check"], &made["minutes"]["set"]] {
            assert!(sheet.contains(words.as_str().unwrap()), "{words}");
        }
        assert_eq!(lines(sheet).len(), 4);
        assert!(sheet.lines().all(|line| line.len() <= 74), "{sheet}");
        let path = bench.path(&format!("ceremony/sheet-{}.txt", number + 1));
        let mode = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    // Nothing of a component is in the minutes.
    let minutes = bench.read("ceremony/minutes.json");
    for line in sheets.iter().flat_map(|sheet| lines(sheet)) {
        assert!(!minutes.contains(&line[..9]), "{line}");
    }
    let minutes = "ceremony/minutes.json";
    // Typed in small letters, from the last and the first sheet.
    let entered = typed(&[sheets[2].clone(), sheets[0].clone()]).to_lowercase();
    let told = bench.combined(minutes, &[], &entered).succeeds();
    assert!(told.stderr.contains("holder 3 (chloe)"), "{told}");
    for line in lines(&sheets[0]) {
        let shown = format!("{}{}", told.text(), told.stderr).to_uppercase();
        assert!(!shown.contains(&line[..9]), "a component was shown");
    }

    bench.kms.restart();
    bench.confirmed(minutes).fails(5).saying("NOT CONFIRMED");
    bench.submitted().succeeds();
    let confirmed = bench.confirmed(minutes).succeeds().json();
    let one = &confirmed["confirmed"][0];
    assert_eq!(one["version"], "spaces/lab/keys/exchange/versions/1");
    assert_eq!(one["holders"], serde_json::json!(["chloe", "carl"]));
    assert!(one["by"].as_str().unwrap().ends_with("stella"), "{one}");
    // Minutes that say something else are not what the log has.
    let text = bench.read(minutes);
    let digest = text.split("\"wrapped_sha256\": \"").nth(1).unwrap();
    let forged = text.replace(&digest[..64], &"0".repeat(64));
    fs::write(bench.path("forged.json"), forged).unwrap();
    bench
        .confirmed("forged.json")
        .fails(5)
        .saying("NOT CONFIRMED");
    let forged = text.replace("spaces/lab/keys/exchange", "spaces/lab/keys/other");
    fs::write(bench.path("forged.json"), forged).unwrap();
    bench.confirmed("forged.json").fails(3).saying("came in as");
    bench.kms.cli("ada").run(["audit", "verify"]).succeeds();
    // A key that was combined again, from other holders' sheets, is the same key: the token knows it.
    let files = ["--component", "ceremony/sheet-2.txt", "--component"];
    let files = [&files[..], &["ceremony/sheet-3.txt", "--force"]].concat();
    bench.combined(minutes, &files, "").succeeds();
}

#[test]
fn what_is_not_a_component_of_this_key_is_told_in_a_sentence_and_nothing_is_wrapped() {
    let bench = Bench::start();
    bench.made("ceremony");
    bench.made("other");
    let minutes = "ceremony/minutes.json";
    let before = bench.read(minutes);
    let sheet = |place: &str, number: u8| bench.read(&format!("{place}/sheet-{number}.txt"));
    let good = [sheet("ceremony", 1), sheet("ceremony", 2)];
    let whole = typed(&good);
    // One character of the second line of the second component.
    let at = lines(&good[0]).iter().map(|l| l.len() + 1).sum::<usize>();
    let at = at + lines(&good[1])[0].len() + 1;
    let other = if &whole[at..=at] == "7" { "8" } else { "7" };
    let mut mistyped = whole.clone();
    mistyped.replace_range(at..=at, other);
    let cases = [
        (mistyped, "component 2: line 2 is not as it was printed"),
        (
            typed(&[good[0].clone(), sheet("other", 2)]),
            "of another ceremony",
        ),
        (
            typed(&[good[0].clone(), good[0].clone()]),
            "the component of holder 1 (carl) was given twice",
        ),
        (typed(&good[..1]), "fewer components than make the key"),
        (
            "SECRET\n".to_owned(),
            "component 1: line 1 is not as it was printed",
        ),
        ("X".repeat(500), "not as long as this"),
        (String::new(), "fewer components than make the key"),
    ];
    for (entered, words) in cases {
        let told = bench
            .combined(minutes, &[], &entered)
            .fails(3)
            .saying(words);
        assert!(!told.stderr.contains("SECRET"), "{told}");
        assert_eq!(told.stderr.matches("error").count(), 1, "{told}");
    }
    let one = ["--component", "ceremony/sheet-1.txt"];
    bench
        .combined(minutes, &one, "")
        .fails(3)
        .saying("2 components make this key, and 1 were given");
    let two = [&one[..], &["--component", "ceremony/minutes.json"]].concat();
    bench
        .combined(minutes, &two, "")
        .fails(3)
        .saying("line 1 is missing");
    let open = fs::Permissions::from_mode(0o644);
    fs::set_permissions(bench.path("ceremony/sheet-1.txt"), open).unwrap();
    bench
        .combined(minutes, &two, "")
        .fails(11)
        .saying("others can read the component");
    // Minutes in which somebody wrote another check value.
    let check = before.split("\"check\": \"").nth(1).unwrap()[..9].to_owned();
    fs::write(
        bench.path("forged.json"),
        before.replace(&check, "0000-0000"),
    )
    .unwrap();
    bench
        .combined("forged.json", &[], &whole)
        .fails(3)
        .saying("not the component of holder 1 (carl)");
    bench
        .combined("transfer/parameters.json", &[], &whole)
        .fails(3)
        .saying("holds no minutes");
    // Parameters that another key signed.
    let wrong = "0".repeat(64);
    let asked = ["ceremony", "combine", minutes, "--parameters", "transfer"];
    let asked = [&asked[..], &["--signed-by", &wrong, "-O", "wrapped.bin"]].concat();
    let told = bench.offline.run_with(asked, whole.as_bytes());
    told.fails(3).saying("NOT VERIFIED");
    assert!(!bench.path("wrapped.bin").exists());
    assert_eq!(bench.read(minutes), before);
    for (more, words) in [
        (
            vec!["--holder", "a", "--holder", "a"],
            "each holder has one component",
        ),
        (vec!["--holder", "a"], "2 to 16 holders"),
    ] {
        let new = [
            "ceremony",
            "new",
            "--title",
            "T",
            "--threshold",
            "2",
            "-O",
            "x",
        ];
        let new = [&new[..], &more].concat();
        bench.offline.run(new).fails(2).saying(words);
    }
    assert!(!bench.path("x").exists());
}

/// What the terminal at this path does with what is typed.
fn echoes(terminal: &Path) -> bool {
    let told = Command::new("stty")
        .arg("-F")
        .arg(terminal)
        .arg("-a")
        .output();
    !String::from_utf8_lossy(&told.unwrap().stdout).contains("-echo ")
}

/// The terminal that a child of this process has.
fn terminal_below(script: u32) -> Option<PathBuf> {
    let children = format!("/proc/{script}/task/{script}/children");
    let child = fs::read_to_string(children).ok()?;
    fs::read_link(format!("/proc/{}/fd/0", child.split_whitespace().next()?)).ok()
}

#[test]
fn at_a_terminal_what_is_typed_is_not_shown_and_a_wrong_line_is_asked_for_again() {
    let bench = Bench::start();
    bench.made("ceremony");
    let sheets = [1, 3].map(|number| bench.read(&format!("ceremony/sheet-{number}.txt")));
    let minutes = "ceremony/minutes.json";
    let program = softhsm_tests::program::find("kms").unwrap();
    let words = bench.arguments(minutes, &[]).join(" ");
    let command = format!("exec {} {words}", program.display());
    let mut child = Command::new("script")
        .args(["-q", "-e", "-c", &command, "/dev/null"])
        .current_dir(bench.kms.directory())
        .env("SHELL", "/bin/sh")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let shown = Arc::new(Mutex::new(String::new()));
    let (into, mut out) = (Arc::clone(&shown), child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        let mut some = [0; 1024];
        while let Ok(length @ 1..) = out.read(&mut some) {
            let text = String::from_utf8_lossy(&some[..length]);
            into.lock().unwrap().push_str(&text);
        }
    });
    let mut input = child.stdin.take().unwrap();
    let mut all: Vec<String> = sheets.iter().flat_map(|sheet| lines(sheet)).collect();
    all.insert(1, "A MISTAKE".to_owned());
    for (nth, line) in all.iter().enumerate() {
        // What is typed before it is asked for is thrown away.
        let asked = || {
            let shown = shown.lock().unwrap();
            let each = (1..=4).map(|n| shown.matches(&format!("line {n}: ")).count());
            each.sum::<usize>()
        };
        until("the next line to be asked for", || {
            (asked() > nth).then_some(())
        });
        until("the terminal to be quiet", || {
            let terminal = terminal_below(child.id())?;
            (!echoes(&terminal)).then_some(())
        });
        input.write_all(format!("{line}\r").as_bytes()).unwrap();
        input.flush().unwrap();
    }
    let ended = child.wait().unwrap();
    reader.join().unwrap();
    let shown = shown.lock().unwrap().clone();
    assert!(ended.success(), "{shown}");
    assert!(shown.contains("line 2 is not as it was printed"), "{shown}");
    assert!(bench.path("wrapped.bin").exists());
    for line in &all {
        assert!(!shown.contains(&line[..9]), "it was shown");
    }
    bench.submitted().succeeds();
    bench.confirmed(minutes).succeeds();
}
