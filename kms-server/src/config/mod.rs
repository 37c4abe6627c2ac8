//! The configuration file: read once, from the file that the operator named.

mod listener;

pub use listener::{Limits, Listener, MetricsListener, TlsFiles};

use crate::hsm::Settings;
use crate::openid;
use serde::Deserialize;
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

/// The server's own log, on standard error.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// `json` or `text`.
    #[serde(default)]
    pub format: LogFormat,
    /// What is said at all.
    #[serde(default)]
    pub level: LogLevel,
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

/// From which gravity on something is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogLevel {
    /// What somebody must mend.
    Error,
    /// And what is odd.
    Warn,
    /// And what happens seldom.
    #[default]
    Info,
    /// And how.
    Debug,
    /// Everything.
    Trace,
}

impl Config {
    /// Reads a configuration file. Relative paths in it are relative to where it is.
    ///
    /// # Errors
    /// One sentence that names the file, the line and the field.
    pub fn read(path: &Path) -> Result<Self, String> {
        let said = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
        let text = std::fs::read_to_string(path)
            .map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        let mut config: Config = toml::from_str(&text).map_err(|e| {
            let before = e.span().and_then(|span| text.get(..span.start));
            let above = before.map_or(0, |before| before.matches('\n').count());
            let written = text.lines().nth(above).unwrap_or_default().trim();
            let wrong = e.message().replace('\n', " ");
            said(&format!("line {}, `{written}`: {wrong}", above + 1))
        })?;
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
        let listeners = config.listeners.iter_mut().map(|l| &mut l.files);
        let metrics = config.metrics.iter_mut().filter_map(|m| m.files.as_mut());
        for file in listeners.chain(metrics).flat_map(TlsFiles::each_mut) {
            place(file);
        }
        if let Some(openid) = &mut config.openid {
            place(&mut openid.authority);
        }
        Ok(config)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use kms_core::plane::Plane;

    /// The annotated file is the manual: what it shows is what is read, and its limits are ours.
    #[test]
    fn the_manual_is_a_configuration() {
        let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ops/kms-server.toml");
        let config = Config::read(&manual).unwrap();
        let [listener] = config.listeners.as_slice() else {
            unreachable!("one listener");
        };
        assert_eq!(listener.planes, Plane::ALL);
        assert_eq!(listener.limits, Limits::default());
        assert!(listener.files.key.ends_with("../ops/pki/server.key"));
        assert!(config.metrics.is_some_and(|m| m.files.is_none()));
    }
}
