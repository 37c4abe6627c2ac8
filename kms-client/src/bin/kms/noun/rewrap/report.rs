//! Whether old versions can go: what still refers to them here, and what the service says of their
//! use by others.

use super::tally::Tally;
use crate::session::Session;
use crate::table::{Table, time_and_age, word};
use jiff::{SignedDuration, Timestamp};
use kms_client::{Client, name, v1};
use kms_core::quota::grouped;
use serde::Serialize;
use serde_json::{Value, json};

/// One old version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Old {
    version: String,
    /// Its state; empty where the service does not tell.
    state: String,
    /// So many items here still refer to it.
    left: u64,
    /// When anybody last used it, RFC 3339; this re-wrapping is a use.
    last_use_time: Option<String>,
    verdict: Verdict,
    reason: String,
    #[serde(skip)]
    last: Option<prost_types::Timestamp>,
}

/// Whether a version is still needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    /// Something here refers to it.
    Needed,
    /// Somebody else used it lately.
    InUse,
    /// Neither.
    CanGo,
    /// The service does not tell who used it.
    NotTold,
}

/// Asks the service about every old version of the keys that were met.
pub(super) async fn ask(session: &Session, tally: &Tally) -> Vec<Old> {
    let client = &session.client;
    let me = me(client).await;
    let mut told = Vec::new();
    for key in tally.keys() {
        let current = tally.newest(&key);
        // Whoever may not see the inventory learns of the versions that were met here.
        let known = match client.all_versions(&key).await {
            Ok(versions) => versions,
            Err(_not_told) => tally.met(&key).map(unknown).collect(),
        };
        let old = known
            .into_iter()
            .filter(|version| number(&version.name) < current && is_there(version));
        for version in old {
            let asked = v1::GetVersionUsageRequest {
                name: version.name.clone(),
            };
            let usage = client.get_version_usage(asked).await;
            told.push(Old::of(version, tally, usage.as_ref(), &me));
        }
    }
    told
}

/// As a program reads it.
pub(super) fn json(tally: &Tally, old: &[Old]) -> Value {
    let moved = tally.moved.iter().flat_map(|(from, to)| {
        let each = to.iter();
        each.map(move |(to, count)| json!({ "from": from, "to": to, "count": count }))
    });
    let counted = |(version, count)| json!({ "version": version, "count": count });
    json!({
        "items": tally.items(),
        "moved": moved.collect::<Vec<_>>(),
        "current": tally.current.iter().map(counted).collect::<Vec<_>>(),
        "failed": tally.failed.iter().map(counted).collect::<Vec<_>>(),
        "unreadable": tally.unreadable,
        "oldVersions": old,
    })
}

/// As a person reads it.
pub(super) fn text(tally: &Tally, old: &[Old]) -> String {
    let mut table = Table::columns(["FROM", "TO", "ITEMS"]);
    let mut row = |from: &str, to: String, count: u64| table.row([from.into(), to, grouped(count)]);
    for (from, to) in &tally.moved {
        for (to, count) in to {
            row(&name::short(from), name::short(to), *count);
        }
    }
    for (version, count) in &tally.current {
        row(&name::short(version), "was current already".into(), *count);
    }
    for (version, count) in &tally.failed {
        row(&name::short(version), "not re-wrapped".into(), *count);
    }
    if tally.unreadable > 0 {
        row("", "not readable".into(), tally.unreadable);
    }
    if old.is_empty() {
        return table.to_string();
    }
    let mut versions = Table::columns(["OLD VERSION", "STATE", "LEFT HERE", "LAST USED", ""]);
    for old in old {
        versions.row([
            name::short(&old.version),
            old.state.clone(),
            grouped(old.left),
            time_and_age(old.last.as_ref()),
            format!("{}: {}", old.verdict.words(), old.reason),
        ]);
    }
    format!("{table}\n\n{versions}")
}

impl Old {
    fn of(
        version: v1::KeyVersion,
        tally: &Tally,
        usage: Result<&v1::VersionUsage, &kms_client::Error>,
        me: &[String],
    ) -> Self {
        let left = tally.left(&version.name);
        let last = usage.ok().and_then(|usage| usage.last_use_time);
        let (verdict, reason) = judged(left, usage, me);
        let at = last.and_then(|last| Timestamp::from_second(last.seconds).ok());
        let told = Some(version.state()).filter(|state| *state != v1::VersionState::Unspecified);
        let state = told.map(|state| word(state.as_str_name()));
        Old {
            state: state.unwrap_or_default(),
            left,
            last_use_time: at.map(|at| at.to_string()),
            verdict,
            reason,
            last,
            version: version.name,
        }
    }
}

