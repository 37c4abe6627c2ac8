//! A policy asked without regard to circumstances: where they would make the difference, the way
//! that allows more. What nobody may do by any combination of roles they may not do on a Sunday
//! either, nor from another network.

use super::entities::fault;
use crate::error::Result;
use cedar_policy::{Policy, PolicySet};
use serde_json::{Map, Value, json};

/// Circumstances that a question leaves open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Regardless {
    /// From where somebody comes, and how they signed in.
    OfComing,
    /// All of them: time, approvals, purpose and emergencies too.
    OfEverything,
}

impl Regardless {
    /// Whether it leaves this attribute of the circumstances open.
    fn leaves_open(self, attribute: &str) -> bool {
        match self {
            Regardless::OfComing => {
                ["source", "provider", "authenticated", "strong"].contains(&attribute)
            }
            Regardless::OfEverything => true,
        }
    }
}

/// The same policies, but that what hangs on open circumstances goes the way that allows more.
pub(super) fn regardless(set: &PolicySet, of: Regardless) -> Result<PolicySet> {
    let opened = set.policies().map(|policy| opened(policy, of));
    let opened = opened.collect::<Result<Vec<Policy>>>()?;
    PolicySet::from_policies(opened).map_err(|e| fault(&e))
}

fn opened(policy: &Policy, of: Regardless) -> Result<Policy> {
    let mut json = policy.to_json().map_err(|e| fault(&e))?;
    let permits = json.get("effect").and_then(Value::as_str) == Some("permit");
    let conditions = json.get_mut("conditions").and_then(Value::as_array_mut);
    for condition in conditions.into_iter().flatten() {
        let when = condition.get("kind").and_then(Value::as_str) == Some("when");
        // A permit should hold, a forbid should not; `unless` turns that round.
        if let Some(body) = condition.get_mut("body") {
            *body = towards(body, permits == when, of);
        }
    }
    Policy::from_json(Some(policy.id().clone()), json).map_err(|e| fault(&e))
}

/// The expression in which whatever hangs on open circumstances is as it must be for the whole to be
/// `wanted`, if that can be.
fn towards(expression: &Value, wanted: bool, of: Regardless) -> Value {
    if !hangs_on(expression, of) {
        return expression.clone();
    }
    let Some((operator, operands)) = expression.as_object().and_then(|map| map.iter().next())
    else {
        return expression.clone();
    };
    let part = |name: &str, wanted| {
        let part = operands.get(name).unwrap_or(&Value::Null);
        towards(part, wanted, of)
    };
    match operator.as_str() {
        "!" => json!({ "!": { "arg": part("arg", !wanted) } }),
        both @ ("&&" | "||") => {
            let sides = json!({ "left": part("left", wanted), "right": part("right", wanted) });
            Value::Object(Map::from_iter([(both.to_owned(), sides)]))
        }
        "if-then-else" => {
            // Either branch may be taken that its condition does not rule out.
            let otherwise = json!({ "Value": !wanted });
            let taken = branch(part("if", true), part("then", wanted), otherwise.clone());
            let not_taken = branch(part("if", false), otherwise, part("else", wanted));
            let either = if wanted { "||" } else { "&&" };
            let sides = json!({ "left": taken, "right": not_taken });
            Value::Object(Map::from_iter([(either.to_owned(), sides)]))
        }
        _ => json!({ "Value": wanted }),
    }
}

fn branch(condition: Value, then: Value, otherwise: Value) -> Value {
    json!({ "if-then-else": { "if": condition, "then": then, "else": otherwise } })
}

/// Whether an expression reads circumstances that are open.
fn hangs_on(expression: &Value, of: Regardless) -> bool {
    match expression {
        Value::Object(map) => {
            let attribute = |access: &Value| {
                let of_context = access.get("left") == Some(&json!({ "Var": "context" }));
                let attribute = access.get("attr").and_then(Value::as_str);
                attribute.filter(|_| of_context).map(ToOwned::to_owned)
            };
            map.iter().any(|(operator, operands)| {
                match (operator.as_str(), attribute(operands)) {
                    ("." | "has", Some(attribute)) => of.leaves_open(&attribute),
                    // The record itself, whatever is done with it.
                    ("Var", _) if operands == "context" => true,
                    _ => hangs_on(operands, of),
                }
            })
        }
        Value::Array(items) => items.iter().any(|item| hangs_on(item, of)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
