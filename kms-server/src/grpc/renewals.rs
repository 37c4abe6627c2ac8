//! Renewal campaigns, and the translation of pseudonyms inside them.

use super::crypto::either;
use super::door::{Asked, Door, mismatch};
use super::parse;
use super::pseudonyms::{IDENTIFIERS_MAX, batch, identifier};
use super::resource::{timestamp, transition};
use super::stream::{self, Answers, Message};
use crate::engine::{Renewed, Reply, Translated};
use kms_core::action::Action;
use kms_core::caller::Principal;
use kms_core::command::{Change, Command, Passage, Read, Use};
use kms_core::error::{Error, Result as Parsed};
use kms_core::renewal::{Mode, Renewal};
use kms_core::time::DAY;
use kms_proto::v1::{self, renewal_service_server::RenewalService};
use tonic::{Extensions, Request, Response, Status, Streaming};

type Answer<T> = Result<Response<T>, Status>;

/// How long translators may translate where nobody says otherwise, in milliseconds: 30 days.
const TRANSLATING: u64 = 30 * DAY;

#[tonic::async_trait]
impl RenewalService for Door {
    type StreamTranslateStream = Answers<v1::TranslateResponse>;

    async fn start_renewal(
        &self,
        request: Request<v1::StartRenewalRequest>,
    ) -> Answer<v1::Renewal> {
        let (_, extensions, message) = request.into_parts();
        let asked = || -> Parsed<Asked> {
            let who = |text: &String| parse::name::<Principal>("translators", text);
            let change = Change::StartRenewal {
                name: parse::name("name", &message.name)?,
                etag: parse::etag(&message.etag)?,
                mode: mode(message.mode)?,
                translators: message.translators.iter().map(who).collect::<Parsed<_>>()?,
                expected: message.expected,
                lasting: parse::period("lasting", message.lasting)?.unwrap_or(TRANSLATING),
                reason: parse::reason(message.reason)?,
            };
            Asked::change(change, &message.request_id)
        };
        let reply = self.pass(&extensions, Action::StartRenewal, asked()).await;
        renewal(reply?)
    }

    async fn get_renewal(&self, request: Request<v1::GetRenewalRequest>) -> Answer<v1::Renewal> {
        let (_, extensions, message) = request.into_parts();
        let asked = parse::name("name", &message.name)
            .map(|name| Asked::from(Command::Read(Read::Renewal(name))));
        renewal(self.pass(&extensions, Action::ReadInventory, asked).await?)
    }

    async fn translate(
        &self,
        request: Request<v1::TranslateRequest>,
    ) -> Answer<v1::TranslateResponse> {
        let (_, extensions, message) = request.into_parts();
        message.carried(self, &extensions).await.map(Response::new)
    }

    async fn stream_translate(
        &self,
        request: Request<Streaming<v1::TranslateRequest>>,
    ) -> Answer<Self::StreamTranslateStream> {
        Ok(Response::new(stream::answers(self, request)))
    }

    async fn verify_renewal(
        &self,
        request: Request<v1::VerifyRenewalRequest>,
    ) -> Answer<v1::Renewal> {
        let (_, extensions, message) = request.into_parts();
        let count = |field: &str, count: i64| {
            u64::try_from(count)
                .map_err(|e| Error::invalid(field, "a count is not negative").because(e))
        };
        let asked = || -> Parsed<Asked> {
            let change = Change::VerifyRenewal {
                name: parse::name("name", &message.name)?,
                etag: parse::etag(&message.etag)?,
                rows: count("rows", message.rows)?,
                sampled: count("sampled", message.sampled)?,
            };
            Asked::change(change, &message.request_id)
        };
        let reply = self.pass(&extensions, Action::VerifyRenewal, asked()).await;
        renewal(reply?)
    }

    async fn cutover(&self, request: Request<v1::CutoverRequest>) -> Answer<v1::Renewal> {
        let (_, extensions, message) = request.into_parts();
        let asked = || -> Parsed<Asked> {
            let change = Change::Cutover {
                name: parse::name("name", &message.name)?,
                etag: parse::etag(&message.etag)?,
                reason: parse::reason(message.reason)?,
            };
            Asked::change(change, &message.request_id)
        };
        renewal(self.pass(&extensions, Action::Cutover, asked()).await?)
    }

    async fn finish_renewal(
        &self,
        request: Request<v1::FinishRenewalRequest>,
    ) -> Answer<v1::Renewal> {
        let (_, extensions, message) = request.into_parts();
        let asked = || -> Parsed<Asked> {
            let change = Change::FinishRenewal {
                name: parse::name("name", &message.name)?,
                etag: parse::etag(&message.etag)?,
                abandon: message.abandon,
                reason: parse::reason(message.reason)?,
            };
            Asked::change(change, &message.request_id)
        };
        let reply = self.pass(&extensions, Action::FinishRenewal, asked()).await;
        renewal(reply?)
    }
}

