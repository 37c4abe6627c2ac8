//! A person who signs in with `kms login`, a real process, and a browser that follows where it is
//! sent.

use super::Desk;
use kms_core::{Error, caller::SignIn};
use serde_json::Value;
use softhsm_tests::{Browser, Cli, Finished, issuer::Behaviour};
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

/// A person at a terminal, with a browser.
pub(super) struct Person {
    pub(super) desk: Desk,
    pub(super) browser: Browser,
    pub(super) cli: Cli,
}

/// `kms login` that waits for the browser.
pub(super) struct Waiting {
    pub(super) child: Child,
    pub(super) stderr: BufReader<std::process::ChildStderr>,
    pub(super) url: String,
}

impl Person {
    pub(super) fn new() -> Self {
        let desk = Desk::new();
        let browser = Browser::trusting(&desk.issuer.authority());
        let contexts = desk.directory.path().join("contexts.toml");
        let cli = Cli::new(contexts, "olivia", desk.directory.path().to_owned());
        let person = Self { desk, browser, cli };
        person.write_contexts(&person.openid());
        person
    }

    pub(super) fn openid(&self) -> String {
        let (issuer, authority) = (self.desk.issuer.url(), self.desk.issuer.authority());
        let authority = authority.display();
        format!(
            "openid = {{ issuer = {issuer:?}, client_id = \"kms\", authority = \"{authority}\" }}\n"
        )
    }

    pub(super) fn write_contexts(&self, openid: &str) {
        let text = format!(
            "[context.olivia]\nendpoint = \"https://127.0.0.1:1\"\nca = \"ca.pem\"\n\
             certificate = \"person-olivia.pem\"\nkey = \"person-olivia.key\"\n{openid}"
        );
        fs::write(self.path("contexts.toml"), text).unwrap();
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.desk.directory.path().join(name)
    }

    pub(super) fn begin(&self, arguments: &[&str]) -> Waiting {
        let mut all = vec!["login", "--no-browser"];
        all.extend(arguments);
        Waiting::new(self.cli.command(all))
    }

    /// Signs in from beginning to end.
    pub(super) fn login(&self, arguments: &[&str]) -> Finished {
        let waiting = self.begin(arguments);
        self.browser.follow(&waiting.url);
        waiting.end()
    }

    pub(super) fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        self.desk.issuer.behave(change);
    }

    /// The access token that is kept.
    pub(super) fn token(&self) -> Option<String> {
        let text = fs::read_to_string(self.path("contexts.sign-ins.json")).ok()?;
        let kept: Value = serde_json::from_str(&text).unwrap();
        Some(kept["context"]["olivia"]["token"].as_str()?.to_owned())
    }

    /// What the service makes of the token that is kept.
    pub(super) fn verified(&self) -> Result<SignIn, Error> {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(self.desk.verify(&self.token().unwrap()))
    }
}

impl Waiting {
    pub(super) fn new(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        let url = loop {
            let mut line = String::new();
            let more = stderr.read_line(&mut line).unwrap();
            said.push_str(&line);
            assert_ne!(more, 0, "kms login ended without an address: {said}");
            if let Some(url) = line.strip_prefix("  ") {
                break url.trim().to_owned();
            }
        };
        Self { child, stderr, url }
    }

    pub(super) fn end(mut self) -> Finished {
        let mut stderr = String::new();
        self.stderr.read_to_string(&mut stderr).unwrap();
        let output = self.child.wait_with_output().unwrap();
        Finished {
            command: "kms login".to_owned(),
            status: output.status,
            stdout: output.stdout,
            stderr,
        }
    }
}
