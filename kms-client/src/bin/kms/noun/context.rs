//! `kms context`.

use crate::contexts::Entry;
use crate::session::Setting;
use crate::table::Table;
use clap::Subcommand;
use kms_client::Error;
use serde_json::json;

/// What the contexts file looks like.
pub(crate) const FILE: &str = "\
The contexts file, with the authority that the service's certificate comes from, and your own
certificate and key, all PEM; paths are relative to it:
  current = \"olivia\"

  [context.olivia]
  endpoint = \"https://kms.example:7443\"
  ca = \"ca.pem\"
  certificate = \"olivia.pem\"
  key = \"olivia.key\"";

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List the contexts of the contexts file.
    #[command(after_help = "Examples:\n  kms context list")]
    List,
    /// Make another context the current one.
    #[command(after_help = "Examples:\n  kms context use auditor")]
    Use {
        /// Its name in the file.
        name: String,
    },
    /// Show one context, the current one by default.
    #[command(after_help = "Examples:\n  kms context show\n  kms context show auditor")]
    Show {
        /// Its name in the file.
        name: Option<String>,
    },
}

impl Verb {
    pub(crate) fn run(self, setting: &Setting) -> Result<(), Error> {
        let contexts = setting.contexts()?;
        let screen = setting.screen();
        match self {
            Self::List if screen.is_json() => {
                let all: Vec<_> = contexts
                    .all()
                    .map(|(name, entry)| as_json(name, entry, contexts.current()))
                    .collect();
                screen.json(&json!({ "contexts": all }))
            }
            Self::List => {
                let rows = contexts.all().map(|(name, entry)| {
                    let current = contexts.current() == Some(name);
                    let mark = if current { "*" } else { "" };
                    [
                        mark.to_owned(),
                        name.to_owned(),
                        entry.endpoint.clone(),
                        entry.certificate.display().to_string(),
                    ]
                });
                let table = Table::columns(["", "NAME", "ENDPOINT", "CERTIFICATE"]).rows(rows);
                screen.line(&table.to_string())
            }
            Self::Use { name } => {
                contexts.choose(&name)?;
                screen.remark(&format!("the current context is {name}"));
                Ok(())
            }
            Self::Show { name } => {
                let asked = name.as_deref().or(setting.context.as_deref());
                let (name, entry) = contexts.entry(asked)?;
                if screen.is_json() {
                    return screen.json(&as_json(name, entry, contexts.current()));
                }
                let table = Table::fields([
                    ("name", name.to_owned()),
                    ("endpoint", entry.endpoint.clone()),
                    ("ca", entry.ca.display().to_string()),
                    ("certificate", entry.certificate.display().to_string()),
                    ("key", entry.key.display().to_string()),
                    ("openid", issuer(entry).unwrap_or("none").to_owned()),
                    ("purpose", entry.purpose.clone().unwrap_or_default()),
                ]);
                screen.line(&table.to_string())
            }
        }
    }
}

fn as_json(name: &str, entry: &Entry, current: Option<&str>) -> serde_json::Value {
    json!({
        "name": name,
        "current": current == Some(name),
        "endpoint": entry.endpoint,
        "ca": entry.ca,
        "certificate": entry.certificate,
        "key": entry.key,
        "openid": issuer(entry),
        "purpose": entry.purpose,
    })
}

fn issuer(entry: &Entry) -> Option<&str> {
    entry.openid.as_ref().map(|openid| openid.issuer.as_str())
}
