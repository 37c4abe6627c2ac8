//! Deterministic pseudonyms along declared edges.

use super::door::{Asked, Door, mismatch};
use super::resource::timestamp;
use super::stream::{self, Answers, Message};
use super::{crypto::either, parse};
use crate::engine::{Followed, Reply};
use kms_core::action::Action;
use kms_core::chain::{Commitment, SALT};
use kms_core::command::{Change, Command, Use};
use kms_core::error::{Error, Result as Parsed};
use kms_core::nir::Nir;
use kms_core::pseudonym::Identifier;
use kms_core::quota::Batch;
use kms_proto::v1::{self, pseudonym_service_server::PseudonymService};
use tonic::{Extensions, Request, Response, Status, Streaming};
use uuid::Uuid;
use zeroize::Zeroizing;

/// Identifiers in one call, at most.
pub(super) const IDENTIFIERS_MAX: usize = 10_000;

#[tonic::async_trait]
impl PseudonymService for Door {
    type StreamPseudonymiseStream = Answers<v1::PseudonymiseResponse>;

    async fn pseudonymise(
        &self,
        request: Request<v1::PseudonymiseRequest>,
    ) -> Result<Response<v1::PseudonymiseResponse>, Status> {
        let (_, extensions, message) = request.into_parts();
        message.carried(self, &extensions).await.map(Response::new)
    }

    async fn stream_pseudonymise(
        &self,
        request: Request<Streaming<v1::PseudonymiseRequest>>,
    ) -> Result<Response<Self::StreamPseudonymiseStream>, Status> {
        Ok(Response::new(stream::answers(self, request)))
    }

    async fn start_chain(
        &self,
        request: Request<v1::StartChainRequest>,
    ) -> Result<Response<v1::Chain>, Status> {
        let (_, extensions, message) = request.into_parts();
        let asked = || -> Parsed<Asked> {
            let change = Change::ChainPerson {
                edge: parse::name("name", &message.name)?,
                commitment: message.commitment.parse()?,
                reason: parse::reason(message.reason)?,
            };
            Asked::change(change, &message.request_id)
        };
        let reply = self.pass(&extensions, Action::ChainPerson, asked()).await?;
        let Reply::Resource(made) = reply else {
            return Err(mismatch());
        };
        let chain = made.value.as_chain().ok_or_else(mismatch)?;
        let proposal = chain.proposal.as_ref().map(ToString::to_string);
        Ok(Response::new(v1::Chain {
            name: chain.name.to_string(),
            edge: chain.edge.to_string(),
            expire_time: timestamp(chain.until),
            proposal: proposal.unwrap_or_default(),
        }))
    }

    async fn follow_chain(
        &self,
        request: Request<v1::FollowChainRequest>,
    ) -> Result<Response<v1::FollowChainResponse>, Status> {
        let (_, extensions, message) = request.into_parts();
        let asked = || -> Parsed<Asked> {
            let edge = parse::name("name", &message.name)?;
            let (commitment, identifier) = person(message)?;
            Ok(Command::Use(Use::ChainPerson {
                edge,
                commitment,
                identifier,
            })
            .into())
        };
        let reply = self.pass(&extensions, Action::ChainPerson, asked()).await?;
        let Reply::Followed(steps) = reply else {
            return Err(mismatch());
        };
        let steps = steps.into_iter().map(step).collect();
        Ok(Response::new(v1::FollowChainResponse { steps }))
    }
}

impl Message for v1::PseudonymiseRequest {
    type Answer = v1::PseudonymiseResponse;

    const ACTION: Action = Action::Pseudonymise;

    async fn carried(self, door: &Door, extensions: &Extensions) -> Result<Self::Answer, Status> {
        let asked = || -> Parsed<Asked> {
            let edge = parse::name("name", &self.name)?;
            if !(1..=IDENTIFIERS_MAX).contains(&self.identifiers.len()) {
                let sentence = "a call has 1 to 10,000 identifiers; make several";
                return Err(Error::invalid("identifiers", sentence));
            }
            let count = self.identifiers.len();
            let batch = self.batch.map(|part| batch(part, count)).transpose()?;
            let identifiers = self.identifiers.into_iter().map(identifier).collect();
            Ok(Command::Use(Use::Pseudonymise {
                edge,
                identifiers,
                batch,
            })
            .into())
        };
        let reply = door.pass(extensions, Self::ACTION, asked()).await?;
        let Reply::Pseudonyms(results, version) = reply else {
            return Err(mismatch());
        };
        use v1::pseudonymise_response::{Result as Item, result::Result as R};
        let each = |r| Item {
            result: Some(either(
                r,
                |p: Zeroizing<String>| p.to_string(),
                R::Pseudonym,
                R::Error,
            )),
        };
        let results = results.into_iter().map(each).collect();
        let version = version.to_string();
        Ok(v1::PseudonymiseResponse { results, version })
    }
}

/// The commitment to this person, and the person.
fn person(message: v1::FollowChainRequest) -> Parsed<(Commitment, Identifier)> {
    let given = message.identifier.unwrap_or_default();
    let identifier = identifier(given)?;
    let salt = Zeroizing::new(message.salt);
    let wrong = |e| Error::invalid("salt", "the salt has 32 bytes").because(e);
    let salt: &[u8; SALT] = salt
        .as_slice()
        .try_into()
        .map_err(|e: std::array::TryFromSliceError| wrong(e))?;
    Ok((Commitment::to(&identifier, salt), identifier))
}

fn step(followed: Followed) -> v1::follow_chain_response::Step {
    use v1::follow_chain_response::step::Result as R;
    let parent = followed.parent.map(|edge| edge.to_string());
    v1::follow_chain_response::Step {
        edge: followed.edge.to_string(),
        parent: parent.unwrap_or_default(),
        result: Some(either(
            followed.pseudonym,
            |p: Zeroizing<String>| p.to_string(),
            R::Pseudonym,
            R::Error,
        )),
    }
}

pub(super) fn batch(message: v1::Batch, count: usize) -> Parsed<Batch> {
    let id: Uuid = message
        .id
        .parse()
        .map_err(|_e| Error::invalid("batch.id", "the id of a run is a UUID"))?;
    Batch::new(id, message.expected, message.offset, count)
}

pub(super) fn identifier(message: v1::Identifier) -> Parsed<Identifier> {
    use v1::identifier::Identifier as I;
    match message.identifier {
        Some(I::Opaque(text)) => Identifier::opaque(Zeroizing::new(text)),
        Some(I::Pseudonym(text)) => Identifier::pseudonym(&Zeroizing::new(text)),
        Some(I::Nir(nir)) => {
            let [number, birth_date, sex] = [nir.nir, nir.birth_date, nir.sex].map(Zeroizing::new);
            Nir::new(&number, &birth_date, &sex).map(Identifier::Nir)
        }
        None => Err(Error::invalid("identifier", "the identifier is missing")),
    }
}
