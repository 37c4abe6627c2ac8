//! The policy's answers about uses, remembered: a question costs the policy a tenth of a
//! millisecond, and a platform asks the same one on every object that it opens.

use kms_core::action::Effect;
use kms_core::caller::Principal;
use kms_core::error::Result;
use kms_core::policy::{Answer, Circumstances, Judge, Policy, Question, Regardless, Target};
use kms_core::time::Time;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// So many are remembered; then all are forgotten, and asked again.
const MOST: usize = 16 * 1024;

/// A policy that remembers what it said. It belongs to one view: any change of policy, bindings or
/// keys makes a new one, so that nothing is remembered that was taken back.
#[derive(Debug)]
pub(super) struct Answers {
    policy: Arc<Policy>,
    said: Mutex<HashMap<Asked, Answer>>,
}

/// Everything about a question that the policy reads. Times count by the second: what a policy
/// allows until a moment is asked again within a second of it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Asked {
    principal: Principal,
    action: &'static str,
    target: String,
    emergency: bool,
    second: u64,
    source: Option<IpAddr>,
    purpose: Option<String>,
    authenticated: Option<Time>,
    strong: bool,
}

impl Answers {
    pub(super) fn new(policy: Policy) -> Self {
        Answers {
            policy: Arc::new(policy),
            said: Mutex::default(),
        }
    }

    /// The same policy for another view: it has said nothing yet.
    pub(super) fn anew(&self) -> Self {
        Answers {
            policy: Arc::clone(&self.policy),
            said: Mutex::default(),
        }
    }
}

impl Asked {
    /// `None` for a question that is not asked often.
    fn of(question: &Question<'_>) -> Option<Self> {
        let Circumstances {
            environment: _,
            approvals,
            emergency,
            now,
            source,
            purpose,
            provider: _,
            authenticated,
            strong,
            proposed: _,
            waiting: _,
            intake: _,
        } = question.circumstances;
        let often = match question.action.effect() {
            Effect::Protects | Effect::Processes => approvals == 0,
            Effect::Makes | Effect::Moves | Effect::Reads => false,
        };
        let target = match question.target {
            Target::Edge(edge, _) => edge.to_string(),
            Target::Key(key, _, _) => key.to_string(),
            Target::Deployment | Target::Space(..) | Target::Domain(_) => return None,
        };
        often.then(|| Asked {
            principal: question.principal.clone(),
            action: question.action.name(),
            target,
            emergency,
            second: now.seconds(),
            source,
            purpose: purpose.map(|p| p.as_str().to_owned()),
            authenticated,
            strong,
        })
    }
}

impl Judge for Answers {
    fn answer(&self, question: &Question<'_>) -> Result<Answer> {
        let Some(asked) = Asked::of(question) else {
            return self.policy.answer(question);
        };
        // What a panic left is a whole map: an answer is put in at once.
        let said = || self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = said().get(&asked) {
            return Ok(answer.clone());
        }
        let answer = self.policy.answer(question)?;
        let mut said = said();
        if said.len() >= MOST {
            said.clear();
        }
        said.insert(asked, answer.clone());
        Ok(answer)
    }

    fn regardless(&self, of: Regardless, question: &Question<'_>) -> Result<bool> {
        self.policy.regardless(of, question)
    }

    fn forbidden(&self, question: &Question<'_>) -> Option<String> {
        self.policy.forbidden(question)
    }
}
