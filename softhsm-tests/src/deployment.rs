//! A throwaway deployment: directory, token, certificates, configuration and one server.

mod builder;

pub use builder::Builder;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
};

use tempfile::TempDir;

use crate::{
    Authority, Cli, Finished, Flaw, Identity, Server, Token,
    cli::finish,
    configuration::write_contexts,
    http::Metrics,
    program::repository,
    server::{NotServing, Place, read_log},
    setting,
    token::Make,
};

/// Three spaces in a row, an edge from outside and one between them, and a key of each class.
pub const SMALL_INVENTORY: &str = "\
spaces:
  - {name: ingest-lyon, kind: ingest, title: Lyon}
  - {name: warehouse, kind: warehouse, title: The warehouse}
  - {name: project-01, kind: project, title: A project}
domains:
  - {name: link, title: Shared identifiers}
  - {name: warehouse, source: warehouse, title: Pseudonyms of the warehouse}
edges:
  - {target: warehouse, domain: link, code: whlink, input: opaque, exportable: false}
  - {target: project-01, domain: warehouse, code: p01, input: pseudonym, exportable: false}
keys:
  - {name: ingest-lyon/object, class: data-at-rest, title: Objects}
  - {name: ingest-lyon/backup, class: data-at-rest, title: Backups}
  - {name: ingest-lyon/import, class: import-wrapping, title: Imports}
  - {name: ingest-lyon/partner, class: data-at-rest, origin: external, title: A partner}
  - {name: warehouse/object, class: data-at-rest, title: Objects}
";

/// One deployment of its own, gone with the value: the server is killed and the directory
/// removed, unless `KMS_TEST_KEEP=1`.
#[derive(Debug)]
pub struct Deployment {
    // Fields drop in this order: first the server, then its directory.
    server: Option<Server>,
    place: Place,
    authority: Authority,
    identities: Vec<Identity>,
    policy: PathBuf,
    directory: TempDir,
}

impl Deployment {
    /// EMC2's development warehouse, with the people and services of
    /// `ops/emc2/bindings.yaml`.
    pub fn emc2() -> Builder {
        let emc2 = repository().join("ops/emc2");
        Builder {
            deployment: read(&emc2.join("deployment.yaml")),
            bindings: read(&emc2.join("bindings.yaml")),
            policy: repository().join("ops/policy"),
            token: Make::SoftHsm,
            configure: |_| {},
        }
    }

    /// The directory that everything lies in, for a test's own files too.
    pub fn directory(&self) -> &Path {
        &self.place.directory
    }

    /// The directory of the store and the two logs.
    pub fn data(&self) -> &Path {
        &self.place.data
    }

    /// Whose certificates everybody has.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The token.
    pub fn token(&self) -> &Token {
        &self.place.token
    }

    /// The running server.
    ///
    /// # Panics
    /// When it does not run.
    pub fn server(&mut self) -> &mut Server {
        self.server.as_mut().expect("the server runs")
    }

    /// The server's metrics, now.
    ///
    /// # Panics
    /// When it does not run.
    pub fn metrics(&mut self) -> Metrics {
        self.server().metrics()
    }

    /// Everything that the servers of this deployment wrote to standard error.
    pub fn log(&self) -> String {
        read_log(&self.place.log_file())
    }

    /// The command line as a person or service, by id: `kms.cli("olivia")`.
    ///
    /// # Panics
    /// When nobody of that id has a certificate.
    pub fn cli(&self, id: &str) -> Cli {
        let identity = self.identity(id);
        Cli::new(self.contexts(), identity.id(), self.directory().to_owned())
    }

    /// The certificate of a person or service, by id.
    ///
    /// # Panics
    /// When nobody of that id has one.
    pub fn identity(&self, id: &str) -> &Identity {
        self.identities
            .iter()
            .find(|identity| identity.id() == id)
            .unwrap_or_else(|| panic!("nobody is called {id:?} here: issue a certificate first"))
    }

    /// Issues a certificate to somebody who has none yet, bound or not.
    ///
    /// # Panics
    /// When the principal is no `person/ID` or `service/ID`.
    pub fn issue(&mut self, principal: &str) -> &Identity {
        let identity = self.authority.client(principal);
        self.admit(identity.unwrap_or_else(|cause| panic!("{cause}")))
    }

    /// Issues a certificate that is wrong in one way. Its context is named
    /// `{id}-{flaw}`, for instance `mallory-SelfSigned`.
    ///
    /// # Panics
    /// As [`Deployment::issue`].
    pub fn issue_flawed(&mut self, principal: &str, flaw: Flaw) -> &Identity {
        let identity = self.authority.flawed(principal, flaw);
        let mut identity = identity.unwrap_or_else(|cause| panic!("{cause}"));
        identity.principal = format!("{principal}-{flaw:?}");
        self.admit(identity)
    }

    /// Declares, as the steward `stella`, enough for most tests: [`SMALL_INVENTORY`].
    ///
    /// # Panics
    /// When the inventory cannot be applied.
    pub fn furnish(&self) {
        let path = self.directory().join("small.yaml");
        fs::write(&path, SMALL_INVENTORY).unwrap_or_else(|cause| panic!("{cause}"));
        let steward = self.cli("stella");
        steward
            .run(["inventory", "apply", "-f", "small.yaml"])
            .succeeds();
    }

