//! One run of the command line.

use crate::contexts::Contexts;
use crate::screen::{Form, Screen};
use crate::sign_ins::SignIns;
use crate::waiting::Patience;
use kms_client::{Client, Error, Kind, SignIn};
use std::path::PathBuf;
use std::time::Duration;

/// What was asked for all commands.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) config: Option<PathBuf>,
    pub(crate) context: Option<String>,
    pub(crate) purpose: Option<String>,
    pub(crate) form: Form,
    pub(crate) timeout: Duration,
    pub(crate) patience: Option<Patience>,
}

/// A connected client, and where answers go.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) screen: Screen,
    /// How long to wait when others must agree first; `None`: not at all.
    pub(crate) patience: Option<Patience>,
    /// How `kms` is called by the same person for the same service.
    pub(crate) again: String,
}

impl Setting {
    /// The contexts file.
    pub(crate) fn contexts(&self) -> Result<Contexts, Error> {
        Contexts::read(self.config.as_deref())
    }

    pub(crate) fn screen(&self) -> Screen {
        Screen::new(self.form)
    }

    /// Connects.
    pub(crate) async fn session(&self) -> Result<Session, Error> {
        let contexts = self.contexts()?;
        let (name, entry) = contexts.entry(self.context.as_deref())?;
        let purpose = self.purpose.as_ref().or(entry.purpose.as_ref());
        let sign_ins = SignIns::read(contexts.sign_ins())?;
        let sign_in = match contexts.openid(entry) {
            Some(openid) => sign_ins.of(name, &openid)?,
            None => None,
        };
        // Told before anything is sent.
        sign_in.map_or(Ok(()), SignIn::in_force)?;
        let target = contexts.target(Some(name))?;
        let connecting = tokio::time::timeout(self.timeout, Client::connect(&target));
        let client = connecting.await.unwrap_or_else(|_| {
            let (endpoint, seconds) = (&target.endpoint, self.timeout.as_secs_f32());
            let sentence = format!("cannot reach {endpoint}: nobody answers within {seconds} s");
            Err(Error::new(Kind::Unavailable, sentence))
        })?;
        let client = client.with_deadline(self.timeout);
        let client = match sign_in {
            Some(sign_in) => client.signed_in(sign_in)?,
            None => client,
        };
        Ok(Session {
            client: match purpose {
                Some(purpose) => client.with_purpose(purpose)?,
                None => client,
            },
            screen: self.screen(),
            patience: self.patience,
            again: self.again(),
        })
    }

    fn again(&self) -> String {
        let config = self.config.as_ref();
        let config = config.map(|file| format!(" --config {}", file.display()));
        let context = self
            .context
            .as_ref()
            .map(|name| format!(" --context {name}"));
        let words = [config, context].into_iter().flatten();
        format!("kms{}", words.collect::<String>())
    }
}
