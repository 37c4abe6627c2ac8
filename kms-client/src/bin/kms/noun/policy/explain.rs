//! Whether and why somebody may do something.

use super::Explain;
use crate::session::Session;
use crate::study::stamp;
use crate::table::{Table, thing};
use crate::waiting::approvals;
use console::style;
use kms_client::{Error, Kind, v1};
use v1::explain_access_request::Question;
use v1::explain_access_response::Answer;

pub(super) async fn run(
    session: &Session,
    asked: Explain,
    purpose: Option<String>,
) -> Result<(), Error> {
    let question = |approvals: u32| Question {
        principal: asked.who.clone(),
        action: asked.can.clone(),
        resource: asked.on.clone(),
        purpose: purpose.clone().unwrap_or_default(),
        approvals,
        time: asked.at.map(stamp),
        source: asked.from.map(|from| from.to_string()).unwrap_or_default(),
    };
    let answer = one(session, question(0)).await?;
    if session.screen.is_json() {
        return session.screen.message(&v1::ExplainAccessResponse {
            answers: vec![answer],
        });
    }
    let policy = session.client.get_policy(v1::GetPolicyRequest {}).await?;
    let sentence = format!("{} {} on {}", asked.who, asked.can, thing(&asked.on));
    let verdict = match answer.approvals_needed {
        0 => style(format!("allowed: {sentence}")).green(),
        -1 => style(format!("refused, whoever agrees: {sentence}")).red(),
        _ => style(format!("allowed once others agree: {sentence}")).yellow(),
    };
    session.screen.line(&verdict.bold().to_string())?;
    let roles = match answer.roles.as_slice() {
        [] => "none: bound to nothing here".to_owned(),
        roles => roles.join("; "),
    };
    let needed = u32::try_from(answer.approvals_needed).unwrap_or_default();
    let facts = Table::fields([
        ("roles", roles),
        ("purpose", purpose.clone().unwrap_or_default()),
        (
            "from",
            asked.from.map(|from| from.to_string()).unwrap_or_default(),
        ),
        ("at", asked.at.map(|at| at.to_string()).unwrap_or_default()),
        (
            "needs",
            if needed > 0 {
                approvals(needed)
            } else {
                String::new()
            },
        ),
        ("advice", answer.advice.clone()),
    ]);
    session.screen.line(&facts.to_string())?;
    if answer.policies.is_empty() {
        return session.screen.line("\nno policy permits it");
    }
    let why = if answer.allowed {
        "permitted by"
    } else {
        "forbidden as it is by"
    };
    show(session, why, &answer, &policy.policy)?;
    // What stands in the way is one half; what lets it through with enough approvals the other.
    if needed > 0 {
        let agreed = one(session, question(needed)).await?;
        show(session, "and then permitted by", &agreed, &policy.policy)?;
    }
    Ok(())
}

async fn one(session: &Session, question: Question) -> Result<Answer, Error> {
    let request = v1::ExplainAccessRequest {
        questions: vec![question],
        candidate: None,
    };
    let answer = session.client.explain_access(request).await?;
    let first = answer.answers.into_iter().next();
    first.ok_or_else(|| Error::new(Kind::Internal, "the service answered nothing"))
}

fn show(session: &Session, why: &str, answer: &Answer, text: &str) -> Result<(), Error> {
    for policy in &answer.policies {
        let head = format!("\n{why} {}, line {}", policy.id, policy.line);
        session.screen.line(&style(head).bold().to_string())?;
        let from = usize::try_from(policy.line).unwrap_or_default();
        for (number, line) in statement(text, from) {
            session.screen.line(&format!("{number:>5}  {line}"))?;
        }
    }
    Ok(())
}

/// The lines of the policy that begins at a line, counted from 1, up to its semicolon.
fn statement(text: &str, from: usize) -> impl Iterator<Item = (usize, &str)> {
    let mut over = from == 0;
    let lines = text.lines().enumerate().skip(from.saturating_sub(1));
    lines.map_while(move |(at, line)| {
        if over {
            return None;
        }
        over = line
            .split("//")
            .next()
            .is_some_and(|code| code.trim_end().ends_with(';'));
        Some((at + 1, line))
    })
}

#[cfg(test)]
mod tests {
    use super::statement;

    #[test]
    fn a_policy_is_shown_from_its_name_to_its_semicolon() {
        let text = "// a\n@id(\"one\")\npermit (p);\n\n@id(\"two\")\nforbid (q) // never;\nwhen { r }; // so\n";
        let shown = |from| statement(text, from).collect::<Vec<_>>();
        assert_eq!(shown(2), [(2, "@id(\"one\")"), (3, "permit (p);")]);
        assert_eq!(
            shown(5),
            [
                (5, "@id(\"two\")"),
                (6, "forbid (q) // never;"),
                (7, "when { r }; // so")
            ]
        );
        assert_eq!(shown(0), []);
    }
}
