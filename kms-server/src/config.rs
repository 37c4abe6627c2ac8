//! The configuration file: read once, from the file that the operator named.

use crate::grpc::Service;
use crate::hsm::Settings;
use crate::openid;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The configuration of a server. `ops/kms-server.toml` is its manual.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The directory of the store and the two logs.
    pub data: PathBuf,
    /// Where callers connect.
    #[serde(rename = "listener")]
    pub listeners: Vec<Listener>,
    /// Where Prometheus reads.
    pub metrics: Option<MetricsListener>,
    /// The HSM.
    pub hsm: Settings,
    /// Where people sign in. Without it nobody does.
    pub openid: Option<openid::Settings>,
    /// The server's own log.
    #[serde(default)]
    pub log: Log,
}

/// Where callers connect.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// Address and port; port 0 lets the system choose.
    pub address: SocketAddr,
    /// The server's certificate chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// The authorities of clients, PEM.
    pub client_ca: PathBuf,
    /// What is served here.
    #[serde(default = "all")]
    pub services: Vec<Service>,
}

/// Where Prometheus reads: plain HTTP, so bind it where only Prometheus comes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricsListener {
    /// Address and port.
    pub address: SocketAddr,
}

/// The server's own log, on standard error.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// `json` or `text`.
    #[serde(default)]
    pub format: LogFormat,
    /// A `tracing` filter, for example `info`.
    #[serde(default = "info")]
    pub level: String,
}

/// The form of the server's own log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// For people.
    Text,
}

impl Default for Log {
    fn default() -> Self {
        Log {
            format: LogFormat::default(),
            level: info(),
        }
    }
}

fn all() -> Vec<Service> {
    vec![Service::All]
}

fn info() -> String {
    "info".into()
}

impl Config {
    /// Reads a configuration file. Relative paths in it are relative to where it is.
    ///
    /// # Errors
    /// One sentence that names the file, the line and the field.
    pub fn read(path: &Path) -> Result<Self, String> {
        let said = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
        let text = std::fs::read_to_string(path).map_err(|e| said(&e))?;
        let mut config: Config = toml::from_str(&text).map_err(|e| said(&e))?;
        if config.listeners.is_empty() {
            return Err(said(&"there is no [[listener]]"));
        }
        if config.hsm.threads == 0 || config.hsm.queue == 0 {
            return Err(said(&"hsm.threads and hsm.queue are at least 1"));
        }
        let base = path.parent().unwrap_or_else(|| Path::new(".")).to_owned();
        let place = |file: &mut PathBuf| *file = base.join(&*file);
        place(&mut config.data);
        place(&mut config.hsm.pin_file);
        place(&mut config.hsm.lock_file);
        for listener in &mut config.listeners {
            place(&mut listener.certificate);
            place(&mut listener.key);
            place(&mut listener.client_ca);
        }
        if let Some(openid) = &mut config.openid {
            place(&mut openid.authority);
        }
        Ok(config)
    }
}
