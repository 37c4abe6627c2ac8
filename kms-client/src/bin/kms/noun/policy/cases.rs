//! What the policy should say, case by case.

use crate::session::Session;
use crate::study;
use crate::table::{Table, thing};
use crate::waiting::approvals;
use crate::yaml;
use jiff::Timestamp;
use kms_client::{Error, Kind, name, v1};
use kms_core::action::Action;
use kms_core::caller::Principal;
use kms_core::name::Slug;
use serde::Deserialize;
use serde_json::json;
use serde_saphyr::Spanned;
use std::net::IpAddr;
use std::path::Path;
use v1::explain_access_request::Question;
use v1::explain_access_response::Answer;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    cases: Vec<Spanned<Case>>,
}

/// A case: who can do what on which, for what, from where and when; and whether that is right.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(rename = "as")]
    who: Principal,
    can: Action,
    on: String,
    purpose: Option<Slug>,
    from: Option<IpAddr>,
    at: Option<Moment>,
    expect: Expected,
}

/// A day or a moment, as `--at` takes it.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Moment(Timestamp);

impl TryFrom<String> for Moment {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        study::day(&text).map(Self)
    }
}

/// What is expected of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
enum Expected {
    /// As it is.
    Allowed,
    /// Whoever agrees.
    Refused,
    /// When so many agree, and not before.
    Approvals(u32),
}

impl TryFrom<String> for Expected {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let count = text.strip_prefix("approvals ").map(str::trim);
        match (text.as_str(), count.map(str::parse)) {
            ("allowed", _) => Ok(Self::Allowed),
            ("refused", _) => Ok(Self::Refused),
            (_, Some(Ok(0))) => Ok(Self::Allowed),
            (_, Some(Ok(count))) => Ok(Self::Approvals(count)),
            (_, Some(Err(_)) | None) => Err(format!(
                "expect is allowed, refused or approvals N, not {text:?}"
            )),
        }
    }
}

impl std::fmt::Display for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Allowed => f.write_str("allowed"),
            Self::Refused => f.write_str("refused"),
            Self::Approvals(count) => f.write_str(&approvals(*count)),
        }
    }
}

/// A case with its line in the file.
#[derive(Debug)]
pub(super) struct Located {
    line: u64,
    case: Case,
}

/// Reads the cases; names may be short.
pub(super) fn read(path: &Path) -> Result<Vec<Located>, Error> {
    let document: Document = yaml::read(path)?;
    if document.cases.is_empty() {
        let sentence = format!("{} holds no case", path.display());
        return Err(Error::new(Kind::Invalid, sentence));
    }
    let located = document.cases.into_iter().map(|at| {
        let line = at.referenced.line();
        let on = name::resource(&at.value.on).map_err(|e| {
            Error::new(Kind::Invalid, e.to_string())
                .within(format!("{}, line {line}", path.display()))
        })?;
        let case = Case { on, ..at.value };
        Ok(Located { line, case })
    });
    located.collect()
}

/// Puts every case to the service.
pub(super) async fn run(
    session: &Session,
    cases: Vec<Located>,
    candidate: Option<v1::Rules>,
) -> Result<(), Error> {
    let mut failed = Vec::new();
    for some in cases.chunks(AT_ONCE) {
        let request = v1::ExplainAccessRequest {
            questions: some.iter().map(|at| question(&at.case)).collect(),
            candidate: candidate.clone(),
        };
        let answers = session.client.explain_access(request).await?.answers;
        if answers.len() != some.len() {
            let sentence = "the service did not answer every case";
            return Err(Error::new(Kind::Internal, sentence));
        }
        let wrong = some
            .iter()
            .zip(answers)
            .filter(|(at, answer)| at.case.expect != found(answer));
        failed.extend(wrong);
    }
    show(session, cases.len(), &failed)?;
    if failed.is_empty() {
        return Ok(());
    }
    let sentence = format!("{} of {} cases do not hold", failed.len(), cases.len());
    Err(Error::new(Kind::Invalid, sentence))
}

/// Questions of one call, at most.
const AT_ONCE: usize = 1000;

