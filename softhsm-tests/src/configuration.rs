//! The files that a server and its clients read, as this kit writes them, and the one that
//! a server writes once it serves.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{Failure, Identity, Token};

/// `kms-server.toml`; `ops/kms-server.toml` explains each entry.
#[derive(Debug, Clone, Serialize)]
pub struct ServerFile {
    /// The directory of the store and the logs.
    pub data: PathBuf,
    /// Where gRPC is served, one entry a listener.
    pub listener: Vec<Listener>,
    /// Where Prometheus reads.
    pub metrics: MetricsListener,
    /// The token and its only threads.
    pub hsm: Hsm,
    /// The server's own log, on its standard error.
    pub log: Log,
}

/// One gRPC listener, always with mutual TLS.
#[derive(Debug, Clone, Serialize)]
pub struct Listener {
    /// Address and port; port 0 takes a free one.
    pub address: String,
    /// Certificate chain, PEM.
    pub certificate: PathBuf,
    /// Private key, PEM.
    pub key: PathBuf,
    /// Whose clients may connect, PEM.
    pub client_ca: PathBuf,
    /// Whose clients are revoked, PEM.
    pub client_crl: Vec<PathBuf>,
    /// `data`, `administration`, or both.
    pub planes: Vec<String>,
    /// How many may be there at once.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, u32>,
}

/// The listener of `/metrics`: plain HTTP, or TLS with all three files.
#[derive(Debug, Clone, Serialize)]
pub struct MetricsListener {
    /// Address and port; port 0 takes a free one.
    pub address: String,
    /// Certificate chain, PEM.
    pub certificate: Option<PathBuf>,
    /// Private key, PEM.
    pub key: Option<PathBuf>,
    /// Whose clients may read, PEM.
    pub client_ca: Option<PathBuf>,
}

/// The PKCS#11 module and the token.
#[derive(Debug, Clone, Serialize)]
pub struct Hsm {
    /// The module's shared library.
    pub module: PathBuf,
    /// The token's label.
    pub token: String,
    /// The file with the user PIN.
    pub pin_file: PathBuf,
    /// How many threads call the token.
    pub threads: u32,
    /// How many operations may wait for them.
    pub queue: u32,
    /// Taken around every start and login: concurrent ones are unsafe on soft tokens.
    pub lock_file: PathBuf,
}

/// The server's own log.
#[derive(Debug, Clone, Serialize)]
pub struct Log {
    /// `json` or `text`.
    pub format: String,
    /// `error` to `trace`.
    pub level: String,
}

impl Listener {
    /// A listener for everything on a free port, with the server's certificate of `pki` and
    /// the clients of this authority, a directory beside the configuration.
    pub fn loopback(authority: &str) -> Self {
        Self {
            address: "127.0.0.1:0".to_owned(),
            certificate: "pki/server.pem".into(),
            key: "pki/server.key".into(),
            client_ca: Path::new(authority).join("ca.pem"),
            client_crl: Vec::new(),
            planes: vec!["data".to_owned(), "administration".to_owned()],
            limits: BTreeMap::new(),
        }
    }
}

impl ServerFile {
    /// What a deployment on loopback needs: any free ports, files relative to where the
    /// configuration lies, except the token's, which may be anywhere.
    pub fn loopback(token: &Token) -> Self {
        Self {
            data: "data".into(),
            listener: vec![Listener::loopback("pki")],
            metrics: MetricsListener {
                address: "127.0.0.1:0".to_owned(),
                certificate: None,
                key: None,
                client_ca: None,
            },
            hsm: Hsm {
                module: token.make().module(),
                token: token.label().to_owned(),
                pin_file: token.pin_file(),
                threads: 2,
                queue: 1024,
                lock_file: "data/token.lock".into(),
            },
            log: Log {
                format: "json".to_owned(),
                level: "info".to_owned(),
            },
        }
    }

    /// Writes the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        write_toml(path, self)
    }
}

/// `contexts.toml` of the command line: one context for each identity, named by its id; the
/// first is the current one.
///
/// # Errors
/// When the file cannot be written.
pub fn write_contexts(path: &Path, endpoint: &str, identities: &[Identity]) -> Result<(), Failure> {
    let current = identities.first().map(Identity::id).unwrap_or_default();
    let context = identities
        .iter()
        .map(|identity| (identity.id(), Context::new(endpoint, identity)))
        .collect();
    write_toml(path, &Contexts { current, context })
}

/// `endpoints.json` in the data directory: where a server that serves can be reached.
#[derive(Debug, Clone, Deserialize)]
pub struct Endpoints {
    /// Address and port of each listener, in the configuration's order.
    pub listeners: Vec<String>,
    /// Address and port of the metrics listener.
    pub metrics: String,
}

impl Endpoints {
    /// The file's place.
    pub fn file(data: &Path) -> PathBuf {
        data.join("endpoints.json")
    }

    /// What the file says; `None` while the server has not written it (completely).
    pub fn read(data: &Path) -> Option<Self> {
        let text = fs::read_to_string(Self::file(data)).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// `https://` and the first listener: what a client context names.
    pub fn url(&self) -> String {
        let first = self.listeners.first().map_or("", String::as_str);
        format!("https://{first}")
    }
}

/// Whose certificates there are to be, read from a bindings file: each principal and its aliases
/// once, in the file's order.
///
/// # Errors
/// When the file cannot be read as bindings.
pub fn principals(bindings: &Path) -> Result<Vec<String>, Failure> {
    let text = fs::read_to_string(bindings).map_err(Failure::with_file("read", bindings))?;
    let file: BindingsFile =
        serde_saphyr::from_str(&text).map_err(Failure::with_file("read", bindings))?;
    Ok(file
        .bindings
        .into_iter()
        .flat_map(|binding| std::iter::once(binding.principal).chain(binding.aliases))
        .collect())
}

/// The trust domain that a deployment file declares.
///
/// # Errors
/// When the file cannot be read as a deployment.
pub fn trust_domain(deployment: &Path) -> Result<String, Failure> {
    let text = fs::read_to_string(deployment).map_err(Failure::with_file("read", deployment))?;
    let file: DeploymentFile =
        serde_saphyr::from_str(&text).map_err(Failure::with_file("read", deployment))?;
    Ok(file.trust_domain)
}

/// Only what the kit needs: the server is the judge of the rest.
#[derive(Deserialize)]
struct BindingsFile {
    bindings: Vec<Bound>,
}

#[derive(Deserialize)]
struct Bound {
    principal: String,
    #[serde(default)]
    aliases: Vec<String>,
}

#[derive(Deserialize)]
struct DeploymentFile {
    trust_domain: String,
}

#[derive(Serialize)]
struct Contexts<'a> {
    current: &'a str,
    context: BTreeMap<&'a str, Context<'a>>,
}

#[derive(Serialize)]
struct Context<'a> {
    endpoint: &'a str,
    ca: &'a Path,
    certificate: &'a Path,
    key: &'a Path,
}

impl<'a> Context<'a> {
    fn new(endpoint: &'a str, identity: &'a Identity) -> Self {
        Self {
            endpoint,
            ca: &identity.ca,
            certificate: &identity.certificate,
            key: &identity.key,
        }
    }
}

fn write_toml(path: &Path, content: &impl Serialize) -> Result<(), Failure> {
    let text = toml::to_string(content).map_err(Failure::with_file("write", path))?;
    fs::write(path, text).map_err(Failure::with_file("write", path))
}
