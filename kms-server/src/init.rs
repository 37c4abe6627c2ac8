//! `init`: makes a new deployment. Interrupted, it can be run again and goes on where it was: a
//! deployment is one once its own document is there, which comes last.

use crate::audit::DiskJournal;
use crate::config::Config;
use crate::engine::{Call, Engine};
use crate::serve::{STORE, end, open, said};
use crate::store::SledStore;
use kms_core::binding::Binding;
use kms_core::caller::Caller;
use kms_core::class::Class;
use kms_core::command::{Change, Command, LogName, Rules};
use kms_core::decide::{sound, with};
use kms_core::deployment::Deployment;
use kms_core::error::Kind;
use kms_core::name::{
    ATTESTATION_KEY, DIGEST_KEY, IMPORT_PARAMETERS_KEY, IMPORT_TOKEN_KEY, SERVICE_SPACE,
};
use kms_core::policy::Policy;
use kms_core::space::{Space, SpaceKind};
use kms_core::time::Time;
use kms_core::value::{Document, DocumentName, Value};
use kms_core::view::View;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use uuid::Uuid;

/// What `init` reads.
#[derive(Debug)]
pub struct Founding {
    deployment: Deployment,
    schema: String,
    policy: String,
    bindings: Vec<Binding>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bindings {
    bindings: Vec<Binding>,
}

impl Founding {
    /// Reads and checks the documents: nothing is made before all of them are sound.
    ///
    /// # Errors
    /// One sentence that names the file.
    pub fn read(deployment: &Path, policy: &Path, bindings: &Path) -> Result<Self, String> {
        let place = policy.join("policy.cedar");
        let schema = text(&policy.join("schema.cedarschema"))?;
        let policy = text(&place)?;
        Policy::parse(&schema, &policy).map_err(|e| format!("{}: {e}", place.display()))?;
        let bound: Bindings = yaml(bindings)?;
        let mut seen = BTreeSet::new();
        for binding in &bound.bindings {
            if !seen.insert(binding.principal().clone()) {
                let who = binding.principal();
                return Err(format!(
                    "{}: {who} is bound twice; list all roles in one entry",
                    bindings.display()
                ));
            }
        }
        Ok(Founding {
            deployment: yaml(deployment)?,
            schema,
            policy,
            bindings: bound.bindings,
        })
    }

    /// Whether policy and bindings together are what could be applied later: nobody is locked out,
    /// and nobody has what no one person may.
    fn can_be_lived_with(&self) -> Result<(), String> {
        let rules = Rules {
            schema: Some(self.schema.clone()),
            policy: Some(self.policy.clone()),
            bindings: self.bindings.clone(),
        };
        let judged = sound(
            &with(&View::default(), &rules),
            self.deployment.environment,
            now(),
            None,
        );
        judged.map(drop).map_err(|e| said(&e))
    }

    /// The first changes of a deployment, in order. The deployment's own document comes last.
    fn changes(self) -> Result<Vec<Change>, String> {
        let document = |document, text| Value::Document(Document { document, text });
        let space = Space::new(
            SERVICE_SPACE.parse().map_err(|e| said(&e))?,
            "The deployment's own keys".into(),
            SpaceKind::Platform,
            Time::default(),
        );
        let mut values = vec![
            document(DocumentName::Schema, self.schema),
            document(DocumentName::Policy, self.policy),
            Value::Space(space),
        ];
        values.extend(self.bindings.into_iter().map(Value::Binding));
        let found = |value| Change::Found(Box::new(value));
        let mut changes: Vec<Change> = values.into_iter().map(found).collect();
        for (name, class) in [
            (IMPORT_TOKEN_KEY, Class::ServiceImportToken),
            (ATTESTATION_KEY, Class::ServiceAttestation),
            (DIGEST_KEY, Class::ServiceDigest),
            (IMPORT_PARAMETERS_KEY, Class::ServiceImportParameters),
        ] {
            let name = name.parse().map_err(|e| said(&e))?;
            changes.push(Change::FoundKey { name, class });
        }
        changes.push(found(Value::Deployment(self.deployment)));
        Ok(changes)
    }
}

fn text(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))
}

