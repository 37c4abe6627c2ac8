//! A running `kms-server`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
};

use rustix::process::Signal;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::{
    Failure, Identity, Token,
    channel::health_now,
    configuration::Endpoints,
    guard::Guarded,
    http::Metrics,
    program,
    wait::{PATIENCE, within},
};

/// A server process that serves, until it is killed, terminated or dropped.
#[derive(Debug)]
pub struct Server {
    process: Guarded,
    endpoints: Endpoints,
}

/// How a server that was started ended instead of serving.
#[derive(Debug, thiserror::Error)]
#[error("kms-server ended with {status} instead of serving; it said:\n{log}")]
pub struct NotServing {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to standard error from this start on.
    pub log: String,
}

/// Where a server finds everything: its configuration, its token, and who asks whether it
/// is healthy.
#[derive(Debug, Clone)]
pub struct Place {
    /// The directory of `kms-server.toml`.
    pub directory: PathBuf,
    /// Its data directory.
    pub data: PathBuf,
    /// The token, named in the server's environment.
    pub token: Token,
    /// A client that may connect, though it is granted nothing.
    pub probe: Identity,
}

impl Place {
    /// The configuration file.
    pub fn configuration(&self) -> PathBuf {
        self.directory.join("kms-server.toml")
    }

    /// The file that collects what every server of this place writes to standard output and
    /// standard error.
    pub fn log_file(&self) -> PathBuf {
        self.directory.join("server.log")
    }

    /// `kms-server VERB --config ...`, ready for more arguments.
    ///
    /// # Errors
    /// When `kms-server` is not built.
    pub fn command(&self, verb: &str) -> Result<Command, Failure> {
        let mut command = Command::new(program::find("kms-server")?);
        command
            .current_dir(&self.directory)
            .args([verb, "--config"])
            .arg(self.configuration())
            .stdin(Stdio::null());
        self.token.told_to(&mut command);
        Ok(command)
    }
}

impl Server {
    /// Starts a server and waits until it says where it listens and that it is SERVING.
    ///
    /// # Errors
    /// [`NotServing`] when it ended instead.
    ///
    /// # Panics
    /// When it cannot be started at all, or neither serves nor ends.
    pub fn start(place: &Place) -> Result<Self, NotServing> {
        Self::start_until(place, &[], ServingStatus::Serving)
    }

    /// As [`Server::start`], but run by another program: see [`program::under`].
    ///
    /// # Errors
    /// As [`Server::start`].
    ///
    /// # Panics
    /// As [`Server::start`].
    pub fn start_under(wrapper: &[&str], place: &Place) -> Result<Self, NotServing> {
        Self::start_until(place, wrapper, ServingStatus::Serving)
    }

    /// Starts a server and waits until it says where it listens and that it is NOT_SERVING:
    /// it answers, but its HSM does not.
    ///
    /// # Errors
    /// As [`Server::start`].
    ///
    /// # Panics
    /// As [`Server::start`].
    pub fn start_without_hsm(place: &Place) -> Result<Self, NotServing> {
        Self::start_until(place, &[], ServingStatus::NotServing)
    }

    fn start_until(
        place: &Place,
        wrapper: &[&str],
        status: ServingStatus,
    ) -> Result<Self, NotServing> {
        let mut started = Started::start(place, wrapper);
        let up = within(PATIENCE, || match started.exit() {
            Some(ended) => Some(Err(ended)),
            None => saying(&place.data, &place.probe, status).map(Ok),
        });
        match up {
            Some(Ok(endpoints)) => Ok(Self {
                process: started.process,
                endpoints,
            }),
            Some(Err(ended)) => Err(ended),
            None => panic!(
                "kms-server neither says {} nor ends after {} s; it said:\n{}",
                status.as_str_name(),
                PATIENCE.as_secs(),
                started.said()
            ),
        }
    }

    /// The process, for `/proc` and signals.
    pub fn pid(&mut self) -> u32 {
        self.process.child().id()
    }

    /// Where it listens.
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// The metrics page, now.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn metrics(&self) -> Metrics {
        Metrics::read(&self.endpoints.metrics).expect("the metrics page")
    }

    /// Kills it as a power cut would: SIGKILL, no last word. Returns once it is gone.
    pub fn kill(self) {
        drop(self);
    }

    /// Asks it to stop (SIGTERM) and waits until it has drained and ended.
    ///
    /// # Panics
    /// When it does not end.
    pub fn terminate(mut self) -> ExitStatus {
        self.process.signal(Signal::TERM);
        crate::wait::until("kms-server to end after SIGTERM", || {
            self.process
                .child()
                .try_wait()
                .expect("the server's exit status")
        })
    }

    /// Has it read its certificates again (SIGHUP).
    pub fn reload(&self) {
        self.process.signal(Signal::HUP);
    }

    /// Stops it where it is (SIGSTOP): connections stay open, nothing answers.
    pub fn pause(&self) {
        self.process.signal(Signal::STOP);
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(&self) {
        self.process.signal(Signal::CONT);
    }
}

/// Where the server of this data directory listens, once it says SERVING to `probe`.
pub fn serving(data: &Path, probe: &Identity) -> Option<Endpoints> {
    saying(data, probe, ServingStatus::Serving)
}

/// Where it listens, once its health service says `status`.
fn saying(data: &Path, probe: &Identity, status: ServingStatus) -> Option<Endpoints> {
    let endpoints = Endpoints::read(data)?;
    let said = health_now(&endpoints, probe).ok()?;
    (said == status).then_some(endpoints)
}

/// Between the start of the process and its first answer.
struct Started<'a> {
    place: &'a Place,
    process: Guarded,
    log_start: usize,
}

impl<'a> Started<'a> {
    fn start(place: &'a Place, wrapper: &[&str]) -> Self {
        // Yesterday's file would say that a server serves which has not started.
        let endpoints = Endpoints::file(&place.data);
        if endpoints.exists() {
            fs::remove_file(&endpoints).expect("the old endpoints.json can be removed");
        }
        let log_start = read_log(&place.log_file()).len();
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(place.log_file());
        let log = log.expect("the server's log can be opened");
        let command = place
            .command("serve")
            .unwrap_or_else(|cause| panic!("{cause}"));
        let mut command = program::under(wrapper, &command);
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("one more descriptor"))
            .stderr(log);
        let process = Guarded::spawn(&mut command, Some(&place.directory));
        let process = process.unwrap_or_else(|cause| panic!("{cause}"));
        Self {
            place,
            process,
            log_start,
        }
    }

    fn exit(&mut self) -> Option<NotServing> {
        let status = self
            .process
            .child()
            .try_wait()
            .expect("the server's exit status")?;
        Some(NotServing {
            status,
            log: self.said(),
        })
    }

    fn said(&self) -> String {
        read_log(&self.place.log_file())
            .get(self.log_start..)
            .unwrap_or_default()
            .to_owned()
    }
}

/// The log so far; empty when there is none yet.
pub(crate) fn read_log(path: &Path) -> String {
    fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}
