//! A policy document: named policies that the schema allows.

use cedar_policy::{
    ActionConstraint, EntityUid, Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator,
};

/// The schema that is shipped.
pub(crate) fn schema() -> Schema {
    let text = include_str!("../../../ops/policy/schema.cedarschema");
    Schema::from_cedarschema_str(text).unwrap().0
}

/// The policy that is shipped, as its text.
pub(crate) const SHIPPED: &str = include_str!("../../../ops/policy/policy.cedar");

/// What turns break glass on when it is appended.
pub(crate) const BREAK_GLASS: &str = include_str!("../../../ops/policy/break-glass.cedar");

/// Policies that are strictly valid and called by their `@id`.
#[derive(Debug, Clone)]
pub(crate) struct Rules(PolicySet);

impl Rules {
    /// The policy that is shipped.
    pub(crate) fn shipped(schema: &Schema) -> Rules {
        Rules::read(schema, SHIPPED).unwrap()
    }

    /// The policy that is shipped, with break glass turned on.
    pub(crate) fn with_break_glass(schema: &Schema) -> Rules {
        Rules::read(schema, &format!("{SHIPPED}\n{BREAK_GLASS}")).unwrap()
    }

    /// # Errors
    /// What is wrong with the text. A warning (a policy that applies to nothing) is wrong too.
    pub(crate) fn read(schema: &Schema, text: &str) -> Result<Rules, String> {
        let parsed: PolicySet = text.parse().map_err(|e| format!("does not parse: {e:?}"))?;
        let policies: Result<Vec<Policy>, String> = parsed
            .policies()
            .map(|policy| match policy.annotation("id") {
                Some(id) => Ok(policy.new_id(PolicyId::new(id))),
                None => Err(format!("a policy has no @id: {policy}")),
            })
            .collect();
        Rules::of(schema, policies?)
    }

    /// # Errors
    /// What is wrong with these policies.
    pub(crate) fn of(
        schema: &Schema,
        policies: impl IntoIterator<Item = Policy>,
    ) -> Result<Rules, String> {
        let set = PolicySet::from_policies(policies).map_err(|e| e.to_string())?;
        let found = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
        let mut wrong = found
            .validation_errors()
            .map(ToString::to_string)
            .chain(found.validation_warnings().map(ToString::to_string));
        match wrong.next() {
            Some(wrong) => Err(wrong),
            None => Ok(Rules(set)),
        }
    }

    /// The policies.
    pub(crate) fn set(&self) -> &PolicySet {
        &self.0
    }
}

/// Whether the scope of this policy has this action.
pub(crate) fn names(policy: &Policy, action: &EntityUid) -> bool {
    match policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::In(actions) => actions.contains(action),
        ActionConstraint::Eq(one) => one == *action,
    }
}
