//! What a schema must say, so that questions need not be held against it each time.

use super::entities::{context, entities, request, uid};
use super::question::{Circumstances, Coming, Question, Target, Traits};
use crate::action::Action;
use crate::caller::Principal;
use crate::class::Class;
use crate::deployment::Environment;
use crate::error::{Error, Result};
use crate::key::{Study, Wrapping};
use crate::name::{DomainName, EdgeName, KeyName, SpaceName};
use crate::space::SpaceKind;
use crate::time::Time;
use cedar_policy::Schema;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// On which sorts of resource the schema lets each action be asked.
pub(super) fn applies(schema: &Schema) -> Result<BTreeMap<&'static str, BTreeSet<String>>> {
    let asked = Action::ALL.iter().filter(|a| !a.is_at_the_machine());
    let sorts = asked.map(|action| {
        let name = action.name();
        let sorts = schema.resources_for_action(&uid("Action", name)?);
        let sorts = sorts.ok_or_else(|| {
            let sentence = format!("the schema does not declare the action {action}");
            Error::invalid("schema", sentence)
        })?;
        Ok((name, sorts.map(|sort| sort.basename().to_owned()).collect()))
    });
    sorts.collect()
}

/// Makes sure, once, that whatever is asked is what the schema says: then it need not be held
/// against the schema each time.
pub(super) fn conforms(
    schema: &Schema,
    applies: &BTreeMap<&'static str, BTreeSet<String>>,
) -> Result<()> {
    let (space, domain): (SpaceName, DomainName) = ("spaces/a".parse()?, "domains/a".parse()?);
    let (edge, key): (EdgeName, KeyName) =
        ("spaces/a/edges/a".parse()?, "spaces/a/keys/a".parse()?);
    let study = Study {
        purpose: "a".parse()?,
        ends: Time::default(),
    };
    let translators: [Principal; 1] = ["service/a".parse()?];
    let everything_said = Traits {
        study: Some(&study),
        translators: &translators,
        seals: Some(&edge),
    };
    let targets = [
        Target::Deployment,
        Target::Space(&space, SpaceKind::Project),
        Target::Domain(&domain),
        Target::Edge(&edge, Traits::default()),
        Target::Edge(&edge, everything_said),
        Target::Key(&key, Class::DataAtRest, Traits::default()),
        Target::Key(&key, Class::DataAtRest, everything_said),
    ];
    let everything = Circumstances {
        environment: Environment::Production,
        approvals: 1,
        emergency: true,
        now: Time::default(),
        source: Some(IpAddr::from([127, 0, 0, 1])),
        purpose: Some(&study.purpose),
        provider: true,
        authenticated: Some(Time::default()),
        strong: true,
        proposed: Some(Action::PutPolicy),
        waiting: Some(1),
        intake: Some(Coming {
            mechanism: Wrapping::RsaAesSha1,
            two_steps: true,
            source: Some(&study.purpose),
        }),
    };
    let nothing = Circumstances {
        source: None,
        purpose: None,
        authenticated: None,
        proposed: None,
        waiting: None,
        intake: None,
        ..everything
    };
    let principals: [Principal; 2] = ["person/a".parse()?, "service/a".parse()?];
    let question = |principal, action, target, circumstances| Question {
        principal,
        binding: None,
        action,
        target,
        circumstances,
    };
    for target in targets {
        for principal in &principals {
            let about = question(principal, Action::ReadInventory, target, nothing);
            entities(&about, Some(schema)).map_err(|e| foreign(target.sort(), &e))?;
        }
    }
    for action in Action::ALL.iter().copied() {
        let sorts = applies.get(action.name());
        let asked = |target: &&Target<'_>| sorts.is_some_and(|s| s.contains(target.sort()));
        for target in targets.iter().filter(asked) {
            for (principal, circumstances) in principals.iter().zip([everything, nothing]) {
                let asked = question(principal, action, *target, circumstances);
                let told = context(&circumstances)?;
                request(&asked, told, Some(schema)).map_err(|e| foreign(action.name(), &e))?;
            }
        }
    }
    Ok(())
}

fn foreign(what: &str, error: &Error) -> Error {
    let sentence = format!(
        "the schema is not one for this service: it has another idea of {what} than the service \
         asks about"
    );
    Error::invalid("schema", sentence).because(error.cause().unwrap_or_default())
}
