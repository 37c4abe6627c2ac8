//! The contexts file: which services, and as whom.
//!
//! ```toml
//! current = "operator"
//!
//! [context.operator]
//! endpoint = "https://127.0.0.1:7443"
//! ca = "pki/ca.pem"
//! certificate = "pki/person-olivia.pem"
//! key = "pki/person-olivia.key"
//!
//! [context.operator.openid]           # where this person signs in; optional
//! issuer = "https://login.example/realms/emc2"
//! client_id = "kms"
//! authority = "pki/provider-ca.pem"
//! acr_values = ["mfa"]                # classes of authentication to ask for; optional
//!
//! [context.notebook]
//! endpoint = "https://127.0.0.1:7443"
//! ca = "pki/ca.pem"
//! certificate = "pki/service-project-01-notebook.pem"
//! key = "pki/service-project-01-notebook.key"
//! purpose = "cardio-2025"
//! ```
//!
//! Paths are relative to the file.

use kms_client::{Error, Kind, OpenId, Output, Target};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The file as it is.
#[derive(Debug)]
pub(crate) struct Contexts {
    path: PathBuf,
    document: Document,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Document {
    current: Option<String>,
    #[serde(default)]
    context: BTreeMap<String, Entry>,
}

/// One context, as written.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    pub(crate) endpoint: String,
    pub(crate) ca: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// What its calls are for, unless `--purpose` says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) purpose: Option<String>,
    /// Where this person signs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) openid: Option<OpenIdEntry>,
}

/// The OpenID provider of a context, as written.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OpenIdEntry {
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    pub(crate) authority: PathBuf,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) acr_values: Vec<String>,
}

impl Contexts {
    /// Reads the named file, or the default one.
    pub(crate) fn read(named: Option<&Path>) -> Result<Self, Error> {
        let path = match named {
            Some(path) => path.to_owned(),
            None => default_path()?,
        };
        let text = std::fs::read_to_string(&path).map_err(|e| {
            if named.is_none() && e.kind() == std::io::ErrorKind::NotFound {
                Error::new(
                    Kind::Usage,
                    format!(
                        "there is no contexts file {}; write one (kms context --help shows how), or name \
                         one with --config",
                        path.display()
                    ),
                )
            } else {
                Error::file(&format!("read {}", path.display()), &e)
            }
        })?;
        let document = toml::from_str(&text).map_err(|e| {
            let line = e
                .span()
                .and_then(|span| text.get(..span.start))
                .map_or(1, |before| before.matches('\n').count() + 1);
            Error::new(
                Kind::Usage,
                format!(
                    "{}, line {line}: {}",
                    path.display(),
                    e.message().replace('\n', " ")
                ),
            )
        })?;
        Ok(Self { path, document })
    }

    /// The context to use: the one asked for, else the current one.
    pub(crate) fn target(&self, asked: Option<&str>) -> Result<Target, Error> {
        let entry = self.entry(asked)?.1;
        Ok(Target {
            endpoint: entry.endpoint.clone(),
            ca: self.beside(&entry.ca),
            certificate: self.beside(&entry.certificate),
            key: self.beside(&entry.key),
        })
    }

    /// Where people of a context sign in, if it says so.
    pub(crate) fn openid(&self, entry: &Entry) -> Option<OpenId> {
        entry.openid.as_ref().map(|openid| OpenId {
            issuer: openid.issuer.clone(),
            client_id: openid.client_id.clone(),
            authority: self.beside(&openid.authority),
            acr_values: openid.acr_values.clone(),
        })
    }

    /// Where the sign-ins of its contexts are kept: `contexts.toml` has `contexts.sign-ins.json`.
    pub(crate) fn sign_ins(&self) -> PathBuf {
        self.path.with_extension("sign-ins.json")
    }

    fn beside(&self, path: &Path) -> PathBuf {
        self.path.parent().unwrap_or(Path::new(".")).join(path)
    }

