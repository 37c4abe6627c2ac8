//! Questions to the solver: cvc5, asked by Cedar's symbolic compiler.

use crate::claim::Claim;
use crate::request::Found;
use crate::rules::Rules;
use cedar_policy::{EntityUid, Policy, PolicyId, PolicySet, RequestEnv, Schema};
use cedar_policy_symcc::solver::LocalSolver;
use cedar_policy_symcc::{CedarSymCompiler, CompiledPolicy, CompiledPolicySet, err::Error};
use tokio::runtime::Runtime;

/// A solver that runs, and what it is asked about. What it cannot answer fails the test.
#[derive(Debug)]
pub(crate) struct Prover {
    pub(crate) schema: Schema,
    solver: CedarSymCompiler<LocalSolver>,
    runtime: Runtime,
}

impl Prover {
    /// Starts `cvc5`.
    pub(crate) fn start(schema: Schema) -> Prover {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let solver = {
            let _inside = runtime.enter();
            LocalSolver::cvc5_with_args(["--tlimit-per=60000"])
                .expect("cvc5 does not start: install Debian's package cvc5")
        };
        Prover {
            schema,
            solver: CedarSymCompiler::new(solver).unwrap(),
            runtime,
        }
    }

    /// Every sort of request about this action: who asks, about what.
    pub(crate) fn sorts(&self, action: &EntityUid) -> Vec<RequestEnv> {
        let sorts: Vec<RequestEnv> = self
            .schema
            .request_envs()
            .filter(|sort| sort.action() == action)
            .collect();
        assert!(!sorts.is_empty(), "{action} applies to nothing");
        sorts
    }

    /// Every action.
    pub(crate) fn actions(&self) -> Vec<EntityUid> {
        let mut actions: Vec<EntityUid> = self.schema.actions().cloned().collect();
        actions.sort();
        actions
    }

    /// A request of this sort that the rules permit and one of the claims forbids.
    pub(crate) fn refute(
        &mut self,
        rules: &Rules,
        claims: &[&Claim],
        sort: &RequestEnv,
    ) -> Option<Found> {
        let claims: Vec<Policy> = claims
            .iter()
            .filter(|claim| claim.speaks_of(sort.action()))
            .map(|claim| claim.forbid.clone())
            .collect();
        if claims.is_empty() {
            return None;
        }
        let bound = everything_but(claims);
        self.beyond(rules.set(), &bound, sort)
    }

    /// A request of this sort that `rules` permit and `bound` does not.
    pub(crate) fn beyond(
        &mut self,
        rules: &PolicySet,
        bound: &PolicySet,
        sort: &RequestEnv,
    ) -> Option<Found> {
        let rules = CompiledPolicySet::compile(rules, sort, &self.schema).unwrap();
        let bound = CompiledPolicySet::compile(bound, sort, &self.schema).unwrap();
        let asked = self
            .solver
            .check_implies_with_counterexample_opt(&rules, &bound);
        let found = self.runtime.block_on(asked);
        found.unwrap_or_else(|e| unanswered(&e, sort)).map(Found)
    }

    /// A request of this sort that the claim forbids, permitted or not.
    pub(crate) fn forbidden(&mut self, claim: &Claim, sort: &RequestEnv) -> Option<Found> {
        let claim = CompiledPolicy::compile(&claim.forbid, sort, &self.schema).unwrap();
        let asked = self
            .solver
            .check_never_matches_with_counterexample_opt(&claim);
        let found = self.runtime.block_on(asked);
        found.unwrap_or_else(|e| unanswered(&e, sort)).map(Found)
    }

    /// A request of this sort that the rules permit in this case.
    pub(crate) fn permitted(
        &mut self,
        rules: &Rules,
        case: &Policy,
        sort: &RequestEnv,
    ) -> Option<Found> {
        let rules = CompiledPolicySet::compile(rules.set(), sort, &self.schema).unwrap();
        let case = CompiledPolicy::compile(case, sort, &self.schema)
            .unwrap()
            .into_compiled_policyset();
        let asked = self
            .solver
            .check_disjoint_with_counterexample_opt(&rules, &case);
        let found = self.runtime.block_on(asked);
        found.unwrap_or_else(|e| unanswered(&e, sort)).map(Found)
    }

    /// Whether this policy is never in error on a request of this sort.
    pub(crate) fn never_in_error(&mut self, policy: &Policy, sort: &RequestEnv) -> bool {
        let policy = CompiledPolicy::compile(policy, sort, &self.schema).unwrap();
        let asked = self.solver.check_never_errors_opt(&policy);
        let never = self.runtime.block_on(asked);
        never.unwrap_or_else(|e| unanswered(&e, sort))
    }
}

/// All that these claims leave.
pub(crate) fn everything_but(claims: impl IntoIterator<Item = Policy>) -> PolicySet {
    let everything = "permit (principal, action, resource);";
    let everything = Policy::parse(Some(PolicyId::new("everything")), everything).unwrap();
    PolicySet::from_policies(claims.into_iter().chain([everything])).unwrap()
}

fn unanswered(error: &Error, sort: &RequestEnv) -> ! {
    panic!("{} on {}: {error:?}", sort.action(), sort.resource())
}
