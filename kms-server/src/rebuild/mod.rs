//! `rebuild`: makes a lost store again from the changes log. Verify, look at the token, build beside,
//! move in, and only then do what has to be done about what the store alone knew. Interrupted
//! anywhere, it is run again and goes on where it was.

mod judged;
mod logs;
mod report;

pub use report::Report;

use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::doctor::{Diagnosis, Finding, compare};
use crate::engine::restored::{self, Proven, Unfinished};
use crate::engine::{Call, Engine};
use crate::health::Health;
use crate::serve::{Attended, Logs, STORE, end, parts, said};
use crate::store::{SledStore, StoreError};
use judged::{Judged, Part, older};
use kms_core::caller::Caller;
use kms_core::command::{Change, Command};
use kms_core::id::{KeyId, KeyUid};
use kms_core::name::RebuildName;
use kms_core::rebuild::{Evidence, Found};
use kms_core::state::State;
use kms_core::view::View;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use uuid::Uuid;

/// How a store is rebuilt.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// A directory with a copy of the logs; `None`: from those of the data directory.
    pub from: Option<PathBuf>,
    /// Nothing is changed.
    pub dry_run: bool,
    /// Also from a log that is known to end too early.
    pub behind: bool,
}

/// Rebuilds the store of a stopped deployment, from its logs or from a copy of them.
///
/// # Errors
/// One sentence that says why nothing was rebuilt, or what is not done yet.
pub async fn rebuild(config: Config, wish: Wish) -> Result<Report, String> {
    let Wish { from, .. } = wish.clone();
    let begun = tokio::task::spawn_blocking(move || {
        let logs = match from {
            Some(from) if wish.dry_run => Logs::open(&from),
            from => {
                logs::bring(&config.data, from.as_deref()).and_then(|()| Logs::open(&config.data))
            }
        }?;
        let there = There::look(&config.data.join(STORE))?;
        let pool = Attended::start(&config)?;
        Ok::<_, String>((config, logs, there, pool))
    });
    let (config, logs, there, pool) = begun.await.map_err(|e| e.to_string())??;
    let result = with_token(&config, (logs, there), &pool, &wish).await;
    end(pool).await?;
    result
}

async fn with_token(
    config: &Config,
    (logs, there): (Logs, There),
    pool: &Attended,
    wish: &Wish,
) -> Result<Report, String> {
    let proven = Proven::by(&*logs.changes)
        .await
        .map_err(|e| e.to_string())?;
    let view = proven.replay().view();
    view.founded().map_err(|_none| {
        "the changes log holds no deployment: an `init` that was interrupted is run again"
            .to_owned()
    })?;
    let hsm = pool.hsm();
    if let Health::Down(why) = hsm.health().borrow().clone() {
        return Err(format!("the token cannot be read: {why}"));
    }
    let mut report = Report::of(&proven);
    let begun = match &there {
        There::Store(store) if proven.is_told_by(store).await => {
            let unfinished = restored::unfinished(store).await;
            Some(unfinished.map_err(|e| said(&e))?)
        }
        There::Store(_) | There::Damaged | There::Nothing => None,
    };
    let diagnosis = compare(view, &*hsm).await?;
    right_token(&diagnosis)?;
    // What a crash leaves open beside a store that stands is settled by any start.
    let made = match begun {
        Some(None) => vec![],
        Some(Some(_)) | None => proven.unproved(),
    };
    let judged = Judged::new(view, &diagnosis, &made, false);
    let behind = !judged.later.is_empty();
    let begun = match begun {
        Some(Some(unfinished)) if unfinished.behind => Some(Some(unfinished)),
        // A store that is as old as its log: its counts are too low.
        Some(_) if behind => None,
        begun => begun,
    };
    report.stands = matches!(begun, Some(None));
    report.dry_run = wish.dry_run;
    if wish.dry_run || (report.stands && judged.again.is_empty() && judged.held.is_empty()) {
        if !report.stands {
            report.rotated = idle(view, &proven.counted().map(|version| version.id).collect());
        }
        report.take(judged, &diagnosis);
        return Ok(report);
    }
    if behind && begun.is_none() && !wish.behind {
        return Err(older(&judged));
    }
    let fresh = Unfinished {
        name: fresh_name()?,
        unproved: made,
        behind,
    };
    let (store, unfinished) = match (there, begun) {
        (There::Store(store), Some(Some(unfinished))) => (store, unfinished),
        // Only the token is not what the log says: somebody brought an older one back.
        (There::Store(store), Some(None)) => (store, fresh),
        (there, _) => build(config, there, &proven, fresh, &mut report).await?,
    };
    drop(proven);
    finish(config, pool, (store, logs), unfinished, report).await
}

/// The store as it was found.
enum There {
    /// One that opens.
    Store(SledStore),
    /// Something that is no store, or no longer.
    Damaged,
    /// Nothing.
    Nothing,
}

