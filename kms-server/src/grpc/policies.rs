//! Policy, bindings, what they mean, and emergencies.

use super::binding::{binding, bindings, rules};
use super::door::{Asked, Door, mismatch};
use super::parse;
use super::resource::timestamp;
use crate::engine::{Reply, Revised};
use kms_core::action::Action;
use kms_core::command::{AccessQuery, Asked as Query, Change, Command, MayQuery, Read};
use kms_core::decide::{Access, Explained};
use kms_core::error::{Error, Result as Parsed};
use kms_core::value::{Stamped, Value};
use kms_proto::v1::{self, policy_service_server::PolicyService};
use tonic::{Extensions, Request, Response, Status};

type Answer<T> = Result<Response<T>, Status>;

/// Questions of one call, at most.
const QUESTIONS_MAX: usize = 1000;

#[tonic::async_trait]
impl PolicyService for Door {
    async fn get_policy(&self, request: Request<v1::GetPolicyRequest>) -> Answer<v1::Policy> {
        let (_, extensions, _) = request.into_parts();
        let asked = Ok(Command::Read(Read::Policy).into());
        let reply = self.pass(&extensions, Action::ReadPolicy, asked).await?;
        let Reply::Policy(rules, revision, bound) = reply else {
            return Err(mismatch());
        };
        Ok(Response::new(v1::Policy {
            schema: rules.schema.unwrap_or_default(),
            policy: rules.policy.unwrap_or_default(),
            etag: revision.map(|r| r.to_string()).unwrap_or_default(),
            bindings: bound.iter().filter_map(binding).collect(),
        }))
    }

    async fn put_policy(
        &self,
        request: Request<v1::PutPolicyRequest>,
    ) -> Answer<v1::PutPolicyResponse> {
        let (_, extensions, message) = request.into_parts();
        let given = |text: String| (!text.is_empty()).then_some(text);
        let asked = || -> Parsed<Asked> {
            let change = Change::PutPolicy {
                etag: parse::etag(&message.etag)?,
                schema: given(message.schema),
                policy: given(message.policy),
                reason: parse::reason(message.reason)?,
            };
            Asked::change(change, &message.request_id)
        };
        let made = self
            .changed(&extensions, Action::PutPolicy, asked())
            .await?;
        let etag = made.revision.to_string();
        Ok(Response::new(v1::PutPolicyResponse { etag }))
    }

    async fn put_bindings(
        &self,
        request: Request<v1::PutBindingsRequest>,
    ) -> Answer<v1::PutBindingsResponse> {
        let (_, extensions, message) = request.into_parts();
        let asked = || -> Parsed<Asked> {
            let change = Change::PutBindings {
                bindings: bindings(message.bindings)?,
                reason: parse::reason(message.reason)?,
            };
            Asked::change(change, &message.request_id)
        };
        let made = self
            .changed(&extensions, Action::PutBindings, asked())
            .await?;
        let etag = made.revision.to_string();
        Ok(Response::new(v1::PutBindingsResponse { etag }))
    }

    async fn list_policy_history(
        &self,
        request: Request<v1::ListPolicyHistoryRequest>,
    ) -> Answer<v1::ListPolicyHistoryResponse> {
        let (_, extensions, _) = request.into_parts();
        let asked = Ok(Command::Read(Read::History).into());
        let reply = self.pass(&extensions, Action::ReadPolicy, asked).await?;
        let Reply::History(found) = reply else {
            return Err(mismatch());
        };
        let revisions = found.iter().map(revised).collect();
        Ok(Response::new(v1::ListPolicyHistoryResponse { revisions }))
    }