impl Verdict {
    fn words(self) -> &'static str {
        match self {
            Self::Needed => "needed",
            Self::InUse => "in use",
            Self::CanGo => "can go",
            Self::NotTold => "not told",
        }
    }
}

fn judged(
    left: u64,
    usage: Result<&v1::VersionUsage, &kms_client::Error>,
    me: &[String],
) -> (Verdict, String) {
    if left > 0 {
        let items = grouped(left);
        return (
            Verdict::Needed,
            format!("{items} items here still refer to it"),
        );
    }
    let usage = match usage {
        Ok(usage) => usage,
        Err(error) => {
            let sentence = format!("nothing here refers to it; of its use: {error}");
            return (Verdict::NotTold, sentence);
        }
    };
    // The latest stands first.
    let other = usage
        .users
        .iter()
        .find(|user| !me.contains(&user.principal));
    if let Some(user) = other.filter(|user| is_lately(user.last_use_time.as_ref())) {
        let when = time_and_age(user.last_use_time.as_ref());
        let sentence = format!(
            "nothing here refers to it, but {} used it {when}",
            user.principal
        );
        return (Verdict::InUse, sentence);
    }
    let sentence =
        format!("nothing here refers to it, and nobody but you used it within {QUIET_DAYS} days");
    (Verdict::CanGo, sentence)
}

/// What was used within this many days is taken to be in use.
const QUIET_DAYS: i64 = 30;

fn is_lately(time: Option<&prost_types::Timestamp>) -> bool {
    let at = time.and_then(|time| Timestamp::from_second(time.seconds).ok());
    let quiet = SignedDuration::from_hours(24 * QUIET_DAYS);
    at.is_some_and(|at| Timestamp::now().duration_since(at) < quiet)
}

/// Every name of whoever asks.
async fn me(client: &Client) -> Vec<String> {
    let here = client.get_deployment(v1::GetDeploymentRequest {}).await;
    let here = here.unwrap_or_default();
    let mut names = here.aliases;
    names.push(here.principal);
    names
}

fn is_there(version: &v1::KeyVersion) -> bool {
    match version.state() {
        v1::VersionState::Destroyed | v1::VersionState::PreActive => false,
        v1::VersionState::Unspecified
        | v1::VersionState::Active
        | v1::VersionState::Suspended
        | v1::VersionState::Deactivated
        | v1::VersionState::Compromised => true,
    }
}

fn unknown(version: &str) -> v1::KeyVersion {
    v1::KeyVersion {
        name: version.to_owned(),
        ..v1::KeyVersion::default()
    }
}

/// The number in a version's name.
pub(super) fn number(version: &str) -> u32 {
    let number = version.rsplit_once('/').map(|(_, number)| number.parse());
    number.and_then(Result::ok).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn used(by: &[(&str, i64)]) -> v1::VersionUsage {
        let now = Timestamp::now().as_second();
        let user = |(principal, days): &(&str, i64)| v1::VersionUser {
            principal: (*principal).to_owned(),
            count: 1,
            last_use_time: Some(prost_types::Timestamp {
                seconds: now - days * 86_400,
                nanos: 0,
            }),
        };
        v1::VersionUsage {
            users: by.iter().map(user).collect(),
            ..v1::VersionUsage::default()
        }
    }

    #[test]
    fn a_version_goes_when_nothing_refers_to_it_and_nobody_else_uses_it() {
        let me = ["person/olivia".to_owned()];
        for (left, users, verdict) in [
            (1, &[][..], Verdict::Needed),
            (0, &[("person/olivia", 0)][..], Verdict::CanGo),
            (
                0,
                &[("person/olivia", 0), ("service/etl", 29)],
                Verdict::InUse,
            ),
            (
                0,
                &[("person/olivia", 0), ("service/etl", 31)],
                Verdict::CanGo,
            ),
            (0, &[], Verdict::CanGo),
        ] {
            assert_eq!(judged(left, Ok(&used(users)), &me).0, verdict, "{users:?}");
        }
        let refused = kms_client::Error::new(kms_client::Kind::Refused, "you may not");
        assert_eq!(judged(0, Err(&refused), &me).0, Verdict::NotTold);
        assert_eq!(judged(2, Err(&refused), &me).0, Verdict::Needed);
    }
}