fn yaml<T: DeserializeOwned>(path: &Path) -> Result<T, String> {
    serde_saphyr::from_str(&text(path)?).map_err(|e| {
        let plain = serde_saphyr::render_options! {
            snippets: serde_saphyr::SnippetMode::Off,
            formatter: &serde_saphyr::UserMessageFormatter,
        };
        let said = e.render_with_options(plain).replace('\n', " ");
        let (said, _place) = said.rsplit_once(" at line ").unwrap_or((&said, ""));
        let line = e.location().map_or(1, |at| at.line());
        format!("{}: line {line}: {said}", path.display())
    })
}

/// Makes the deployment.
///
/// # Errors
/// One sentence that says what is in the way.
pub async fn init(config: Config, founding: Founding) -> Result<(), String> {
    founding.can_be_lived_with()?;
    let made = config.clone();
    let opened = tokio::task::spawn_blocking(move || {
        create(&made)?;
        open(&made)
    });
    let opened = opened.await.map_err(|e| e.to_string())??;
    let pool = opened.pool;
    let engine = Engine::open(opened.parts)
        .await
        .map_err(|e| e.to_string())?;
    let result = found(Arc::new(engine), founding).await;
    end(pool).await?;
    result
}

/// Makes the deployment in an engine that is open. Interrupted, it can be done again.
///
/// # Errors
/// One sentence that says what is in the way.
pub async fn found(engine: Arc<Engine>, founding: Founding) -> Result<(), String> {
    let view = engine.view();
    if let Some(deployment) = view.deployment() {
        let name = &deployment.name;
        return Err(format!(
            "there is a deployment here already, {name}; `init` never changes one"
        ));
    }
    let now = now();
    for change in founding.changes()? {
        let change = dated(change, now);
        let (_, name) = change.resource();
        let there = view.get(&name).is_some();
        if there && matches!(change, Change::FoundKey { .. }) {
            continue;
        }
        let call = Call {
            caller: Caller::Founder,
            id: Uuid::new_v4().to_string(),
            request: None,
        };
        let signs = matches!(
            change,
            Change::FoundKey {
                class: Class::ServiceAttestation | Class::ServiceImportParameters,
                ..
            }
        );
        match engine.run(call, Command::Change(change)).await {
            Ok(_) => {}
            // Without it there are no attestations, or no imports, and whoever asks is told.
            Err(e) if signs && e.kind() == Kind::Invalid => {
                tracing::warn!(
                    "this deployment will sign nothing with {name}: {}",
                    said(&e)
                );
            }
            Err(e) => return Err(format!("{name}: {}", said(&e))),
        }
    }
    Ok(())
}

/// Makes, in a deployment of an earlier release, the keys of its own that it lacks: the one that makes
/// digests, and the one that signs import parameters. Without them everything is served but runs and
/// imports, and records have no digest: an HSM that is away keeps nothing from starting, and the next
/// start tries again.
pub async fn complete(engine: &Arc<Engine>) {
    for (key, class) in [
        (DIGEST_KEY, Class::ServiceDigest),
        (IMPORT_PARAMETERS_KEY, Class::ServiceImportParameters),
    ] {
        let name = match key.parse() {
            Ok(name) if engine.view().key(&name).is_none() => name,
            Ok(_) | Err(_) => continue,
        };
        let call = Call {
            caller: Caller::Founder,
            id: Uuid::new_v4().to_string(),
            request: None,
        };
        let change = Change::FoundKey { name, class };
        match engine.run(call, Command::Change(change)).await {
            Ok(_) => tracing::info!("made {key}, which this deployment lacked"),
            Err(e) => tracing::warn!("{key} is not made yet: {}", said(&e)),
        }
    }
}

fn now() -> Time {
    Time(u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0))
}

fn dated(change: Change, now: Time) -> Change {
    let Change::Found(value) = change else {
        return change;
    };
    let mut value = *value;
    if let Value::Deployment(deployment) = &mut value {
        deployment.created = now;
    } else if let Value::Space(space) = &mut value {
        space.created = now;
    }
    Change::Found(Box::new(value))
}

/// Makes what is not there yet: an interrupted `init` left some of it.
fn create(config: &Config) -> Result<(), String> {
    std::fs::create_dir_all(&config.data).map_err(|e| format!("{}: {e}", config.data.display()))?;
    for log in [LogName::Changes, LogName::Uses] {
        if !config.data.join(log.name()).exists() {
            DiskJournal::create(&config.data, log).map_err(|e| e.to_string())?;
        }
    }
    if !config.data.join(STORE).exists() {
        SledStore::create(&config.data.join(STORE)).map_err(|e| e.to_string())?;
    }
    Ok(())
}