    async fn explain_access(
        &self,
        request: Request<v1::ExplainAccessRequest>,
    ) -> Answer<v1::ExplainAccessResponse> {
        let (_, extensions, message) = request.into_parts();
        let asked = || -> Parsed<Asked> {
            if !(1..=QUESTIONS_MAX).contains(&message.questions.len()) {
                let sentence = "a call asks 1 to 1,000 questions";
                return Err(Error::invalid("questions", sentence));
            }
            let questions = message.questions.into_iter().map(question);
            let query = AccessQuery {
                candidate: message.candidate.map(rules).transpose()?.map(Box::new),
                asked: Query::May(questions.collect::<Parsed<_>>()?),
            };
            Ok(Command::Read(Read::Access(query)).into())
        };
        let reply = self.pass(&extensions, Action::ReadPolicy, asked()).await?;
        let Reply::Explained(found) = reply else {
            return Err(mismatch());
        };
        let answers = found.into_iter().map(explained).collect();
        Ok(Response::new(v1::ExplainAccessResponse { answers }))
    }

    async fn review_access(
        &self,
        request: Request<v1::ReviewAccessRequest>,
    ) -> Answer<v1::ReviewAccessResponse> {
        let (_, extensions, message) = request.into_parts();
        let asked = || -> Parsed<Asked> {
            let query = AccessQuery {
                candidate: message.candidate.map(rules).transpose()?.map(Box::new),
                asked: Query::Review,
            };
            Ok(Command::Read(Read::Access(query)).into())
        };
        let reply = self.pass(&extensions, Action::ReadPolicy, asked()).await?;
        let Reply::Access(found) = reply else {
            return Err(mismatch());
        };
        Ok(Response::new(v1::ReviewAccessResponse {
            accesses: found.into_iter().map(access).collect(),
        }))
    }

    async fn declare_emergency(
        &self,
        request: Request<v1::DeclareEmergencyRequest>,
    ) -> Answer<v1::Emergency> {
        let (_, extensions, message) = request.into_parts();
        let asked = || -> Parsed<Asked> {
            let change = Change::DeclareEmergency {
                minutes: message.minutes,
                reason: parse::reason(message.reason)?,
            };
            Asked::change(change, &message.request_id)
        };
        let made = self
            .changed(&extensions, Action::DeclareEmergency, asked())
            .await?;
        self.emergency(&made).map(Response::new)
    }

    async fn end_emergency(
        &self,
        request: Request<v1::EndEmergencyRequest>,
    ) -> Answer<v1::Emergency> {
        let (_, extensions, message) = request.into_parts();
        let asked = || -> Parsed<Asked> {
            let change = Change::EndEmergency {
                name: parse::name("name", &message.name)?,
                reason: parse::reason(message.reason)?,
            };
            Asked::change(change, &message.request_id)
        };
        let made = self
            .changed(&extensions, Action::EndEmergency, asked())
            .await?;
        self.emergency(&made).map(Response::new)
    }

    async fn review_emergency(
        &self,
        request: Request<v1::ReviewEmergencyRequest>,
    ) -> Answer<v1::Emergency> {
        let (_, extensions, message) = request.into_parts();
        let asked = || -> Parsed<Asked> {
            let change = Change::ReviewEmergency {
                name: parse::name("name", &message.name)?,
                findings: parse::reason(message.findings)?,
            };
            Asked::change(change, &message.request_id)
        };
        let made = self
            .changed(&extensions, Action::ReviewEmergency, asked())
            .await?;
        self.emergency(&made).map(Response::new)
    }

    async fn list_emergencies(
        &self,
        request: Request<v1::ListEmergenciesRequest>,
    ) -> Answer<v1::ListEmergenciesResponse> {
        let (_, extensions, _) = request.into_parts();
        let asked = Ok(Command::Read(Read::Emergencies).into());
        let reply = self.pass(&extensions, Action::ReadPolicy, asked).await?;
        let Reply::Page(found, _) = reply else {
            return Err(mismatch());
        };
        let emergencies = found.iter().map(|e| self.emergency(e));
        Ok(Response::new(v1::ListEmergenciesResponse {
            emergencies: emergencies.collect::<Result<_, _>>()?,
        }))
    }
}

