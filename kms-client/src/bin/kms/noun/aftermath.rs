//! What a compromised version leaves behind: what it protected, who used it, what is to be done.

use crate::session::Session;
use crate::table::{Table, person, time};
use kms_client::{Error, Kind, name, v1};

/// How the proposal's action is called.
pub(super) const ACTION: &str = "CompromiseVersion";

/// Tells a person what a version that was just declared compromised leaves behind. For a program
/// there is `kms version usage`.
pub(super) async fn tell(session: &Session, version: &str) -> Result<(), Error> {
    if session.screen.is_json() {
        return Ok(());
    }
    let request = v1::GetVersionUsageRequest {
        name: version.to_owned(),
    };
    let usage = session.client.get_version_usage(request).await?;
    let (key, number) = version
        .split_once("/versions/")
        .ok_or_else(|| Error::new(Kind::Internal, "a version without a number"))?;
    let request = v1::GetKeyRequest {
        name: key.to_owned(),
    };
    let key = session.client.get_key(request).await?;
    session.screen.line("")?;
    session.screen.line(&protected(&usage).to_string())?;
    if !usage.users.is_empty() {
        session.screen.line("")?;
        session.screen.line(&users(&usage).to_string())?;
    }
    session.screen.line("")?;
    session.screen.line(&remains(&key, number, &usage))
}

fn protected(usage: &v1::VersionUsage) -> Table {
    let between = match (&usage.first_use_time, &usage.last_use_time) {
        (Some(first), Some(last)) => format!("{} to {}", time(Some(first)), time(Some(last))),
        (Some(_) | None, _) => "never, as far as is recorded".to_owned(),
    };
    Table::fields([
        ("it protected", format!("{} items", usage.protected)),
        ("it processed", format!("{} items", usage.processed)),
        ("used", between),
        ("recorded since", time(usage.counted_since.as_ref())),
    ])
}

fn users(usage: &v1::VersionUsage) -> Table {
    Table::columns(["WHO USED IT", "ITEMS", "LAST"]).rows(usage.users.iter().map(|user| {
        [
            person(&user.principal).to_owned(),
            user.count.to_string(),
            time(user.last_use_time.as_ref()),
        ]
    }))
}

/// What is to be done now.
fn remains(key: &v1::Key, number: &str, usage: &v1::VersionUsage) -> String {
    let short = name::short(&key.name);
    if usage.protected == 0 {
        return "Nothing that is recorded was protected by it: nothing is to be re-wrapped."
            .to_owned();
    }
    let what = match key.class() {
        v1::KeyClass::ImportWrapping | v1::KeyClass::Exchange => {
            return "What came in through it may be known to whoever holds it: rotate those keys at \
                    their source."
                .to_owned();
        }
        v1::KeyClass::Pseudonymisation => {
            return "Its pseudonyms may be traced back by whoever holds it: stop the edge, and plan a \
                    renewal."
                .to_owned();
        }
        v1::KeyClass::DataAtRest | v1::KeyClass::Service | v1::KeyClass::Unspecified => format!(
            "Up to {} items open no more until they are re-wrapped",
            usage.protected
        ),
    };
    let successor = if key.primary.is_empty() {
        "no version succeeds it: import one, then".to_owned()
    } else {
        format!("{} protects from now on", name::short(&key.primary))
    };
    format!(
        "{what}; {successor}:\n  kms rotation start-rewrap {short} --version {number} --reason TEXT\n  \
         kms rewrap FILES\n  kms rotation finish-rewrap {short} --reason TEXT"
    )
}
