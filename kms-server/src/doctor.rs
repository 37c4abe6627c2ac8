//! `doctor`: compares store and token, both ways, and changes nothing unless told.

use crate::config::Config;
use crate::engine::Engine;
use crate::health::Health;
use crate::hsm::{Hsm, TokenObject, template};
use crate::serve::{end, open, said};
use kms_core::error::Kind;
use kms_core::id::KeyId;
use kms_core::key::{KeySpec, Learned, Origin, Version};
use kms_core::permit::{Permit, SystemOp};
use kms_core::state::State;
use kms_core::view::View;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// What was found.
#[derive(Debug, Default)]
pub struct Diagnosis {
    versions: usize,
    objects: usize,
    findings: Vec<Finding>,
    destroyed: Vec<KeyId>,
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The store has a version whose key the token does not show.
    Missing(String, KeyId),
    /// The token has an object that no version names.
    Orphan(TokenObject),
    /// An object is not what its class demands.
    Wrong(String, String),
}

impl Diagnosis {
    /// How many versions there are that are not destroyed.
    #[must_use]
    pub fn versions(&self) -> usize {
        self.versions
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.findings.is_empty()
    }

    /// What was found.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} versions in the store, {} objects in the token",
            self.versions, self.objects
        )?;
        for id in &self.destroyed {
            writeln!(f, "destroyed orphan {id}")?;
        }
        for finding in &self.findings {
            match finding {
                Finding::Missing(name, id) => writeln!(
                    f,
                    "MISSING  {name}: the token does not show {id}. Do not delete anything: is this the right token? See ops/runbooks/token-lost.md"
                )?,
                Finding::Orphan(object) => writeln!(
                    f,
                    "ORPHAN   {} {} {}: in the token, in no record of this deployment. A crash leaves one where nothing was promised, and what shares the token has its own; to destroy it: --destroy-orphan {}",
                    object.class, object.raw_id, object.label, object.raw_id
                )?,
                Finding::Wrong(name, what) => writeln!(f, "WRONG    {name}: {what}")?,
            }
        }
        if self.is_well() {
            writeln!(f, "store and token agree")
        } else {
            Ok(())
        }
    }
}

/// Compares a stopped deployment's store with its token. Opening it settles what a crash left
/// open, as starting the server would. `orphans` are ids of orphans to destroy.
///
/// # Errors
/// One sentence when the deployment or the token cannot be opened, or when an id to destroy is not
/// an orphan's.
pub async fn doctor(config: Config, orphans: &[String]) -> Result<Diagnosis, String> {
    let opened = tokio::task::spawn_blocking(move || open(&config)).await;
    let opened = opened.map_err(|e| e.to_string())??;
    let (pool, hsm) = (opened.pool, Arc::clone(&opened.parts.hsm));
    if let Health::Down(why) = hsm.health().borrow().clone() {
        return Err(format!("the token cannot be read: {why}"));
    }
    let engine = Engine::open(opened.parts)
        .await
        .map_err(|e| e.to_string())?;
    let view = engine.view();
    let mut diagnosis = compare(&view, &*hsm).await?;
    for text in orphans {
        let id = diagnosis
            .findings
            .iter()
            .find_map(|f| {
                if let Finding::Orphan(o) = f {
                    o.id.filter(|_| o.raw_id == *text)
                } else {
                    None
                }
            })
            .ok_or_else(|| format!("{text} is not the id of an orphan; nothing was destroyed"))?;
        let permit = Permit::system(SystemOp::Recovery);
        hsm.destroy(&permit, &id).await.map_err(|e| said(&e))?;
        diagnosis.destroyed.push(id);
    }
    if !orphans.is_empty() {
        let destroyed = std::mem::take(&mut diagnosis.destroyed);
        diagnosis = Diagnosis {
            destroyed,
            ..compare(&view, &*hsm).await?
        };
    }
    end(pool).await?;
    Ok(diagnosis)
}

