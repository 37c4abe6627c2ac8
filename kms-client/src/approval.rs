//! Approving: what you see is what you sign.

use crate::{Client, Error, Kind, v1};
use kms_core::action::Action;
use kms_core::caller::Principal;
use kms_core::name::Slug;
use kms_core::proposal::{Seen, Terms};
use kms_core::time::Time;

/// What a proposal asks, read from the parts of it that an approval signs. What people are shown of
/// it must come from here: the rest of the message is the service's word.
///
/// # Errors
/// [`Kind::Invalid`] when a part does not parse, when the command is not what the action or the
/// resource say, or when it holds anything that this version does not know and so would not show.
pub fn terms(proposal: &v1::Proposal) -> Result<Terms, Error> {
    let name = &proposal.name;
    let wrong = |what: &str| {
        let sentence =
            format!("{name} must not be signed: {what}; update kms, or ask an auditor to look");
        Error::new(Kind::Invalid, sentence)
    };
    let action = Action::ALL.iter().find(|a| a.name() == proposal.action);
    let seen = proposal.seen.iter().map(|seen| {
        let revision = match seen.revision.as_str() {
            "" => Ok(None),
            text => text.parse().map(Some),
        };
        revision.map(|revision| Seen {
            name: seen.name.clone(),
            revision,
        })
    });
    let read = || -> kms_core::Result<Terms> {
        Ok(Terms {
            name: name.parse()?,
            proposer: proposal.proposer.parse()?,
            action: *action.ok_or_else(|| kms_core::Error::invalid("action", "unknown"))?,
            command: proposal.command.clone(),
            expires: Time(proposal.expire_millis),
            seen: seen.collect::<kms_core::Result<_>>()?,
        })
    };
    let terms = read().map_err(|e| wrong(&format!("a part of it does not parse ({e})")))?;
    let change = terms
        .change()
        .map_err(|_told_apart| wrong("its command is not one that this kms knows"))?;
    if change.text().ok().as_ref() != Some(&terms.command) {
        return Err(wrong("its command holds more than this kms can show"));
    }
    if change.action() != terms.action || change.resource().1 != proposal.resource {
        return Err(wrong("its command is another than it says"));
    }
    Ok(terms)
}

impl Client {
    /// Agrees to a proposal as it was shown, with a signature by the key of our certificate. The
    /// digest is computed here, from what was shown: if the service holds anything else under this
    /// name, the signature is not one.
    ///
    /// # Errors
    /// As [`terms`]; [`Kind::Internal`] when the service does not say who we are; [`Kind::Tls`]
    /// when our key can sign by no scheme of approvals; then as the call.
    pub async fn approve(
        &self,
        shown: &v1::Proposal,
        reason: impl Into<String>,
    ) -> Result<v1::Proposal, Error> {
        let terms = terms(shown)?;
        let here = self.get_deployment(v1::GetDeploymentRequest {}).await?;
        let unknown = |what: &str, e: kms_core::Error| {
            let sentence = format!("the service does not say {what}, so nothing is signed: {e}");
            Error::new(Kind::Internal, sentence)
        };
        let deployment: Slug = here
            .name
            .parse()
            .map_err(|e| unknown("which deployment this is", e))?;
        let custodian: Principal = here
            .principal
            .parse()
            .map_err(|e| unknown("who you are", e))?;
        let (scheme, signature) = self
            .identity
            .sign(&terms.message(&deployment, &custodian))?;
        self.approve_proposal(v1::ApproveProposalRequest {
            name: shown.name.clone(),
            scheme: scheme.code().into(),
            signature,
            reason: reason.into(),
            request_id: String::new(),
        })
        .await
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn proposal() -> v1::Proposal {
        v1::Proposal {
            name: "proposals/p1".into(),
            proposer: "person/olivia".into(),
            action: "Withdraw".into(),
            resource: "proposals/p2".into(),
            command: r#"{"Withdraw":{"proposal":"proposals/p2","reason":"no"}}"#.into(),
            expire_millis: 7,
            seen: vec![
                v1::proposal::Seen {
                    name: "proposals/p2".into(),
                    revision: "4".into(),
                },
                v1::proposal::Seen {
                    name: "proposals/p3".into(),
                    revision: String::new(),
                },
            ],
            ..v1::Proposal::default()
        }
    }

    #[test]
    fn the_terms_are_those_of_the_message() {
        let terms = terms(&proposal()).unwrap();
        assert_eq!(terms.expires, Time(7));
        assert_eq!(
            terms.seen.iter().map(|s| s.revision).collect::<Vec<_>>(),
            [Some(kms_core::revision::Revision(4)), None]
        );
    }

    #[test]
    fn what_cannot_be_shown_in_full_is_not_signed() {
        type Spoil = fn(&mut v1::Proposal);
        let changes: [(&str, Spoil); 8] = [
            ("does not parse", |p| p.name = "proposals/P".into()),
            ("does not parse", |p| p.proposer = "olivia".into()),
            ("does not parse", |p| p.action = "Nothing".into()),
            ("does not parse", |p| {
                p.seen.first_mut().unwrap().revision = "04".into();
            }),
            ("another than it says", |p| p.action = "Reject".into()),
            ("another than it says", |p| {
                p.resource = "proposals/p3".into();
            }),
            ("not one that this kms knows", |p| {
                p.command = r#"{"Burn":{}}"#.into();
            }),
            ("more than this kms can show", |p| {
                p.command =
                    r#"{"Withdraw":{"proposal":"proposals/p2","reason":"no","and":1}}"#.into();
            }),
        ];
        for (why, change) in changes {
            let mut proposal = proposal();
            change(&mut proposal);
            let refused = terms(&proposal).unwrap_err();
            assert_eq!(refused.kind(), Kind::Invalid);
            assert!(refused.to_string().contains(why), "{why}: {refused}");
        }
    }
}