    /// As written, with its name.
    pub(crate) fn entry(&self, asked: Option<&str>) -> Result<(&str, &Entry), Error> {
        let name = asked.or(self.document.current.as_deref()).ok_or_else(|| {
            self.wrong("names no current context; choose one with kms context use".to_owned())
        })?;
        self.document
            .context
            .get_key_value(name)
            .map(|(name, entry)| (name.as_str(), entry))
            .ok_or_else(|| {
                let names: Vec<&str> = self.document.context.keys().map(String::as_str).collect();
                self.wrong(format!(
                    "has no context {name:?}; it has {}",
                    names.join(", ")
                ))
            })
    }

    /// All of them, in the order of their names.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.document
            .context
            .iter()
            .map(|(name, entry)| (name.as_str(), entry))
    }

    /// The name of the current one.
    pub(crate) fn current(&self) -> Option<&str> {
        self.document.current.as_deref()
    }

    /// Makes another one current, in the file.
    pub(crate) fn choose(mut self, name: &str) -> Result<(), Error> {
        self.entry(Some(name))?;
        self.document.current = Some(name.to_owned());
        let text = toml::to_string(&self.document).map_err(|e| {
            Error::new(
                Kind::Internal,
                format!("the contexts have no TOML form: {e}"),
            )
        })?;
        let mut output = Output::file(&self.path, true)?;
        output
            .write_all(text.as_bytes())
            .map_err(|e| Error::file(&format!("write {}", self.path.display()), &e))?;
        output.commit()
    }

    fn wrong(&self, what: String) -> Error {
        Error::new(Kind::Usage, format!("{} {what}", self.path.display()))
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the one place where a program run by a person asks where that person keeps settings"
)]
fn default_path() -> Result<PathBuf, Error> {
    let given = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    given("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| Some(PathBuf::from(given("HOME")?).join(".config")))
        .map(|directory| directory.join("kms/contexts.toml"))
        .ok_or_else(|| {
            Error::new(
                Kind::Usage,
                "HOME is not set; name a contexts file with --config",
            )
        })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    const TWO: &str = "current = \"a\"\n\
        [context.a]\nendpoint = \"https://h:1\"\nca = \"ca.pem\"\ncertificate = \"/c\"\nkey = \"k\"\n\
        [context.b]\nendpoint = \"https://h:2\"\nca = \"ca.pem\"\ncertificate = \"c\"\nkey = \"k\"\n";

    fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("contexts.toml");
        std::fs::write(&path, text).unwrap();
        (place, path)
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let (place, path) = written(TWO);
        let contexts = Contexts::read(Some(&path)).unwrap();
        let target = contexts.target(None).unwrap();
        assert_eq!(target.endpoint, "https://h:1");
        assert_eq!(target.ca, place.path().join("ca.pem"));
        assert_eq!(target.certificate, Path::new("/c"));
        assert_eq!(contexts.target(Some("b")).unwrap().endpoint, "https://h:2");
    }

    #[test]
    fn an_unknown_context_names_those_that_exist() {
        let (_place, path) = written(TWO);
        let refused = Contexts::read(Some(&path))
            .unwrap()
            .target(Some("c"))
            .unwrap_err();
        assert_eq!(refused.kind(), Kind::Usage);
        assert!(refused.to_string().ends_with("it has a, b"), "{refused}");
    }

    #[test]
    fn an_unknown_field_names_its_line() {
        let (_place, path) = written("current = \"a\"\ncurent = \"b\"\n");
        let refused = Contexts::read(Some(&path)).unwrap_err().to_string();
        assert!(
            refused.contains("line 2") && refused.contains("curent"),
            "{refused}"
        );
    }

    #[test]
    fn the_choice_lasts() {
        let (_place, path) = written(TWO);
        Contexts::read(Some(&path)).unwrap().choose("b").unwrap();
        assert_eq!(Contexts::read(Some(&path)).unwrap().current(), Some("b"));
        let refused = Contexts::read(Some(&path)).unwrap().choose("c");
        assert!(refused.is_err());
    }
}