/// Compares what a deployment says with what its token holds, both ways; changes nothing.
///
/// # Errors
/// One sentence when the token cannot be read.
pub async fn compare(view: &View, hsm: &dyn Hsm) -> Result<Diagnosis, String> {
    let objects = hsm.objects().await.map_err(|e| said(&e))?;
    let mut by_id: BTreeMap<KeyId, Vec<&TokenObject>> = BTreeMap::new();
    let mut diagnosis = Diagnosis {
        objects: objects.len(),
        ..Diagnosis::default()
    };
    for object in &objects {
        match object.id {
            Some(id) => by_id.entry(id).or_default().push(object),
            None => diagnosis.findings.push(Finding::Orphan(object.clone())),
        }
    }
    let living = view
        .all()
        .filter_map(|s| s.value.as_version())
        .filter(|version| version.state != State::Destroyed);
    for version in living {
        diagnosis.versions += 1;
        match by_id.remove(&version.id) {
            None => diagnosis
                .findings
                .push(Finding::Missing(version.name.to_string(), version.id)),
            Some(objects) => {
                for what in wrong(view, version, &objects) {
                    diagnosis
                        .findings
                        .push(Finding::Wrong(version.name.to_string(), what));
                }
                let permit = Permit::system(SystemOp::Recovery);
                if let Some(spec) = spec(view, version) {
                    // What recognises imported material the token does not tell by itself.
                    let recorded = version.learned.clone().map(|known| Learned {
                        recognised: None,
                        ..known
                    });
                    let what = match hsm.find(&permit, &spec).await {
                        Ok(told) if told == recorded => None,
                        Ok(_) => Some(
                            "its fingerprint is not the one recorded when it was made".to_owned(),
                        ),
                        // The token answers, and shows something else than this key.
                        Err(e) if e.kind() == Kind::Internal => Some(said(&e)),
                        Err(e) => return Err(said(&e)),
                    };
                    let name = version.name.to_string();
                    let wrong = what.map(|what| Finding::Wrong(name, what));
                    diagnosis.findings.extend(wrong);
                }
            }
        }
    }
    // What the security officer put there for others is not a key of ours; whether it is as it should
    // be is looked at whenever something is to leave under it.
    for destination in view.destinations() {
        by_id.remove(&destination.id());
    }
    let orphans = by_id.into_values().flatten().cloned().map(Finding::Orphan);
    diagnosis.findings.extend(orphans);
    Ok(diagnosis)
}

/// What the HSM was to make for a version.
pub(crate) fn spec(view: &View, version: &Version) -> Option<KeySpec> {
    let (key, _) = view.key(version.name.key())?;
    Some(KeySpec {
        id: version.id,
        label: version.name.clone(),
        class: key.class,
        exportable: key.exportable,
        intake: key.intake.clone(),
    })
}

/// What is not as the class demands.
fn wrong(view: &View, version: &Version, objects: &[&TokenObject]) -> Vec<String> {
    let Some((key, _)) = view.key(version.name.key()) else {
        return vec!["it belongs to no key".into()];
    };
    let mut found = Vec::new();
    for object in objects {
        let mut demand = |fine: bool, what: &str| {
            if !fine {
                found.push(format!("{} object: {what}", object.class));
            }
        };
        demand(
            object.label == version.name.to_string(),
            "its label is another",
        );
        if object.class == "public" {
            continue;
        }
        demand(object.sensitive, "it is not sensitive");
        demand(
            object.extractable == key.exportable,
            "whether it is extractable was not decided so",
        );
        demand(
            object.local == (version.origin == Origin::Generated),
            "whether it was made in the token is not as recorded",
        );
        let allowed = template::mechanism_names(key.class, key.intake.as_ref());
        demand(
            object.mechanisms == allowed,
            "its allowed mechanisms are not its class's",
        );
    }
    found
}