fn question(case: &Case) -> Question {
    Question {
        principal: case.who.to_string(),
        action: case.can.name().to_owned(),
        resource: case.on.clone(),
        purpose: case
            .purpose
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        approvals: 0,
        time: case.at.map(|at| study::stamp(at.0)),
        source: case.from.map(|from| from.to_string()).unwrap_or_default(),
    }
}

fn found(answer: &Answer) -> Expected {
    match u32::try_from(answer.approvals_needed) {
        Err(_none) => Expected::Refused,
        Ok(0) => Expected::Allowed,
        Ok(needed) => Expected::Approvals(needed),
    }
}

fn show(session: &Session, all: usize, failed: &[(&Located, Answer)]) -> Result<(), Error> {
    if session.screen.is_json() {
        let wrong: Vec<_> = failed
            .iter()
            .map(|(at, answer)| {
                json!({
                    "line": at.line,
                    "as": at.case.who.to_string(),
                    "can": at.case.can.name(),
                    "on": at.case.on,
                    "expected": at.case.expect.to_string(),
                    "found": found(answer).to_string(),
                    "policies": policies(answer),
                })
            })
            .collect();
        return session
            .screen
            .json(&json!({ "cases": all, "failed": wrong }));
    }
    if failed.is_empty() {
        return session.screen.line(&format!("all {all} cases hold"));
    }
    let table = Table::columns(["LINE", "AS", "CAN", "ON", "EXPECTED", "FOUND", "BY"]);
    let rows = failed.iter().map(|(at, answer)| {
        [
            at.line.to_string(),
            at.case.who.to_string(),
            at.case.can.to_string(),
            thing(&at.case.on),
            at.case.expect.to_string(),
            found(answer).to_string(),
            policies(answer).join(", "),
        ]
    });
    session.screen.line(&table.rows(rows).to_string())
}

fn policies(answer: &Answer) -> Vec<&str> {
    let ids = answer.policies.iter().map(|policy| policy.id.as_str());
    ids.collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn told(text: &str) -> Result<Vec<Located>, Error> {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("cases.yaml");
        std::fs::write(&path, text).unwrap();
        read(&path)
    }

    #[test]
    fn cases_are_read_with_their_lines() {
        let cases = told(
            "cases:\n  - {as: person/o, can: RotateKey, on: a/b, expect: allowed}\n  \
             - {as: person/h, can: PutPolicy, on: deployment, expect: approvals 2}\n",
        )
        .unwrap();
        let read: Vec<_> = cases
            .iter()
            .map(|at| (at.line, at.case.on.as_str(), at.case.expect))
            .collect();
        assert_eq!(
            read,
            [
                (2, "spaces/a/keys/b", Expected::Allowed),
                (3, "deployment", Expected::Approvals(2))
            ]
        );
    }

    #[test]
    fn what_is_wrong_names_its_line() {
        for (case, why) in [
            (
                "{as: olga, can: RotateKey, on: a/b, expect: allowed}",
                "person/{id}",
            ),
            (
                "{as: person/o, can: Rotate, on: a/b, expect: allowed}",
                "Rotate",
            ),
            (
                "{as: person/o, can: RotateKey, on: A, expect: allowed}",
                "\"A\"",
            ),
            (
                "{as: person/o, can: RotateKey, on: a/b, expect: yes}",
                "approvals N",
            ),
            (
                "{as: person/o, can: RotateKey, on: a/b, expect: approvals x}",
                "approvals N",
            ),
            (
                "{as: person/o, can: RotateKey, on: a/b, from: inside, expect: allowed}",
                "IP address",
            ),
            (
                "{as: person/o, can: RotateKey, on: a/b, at: noon, expect: allowed}",
                "2027-01-01",
            ),
        ] {
            let refused = told(&format!("cases:\n  - {case}\n")).unwrap_err();
            assert_eq!(refused.kind(), Kind::Invalid);
            let sentence = refused.to_string();
            assert!(
                sentence.contains("line 2") && sentence.contains(why),
                "{sentence}"
            );
        }
    }
}