impl There {
    fn look(store: &Path) -> Result<Self, String> {
        if !store.exists() {
            return Ok(There::Nothing);
        }
        if !store.join("db").exists() {
            return Ok(There::Damaged);
        }
        match SledStore::open(store) {
            Ok(store) => Ok(There::Store(store)),
            Err(StoreError::Corrupt(_)) => Ok(There::Damaged),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Builds the store beside what is there, which is set aside, and moves it in.
async fn build(
    config: &Config,
    there: There,
    proven: &Proven,
    unfinished: Unfinished,
    report: &mut Report,
) -> Result<(SledStore, Unfinished), String> {
    let now = SystemClock::default().now().max(proven.replay().latest());
    let entries = proven.contents(&unfinished, now).map_err(|e| said(&e))?;
    let place = config.data.join(STORE);
    let built = tokio::task::spawn_blocking(move || {
        let aside = match there {
            There::Nothing => None,
            There::Store(store) => {
                drop(store);
                Some(logs::set_aside(&place)?)
            }
            There::Damaged => Some(logs::set_aside(&place)?),
        };
        let store = SledStore::rebuild(&place, &entries).map_err(|e| e.to_string())?;
        Ok::<_, String>((store, aside))
    });
    let (store, aside) = built.await.map_err(|e| e.to_string())??;
    report.aside = aside;
    tracing::info!("the store is built and moved in");
    Ok((store, unfinished))
}

/// Settles what a crash left open, records the rebuild with what is suspended and destroyed for it,
/// and rotates what can protect no longer: each by the one door.
async fn finish(
    config: &Config,
    pool: &Attended,
    (store, logs): (SledStore, Logs),
    unfinished: Unfinished,
    mut report: Report,
) -> Result<Report, String> {
    let (hsm, parts) = (pool.hsm(), parts(config, pool, store, logs));
    let store = Arc::clone(&parts.store);
    let engine = Engine::open_unfinished(parts).await;
    let engine = Arc::new(engine.map_err(|e| e.to_string())?);
    let view = engine.view();
    let diagnosis = compare(&view, &*hsm).await?;
    right_token(&diagnosis)?;
    let mut judged = Judged::new(&view, &diagnosis, &unfinished.unproved, unfinished.behind);
    judged.look(&view, &*hsm).await?;
    let evidence = Evidence {
        entries: report.entries,
        values: report.values,
        missing: length(&judged.missing),
        strange: length(&judged.strange),
    };
    let recorded = view.get(&unfinished.name.to_string()).is_some();
    for (name, part) in named(unfinished.name, recorded, judged.parts())? {
        let found = Found {
            name,
            evidence,
            again: part.again,
            unproved: part.unproved,
            later: part.later,
        };
        let call = Call {
            caller: Caller::Founder,
            id: Uuid::new_v4().to_string(),
            request: None,
        };
        let change = Change::Rebuild(Box::new(found));
        let done = engine.run(call, Command::Change(change)).await;
        done.map_err(|e| not_done(&said(&e)))?;
    }
    tracing::info!("the rebuild is recorded");
    let before = engine.view();
    engine.carry_out_due().await;
    let after = engine.view();
    report.rotated = rotated(&before, &after);
    let spent = restored::spent(&*store).await.map_err(|e| said(&e))?;
    report.spent = idle(&after, &spent);
    report.take(judged, &diagnosis);
    restored::finish(&*store)
        .await
        .map_err(|e| not_done(&e.to_string()))?;
    Ok(report)
}

/// Each part with a name of its own. Where the first was recorded before an interruption, only what
/// is still to be done follows.
fn named(
    first: RebuildName,
    recorded: bool,
    parts: Vec<Part>,
) -> Result<Vec<(RebuildName, Part)>, String> {
    let mut name = (!recorded).then_some(first);
    let mut all = Vec::new();
    for part in parts {
        let empty = part.again.is_empty() && part.unproved.is_empty() && part.later.is_empty();
        if let Some(name) = name.take() {
            all.push((name, part));
        } else if !empty {
            all.push((fresh_name()?, part));
        }
    }
    Ok(all)
}

/// A token that has none of the keys is another token.
fn right_token(diagnosis: &Diagnosis) -> Result<(), String> {
    let missing = diagnosis.findings().iter();
    let missing = missing
        .filter(|f| matches!(f, Finding::Missing(..)))
        .count();
    if missing > 0 && missing == diagnosis.versions() {
        return Err(format!(
            "the token shows none of the {missing} keys that the log names: is it the right token? \
             See the runbook token-lost"
        ));
    }
    Ok(())
}

/// The keys whose primary version was rotated.
fn rotated(before: &View, after: &View) -> Vec<String> {
    let keys = after.all().filter_map(|stamped| stamped.value.as_key());
    keys.filter(|key| {
        let former = before.key(&key.name).map(|(former, _)| former.primary);
        former.is_some_and(|former| former != key.primary)
    })
    .map(|key| key.name.to_string())
    .collect()
}

/// The keys that protect nothing, because the count of their primary version is lost and none came
/// after it.
fn idle(view: &View, spent: &BTreeSet<KeyId>) -> Vec<String> {
    let keys = view.all().filter_map(|stamped| stamped.value.as_key());
    keys.filter(|key| {
        let open = view.space(key.name.space());
        let open = open.is_some_and(|(space, _)| space.archived.is_none());
        let primary = view.primary(key).filter(|v| v.state == State::Active);
        open && primary.is_some_and(|version| spent.contains(&version.id))
    })
    .map(|key| key.name.to_string())
    .collect()
}

fn fresh_name() -> Result<RebuildName, String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|e| format!("there are no random bytes: {e}"))?;
    RebuildName::fresh(&KeyUid(bytes)).map_err(|e| said(&e))
}

fn not_done(why: &str) -> String {
    format!("the store is rebuilt, and not all is done about it yet: {why}; run the same again")
}

fn length<T>(all: &[T]) -> u64 {
    u64::try_from(all.len()).unwrap_or(u64::MAX)
}
