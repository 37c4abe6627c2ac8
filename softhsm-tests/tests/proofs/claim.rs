//! A claim: what must hold of the policy, said in the policy's own language.

use crate::rules::Rules;
use cedar_policy::{ActionConstraint, Effect, EntityUid, Policy, PolicyId, Schema};
use serde_json::Value;
use std::collections::BTreeSet;

/// The claims, in the order of their files.
pub(crate) const FILES: [(&str, &str); 4] = [
    (
        "1-dual-control",
        include_str!("claims/1-dual-control.cedar"),
    ),
    ("2-who", include_str!("claims/2-who.cedar")),
    ("3-roles", include_str!("claims/3-roles.cedar")),
    ("4-keys", include_str!("claims/4-keys.cedar")),
];

/// A `forbid` that is never needed: the policy permits nothing that it forbids.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    /// Its name.
    pub(crate) name: String,
    /// What a security officer signs.
    pub(crate) sentence: String,
    /// The actions that it names; none: it speaks of all.
    pub(crate) actions: Vec<EntityUid>,
    /// The actions that a claim on all actions excepts, by its `unless`.
    pub(crate) excepts: Vec<EntityUid>,
    /// Whether it is true with `break-glass.cedar` appended, too.
    pub(crate) with_break_glass: bool,
    /// The claim itself.
    pub(crate) forbid: Policy,
    /// The case that it speaks of, as a `permit`, if there is something that must hold in that
    /// case: else what it forbids never happens at all.
    pub(crate) case: Option<Policy>,
}

impl Claim {
    /// Every claim.
    pub(crate) fn all(schema: &Schema) -> Vec<Claim> {
        let mut names = BTreeSet::new();
        let claims: Vec<Claim> = FILES
            .iter()
            .flat_map(|(file, text)| {
                Claim::read(schema, text).unwrap_or_else(|why| panic!("{file}: {why}"))
            })
            .collect();
        for claim in &claims {
            assert!(names.insert(&claim.name), "two claims: {}", claim.name);
        }
        claims
    }

    /// The claims of a text.
    ///
    /// # Errors
    /// What is wrong with it: what is misspelt must not pass for proved.
    pub(crate) fn read(schema: &Schema, text: &str) -> Result<Vec<Claim>, String> {
        let rules = Rules::read(schema, text)?;
        let claims: Result<Vec<Claim>, String> = rules
            .set()
            .policies()
            .map(|policy| {
                Claim::new(policy.clone()).map_err(|why| format!("{}: {why}", policy.id()))
            })
            .collect();
        claims.and_then(|claims| match claims.is_empty() {
            true => Err("claims nothing".to_owned()),
            false => Ok(claims),
        })
    }

    fn new(forbid: Policy) -> Result<Claim, String> {
        if forbid.effect() != Effect::Forbid {
            return Err("a claim is a forbid".to_owned());
        }
        let mut sentence = None;
        let mut with_break_glass = true;
        for (name, value) in forbid.annotations() {
            match (name, value) {
                ("id", _) => {}
                ("claim", text) => {
                    sentence = Some(text.split_whitespace().collect::<Vec<_>>().join(" "));
                }
                ("without", "break-glass.cedar") => with_break_glass = false,
                (name, value) => return Err(format!("what is @{name}({value:?})?")),
            }
        }
        let sentence = sentence
            .filter(|sentence| sentence.ends_with(['.', ')']))
            .ok_or("needs a sentence: @claim(\"... .\")")?;
        let actions = match forbid.action_constraint() {
            ActionConstraint::Any => vec![],
            ActionConstraint::In(actions) => actions,
            ActionConstraint::Eq(action) => vec![action],
        };
        let json = forbid.to_json().map_err(|e| format!("as JSON: {e}"))?;
        let excepts = match actions.is_empty() {
            true => excepts(&json)?,
            false => vec![],
        };
        let case = case(json)?;
        Ok(Claim {
            name: forbid.id().to_string(),
            sentence,
            actions,
            excepts,
            with_break_glass,
            case,
            forbid,
        })
    }

    /// Whether it speaks of this action.
    pub(crate) fn speaks_of(&self, action: &EntityUid) -> bool {
        self.actions.is_empty() || self.actions.contains(action)
    }
}

/// The same scope and `when`, as a permit, if there is an `unless`.
fn case(mut forbid: Value) -> Result<Option<Policy>, String> {
    let conditions = forbid["conditions"].as_array_mut();
    let conditions = conditions.ok_or("has no conditions in JSON")?;
    let all = conditions.len();
    conditions.retain(|condition| condition["kind"] == "when");
    if conditions.len() == all {
        return Ok(None);
    }
    forbid["effect"] = "permit".into();
    Policy::from_json(Some(PolicyId::new("case")), forbid)
        .map(Some)
        .map_err(|e| format!("as JSON: {e}"))
}

/// The actions of `unless { action in [...] }`: a claim on all actions has no other `unless`.
fn excepts(forbid: &Value) -> Result<Vec<EntityUid>, String> {
    let conditions = forbid["conditions"].as_array().into_iter().flatten();
    let unless = conditions.filter(|condition| condition["kind"] == "unless");
    let mut excepts = vec![];
    for condition in unless {
        let within = &condition["body"]["in"];
        let actions = within["right"]["Set"].as_array();
        let Some(actions) = actions.filter(|_| within["left"]["Var"] == "action") else {
            return Err("a claim on all actions excepts some by name, or has no unless".to_owned());
        };
        for action in actions {
            let action = EntityUid::from_json(action["Value"].clone());
            excepts.push(action.map_err(|e| e.to_string())?);
        }
    }
    Ok(excepts)
}