impl Message for v1::TranslateRequest {
    type Answer = v1::TranslateResponse;

    const ACTION: Action = Action::Translate;

    async fn carried(self, door: &Door, extensions: &Extensions) -> Result<Self::Answer, Status> {
        let asked = || -> Parsed<Asked> {
            let edge = parse::name("name", &self.name)?;
            if !(1..=IDENTIFIERS_MAX).contains(&self.passages.len()) {
                let sentence = "a call has 1 to 10,000 passages; make several";
                return Err(Error::invalid("passages", sentence));
            }
            let count = self.passages.len();
            let batch = self.batch.map(|part| batch(part, count)).transpose()?;
            let passages = self.passages.into_iter().map(passage).collect();
            Ok(Command::Use(Use::Translate {
                edge,
                passages,
                batch,
            })
            .into())
        };
        let reply = door.pass(extensions, Self::ACTION, asked()).await?;
        let Reply::Translations(results, [predecessor, successor]) = reply else {
            return Err(mismatch());
        };
        use v1::translate_response::{Pair, Result as Item, result::Result as R};
        let pair = |t: Translated| Pair {
            old: t.old.to_string(),
            new: t.new.to_string(),
        };
        let each = |result| Item {
            result: Some(either(result, pair, R::Pair, R::Error)),
        };
        Ok(v1::TranslateResponse {
            results: results.into_iter().map(each).collect(),
            predecessor: predecessor.to_string(),
            successor: successor.to_string(),
        })
    }
}

fn mode(number: i32) -> Parsed<Mode> {
    match v1::RenewalMode::try_from(number) {
        Ok(v1::RenewalMode::Recompute) => Ok(Mode::Recompute),
        Ok(v1::RenewalMode::Layered) => Ok(Mode::Layered),
        Ok(v1::RenewalMode::Unspecified) | Err(_) => Err(Error::invalid(
            "mode",
            "say what the new pseudonyms are evaluated from: recompute or layered",
        )),
    }
}

fn passage(message: v1::Passage) -> Parsed<Passage> {
    let missing = || {
        Error::invalid(
            "before",
            "what the old pseudonym is evaluated from is missing",
        )
    };
    Ok(Passage {
        before: identifier(message.before.ok_or_else(missing)?)?,
        after: message.after.map(identifier).transpose()?,
    })
}

fn renewal(reply: Reply) -> Answer<v1::Renewal> {
    let Reply::Renewal(renewed) = reply else {
        return Err(mismatch());
    };
    Ok(Response::new(told(*renewed)))
}

fn told(renewed: Renewed) -> v1::Renewal {
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let mut message = v1::Renewal {
        edge: renewed.edge.to_string(),
        state: v1::RenewalState::NeverRenewed.into(),
        translated: number(renewed.translated),
        to_renew: renewed.to_renew.iter().map(ToString::to_string).collect(),
        etag: renewed.key.revision.to_string(),
        ..v1::Renewal::default()
    };
    let key = &renewed.key.value;
    let Some(campaign) = &key.renewal else {
        return message;
    };
    message.state = state(campaign).into();
    message.mode = match campaign.mode {
        Mode::Recompute => v1::RenewalMode::Recompute,
        Mode::Layered => v1::RenewalMode::Layered,
    }
    .into();
    message.predecessor = key.name.version(campaign.predecessor).to_string();
    message.successor = key.name.version(campaign.successor).to_string();
    message.table_key = campaign.table.to_string();
    message.translators = campaign
        .translators
        .iter()
        .map(ToString::to_string)
        .collect();
    message.expected = campaign.expected;
    message.end_time = timestamp(campaign.until);
    message.started = Some(transition(&campaign.moved));
    message.verification = campaign.verified.as_ref().map(|v| v1::RenewalVerification {
        rows: number(v.rows),
        sampled: number(v.sampled),
        counted: number(v.counted),
        recorded: Some(transition(&v.moved)),
    });
    message.cutover = campaign.cutover.as_ref().map(transition);
    if let Some(ended) = &campaign.ended {
        message.finished = Some(transition(&ended.moved));
        message.destroyed = ended.destroyed.iter().map(ToString::to_string).collect();
        message.kept = ended.kept.iter().map(ToString::to_string).collect();
    }
    message
}

fn state(campaign: &Renewal) -> v1::RenewalState {
    match (&campaign.ended, &campaign.cutover, &campaign.verified) {
        (Some(_), None, _) => v1::RenewalState::Abandoned,
        (Some(_), Some(_), _) => v1::RenewalState::Finished,
        (None, Some(_), _) => v1::RenewalState::CutOver,
        (None, None, Some(_)) => v1::RenewalState::Verified,
        (None, None, None) => v1::RenewalState::Translating,
    }
}