    /// Declares, as the steward `stella`, so many identifiers a day for each caller of an edge,
    /// such as `warehouse/link`: a standing allowance is small.
    ///
    /// # Panics
    /// When it cannot be set.
    pub fn budget(&self, edge: &str, items: u64) {
        let limit = format!("items/day={items}");
        let set = ["quota", "set", "--edge", edge, "--each", "--limit", &limit];
        let steward = self.cli("stella");
        steward
            .run(set.into_iter().chain(["--reason", "a test's campaign"]))
            .succeeds();
    }

    /// Has the server listen at the same place after a restart: a client that waits for it finds it
    /// again.
    ///
    /// # Panics
    /// When it does not run.
    pub fn stays(&self) {
        let server = self.server.as_ref().expect("the server runs");
        let address = server.endpoints().listeners.first();
        let address = address.expect("a listener");
        let path = self.directory().join("kms-server.toml");
        let text = fs::read_to_string(&path).expect("its configuration");
        let text = text.replacen("127.0.0.1:0", address, 1);
        fs::write(&path, text).expect("its configuration");
    }

    /// Kills the server as a power cut would.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill(&mut self) {
        self.server.take().expect("the server runs").kill();
    }

    /// Asks the server to stop and waits until it has.
    ///
    /// # Panics
    /// When it does not run, or does not end.
    pub fn terminate(&mut self) -> ExitStatus {
        self.server.take().expect("the server runs").terminate()
    }

    /// Starts the server again, after it was stopped, killed or refused to start.
    ///
    /// # Panics
    /// When it runs already, or ends instead of serving.
    pub fn restart(&mut self) {
        self.try_restart().unwrap_or_else(|ended| panic!("{ended}"));
    }

    /// Starts the server, which may refuse.
    ///
    /// # Errors
    /// How it ended and what it said.
    ///
    /// # Panics
    /// When it runs already.
    pub fn try_restart(&mut self) -> Result<(), NotServing> {
        assert!(self.server.is_none(), "the server runs already");
        self.server = Some(Server::start(&self.place)?);
        self.write_contexts();
        Ok(())
    }

    /// Starts the server under another program: see [`crate::program::under`].
    ///
    /// # Panics
    /// When it runs already, or ends instead of serving.
    pub fn restart_under(&mut self, wrapper: &[&str]) {
        assert!(self.server.is_none(), "the server runs already");
        let started = Server::start_under(wrapper, &self.place);
        self.server = Some(started.unwrap_or_else(|ended| panic!("{ended}")));
        self.write_contexts();
    }

    /// Starts the server although its HSM does not answer, and waits until it says so.
    ///
    /// # Panics
    /// When it runs already, or ends instead.
    pub fn restart_without_hsm(&mut self) {
        assert!(self.server.is_none(), "the server runs already");
        let started = Server::start_without_hsm(&self.place);
        self.server = Some(started.unwrap_or_else(|ended| panic!("{ended}")));
        self.write_contexts();
    }

    /// `kms-server init` with this deployment's documents, run to its end.
    ///
    /// # Panics
    /// When `kms-server` is not built.
    pub fn init(&self) -> Finished {
        finish(self.init_command())
    }

    /// `kms-server init` itself, for a test that kills it half way.
    ///
    /// # Panics
    /// When `kms-server` is not built.
    pub fn init_command(&self) -> Command {
        let mut command = self.command("init");
        command
            .arg("--deployment")
            .arg(self.directory().join("deployment.yaml"))
            .arg("--policy")
            .arg(&self.policy)
            .arg("--bindings")
            .arg(self.directory().join("bindings.yaml"));
        command
    }

    /// `kms-server VERB` on this deployment, for a test that runs it in its own way.
    ///
    /// # Panics
    /// When `kms-server` is not built.
    pub fn command(&self, verb: &str) -> Command {
        self.place
            .command(verb)
            .unwrap_or_else(|cause| panic!("{cause}"))
    }

    /// `kms-server doctor` with more arguments; the server must not run.
    ///
    /// # Panics
    /// When `kms-server` is not built.
    pub fn doctor(&self, arguments: &[&str]) -> Finished {
        let mut command = self.command("doctor");
        command.args(arguments);
        finish(command)
    }

    /// `kms-server rebuild --from-audit` with more arguments; the server must not run.
    ///
    /// # Panics
    /// When `kms-server` is not built.
    pub fn rebuild(&self, arguments: &[&str]) -> Finished {
        let mut command = self.command("rebuild");
        command.arg("--from-audit").args(arguments);
        finish(command)
    }

    fn admit(&mut self, identity: Identity) -> &Identity {
        self.identities.retain(|other| other.id() != identity.id());
        self.identities.push(identity);
        if self.server.is_some() {
            self.write_contexts();
        }
        self.identities.last().expect("just pushed")
    }

    fn contexts(&self) -> PathBuf {
        self.directory().join("contexts.toml")
    }

    fn write_contexts(&mut self) {
        let url = self.server().endpoints().url();
        write_contexts(&self.contexts(), &url, &self.identities)
            .unwrap_or_else(|cause| panic!("{cause}"));
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        if std::thread::panicking() || setting::keep() {
            eprintln!(
                "--- the server's log, {}\n{}",
                self.directory.path().display(),
                self.log()
            );
        }
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|cause| panic!("{}: {cause}", path.display()))
}