impl Door {
    async fn changed(
        &self,
        extensions: &Extensions,
        action: Action,
        asked: Parsed<Asked>,
    ) -> Result<Stamped<Value>, Status> {
        let Reply::Resource(made) = self.pass(extensions, action, asked).await? else {
            return Err(mismatch());
        };
        Ok(*made)
    }

    fn emergency(&self, stamped: &Stamped<Value>) -> Result<v1::Emergency, Status> {
        let emergency = stamped.value.as_emergency().ok_or_else(mismatch)?;
        let (ended, reviewed) = (emergency.ended.as_ref(), emergency.reviewed.as_ref());
        Ok(v1::Emergency {
            name: emergency.name.to_string(),
            declarer: emergency.declarer.to_string(),
            approvers: emergency
                .approvers
                .iter()
                .map(ToString::to_string)
                .collect(),
            reason: emergency.reason.clone(),
            start_time: timestamp(emergency.from),
            end_time: timestamp(emergency.until),
            running: emergency.runs(self.now()),
            ended_time: ended.and_then(|e| timestamp(e.time)),
            ended_actor: ended.map(|e| e.actor.clone()).unwrap_or_default(),
            ended_reason: ended.map(|e| e.reason.clone()).unwrap_or_default(),
            review_time: reviewed.and_then(|r| timestamp(r.time)),
            reviewer: reviewed.map(|r| r.actor.clone()).unwrap_or_default(),
            findings: reviewed.map(|r| r.reason.clone()).unwrap_or_default(),
            etag: stamped.revision.to_string(),
        })
    }
}

fn question(question: v1::explain_access_request::Question) -> Parsed<MayQuery> {
    let unknown = || {
        let sentence = format!("{} is no action of this service", question.action);
        Error::invalid("action", sentence)
    };
    let action = Action::ALL.iter().find(|a| a.name() == question.action);
    let purpose = match question.purpose.as_str() {
        "" => None,
        purpose => Some(parse::name("purpose", purpose)?),
    };
    Ok(MayQuery {
        principal: parse::name("principal", &question.principal)?,
        action: *action.ok_or_else(unknown)?,
        on: question.resource,
        purpose,
        approvals: u8::try_from(question.approvals).unwrap_or(u8::MAX),
        at: question
            .time
            .map(|time| parse::time("time", &time))
            .transpose()?,
        source: parse::address("source", &question.source)?,
    })
}

fn explained(explained: Explained) -> v1::explain_access_response::Answer {
    use v1::explain_access_response::{Answer, PolicyLine};
    Answer {
        allowed: explained.allowed,
        approvals_needed: explained.needed.map_or(-1, i32::from),
        policies: explained
            .policies
            .into_iter()
            .map(|(id, line)| PolicyLine {
                id,
                line: line.unwrap_or_default(),
            })
            .collect(),
        advice: explained.advice.unwrap_or_default(),
        roles: explained.roles,
    }
}

fn access(access: Access) -> v1::review_access_response::Access {
    use v1::review_access_response::{Access, Place};
    Access {
        principal: access.principal.to_string(),
        action: access.action.name().into(),
        places: access
            .on
            .into_iter()
            .map(|(on, needed)| Place {
                on,
                approvals_needed: needed.into(),
            })
            .collect(),
    }
}

fn revised(revised: &Revised) -> v1::list_policy_history_response::Revision {
    let text = if let Value::Document(document) = &revised.value {
        document.text.clone()
    } else {
        let binding = revised.value.as_binding();
        binding
            .and_then(|b| serde_json::to_string(b).ok())
            .unwrap_or_default()
    };
    v1::list_policy_history_response::Revision {
        name: revised.value.name(),
        index: revised.index,
        time: timestamp(revised.time),
        actor: revised.actor.clone(),
        proposal: revised
            .proposal
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        etag: revised.revision.to_string(),
        text,
    }
}
