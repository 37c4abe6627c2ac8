//! `kms login` and `kms logout`.

use crate::session::Setting;
use crate::sign_ins::SignIns;
use clap::Args;
use jiff::Timestamp;
use kms_client::{Error, Identity, Kind, Login as Waiting, SignIn};
use serde_json::json;
use std::process::{Command, Stdio};
use std::time::Duration;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  kms login\n  kms login --fresh\n  \
    kms --context custodian login --no-browser")]
pub(crate) struct Login {
    /// Only print the address; otherwise a browser is opened where there is xdg-open.
    #[arg(long)]
    no_browser: bool,
    /// Prove now who you are, even if the provider remembers you.
    #[arg(long)]
    fresh: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  kms logout\n  kms --context custodian logout")]
pub(crate) struct Logout {}

/// A sign-in at the provider that is older is made again. Short, because it is the service's policy
/// that says how fresh one must be: what `kms login` brings is of use for most of an hour.
const REMEMBERED: Duration = Duration::from_secs(10 * 60);

impl Login {
    pub(crate) async fn run(self, setting: &Setting) -> Result<(), Error> {
        let (contexts, screen) = (setting.contexts()?, setting.screen());
        let (name, entry) = contexts.entry(setting.context.as_deref())?;
        let openid = contexts.openid(entry).ok_or_else(|| {
            let sentence = format!(
                "the context {name} does not say where people sign in; give it an openid table \
                 with issuer, client_id and authority"
            );
            Error::new(Kind::Usage, sentence)
        })?;
        // Before the person is troubled.
        let sign_ins = SignIns::read(contexts.sign_ins())?;
        let identity = Identity::load(&contexts.target(Some(name))?)?;
        let age = if self.fresh {
            Duration::ZERO
        } else {
            REMEMBERED
        };
        let waiting = Waiting::begin(&openid, &identity, age).await?;
        let opened = !self.no_browser && opens(waiting.url());
        let how = if opened {
            "sign in with your browser; if it did not open, go to"
        } else {
            "sign in with a browser on this machine, at"
        };
        screen.ask(&format!("{how}\n\n  {}\n", waiting.url()));
        let sign_in = waiting.finish().await?;
        let told = if screen.is_json() {
            screen.json(&json!({
                "context": name,
                "issuer": sign_in.issuer,
                "subject": sign_in.subject,
                "expires": until(&sign_in),
            }))
        } else {
            let subject: String = sign_in
                .subject
                .chars()
                .filter(|c| !c.is_control())
                .collect();
            screen.line(&format!(
                "signed in as {subject}, until {}",
                until(&sign_in)
            ))
        };
        sign_ins.keep(name, sign_in)?;
        told
    }
}

impl Logout {
    pub(crate) fn run(self, setting: &Setting) -> Result<(), Error> {
        let contexts = setting.contexts()?;
        let (name, _) = contexts.entry(setting.context.as_deref())?;
        let there = SignIns::read(contexts.sign_ins())?.forget(name)?;
        setting.screen().remark(if there {
            "signed out here; the OpenID provider may still remember you"
        } else {
            "nobody was signed in"
        });
        Ok(())
    }
}

fn until(sign_in: &SignIn) -> String {
    let millis = i64::try_from(sign_in.expires.0).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(millis)
        .map_or_else(|_far| "the end of time".to_owned(), |at| format!("{at:.0}"))
}

/// Whether a browser was asked to show it. The address holds no secret: the code that the browser
/// brings back is worth nothing without what stays here.
fn opens(url: &str) -> bool {
    Command::new("xdg-open")
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .is_ok()
}
