//! Deterministic pseudonyms along declared edges.

use super::door::{Asked, Door, mismatch};
use super::{crypto::either, parse};
use crate::engine::Reply;
use kms_core::action::Action;
use kms_core::command::{Command, Use};
use kms_core::error::{Error, Result as Parsed};
use kms_core::nir::Nir;
use kms_core::pseudonym::Identifier;
use kms_core::quota::Batch;
use kms_proto::v1::{self, pseudonym_service_server::PseudonymService};
use tonic::{Request, Response, Status};
use uuid::Uuid;
use zeroize::Zeroizing;

/// Identifiers in one call, at most.
const IDENTIFIERS_MAX: usize = 10_000;

#[tonic::async_trait]
impl PseudonymService for Door {
    async fn pseudonymise(
        &self,
        request: Request<v1::PseudonymiseRequest>,
    ) -> Result<Response<v1::PseudonymiseResponse>, Status> {
        let (_, extensions, message) = request.into_parts();
        let asked = || -> Parsed<Asked> {
            let edge = parse::name("name", &message.name)?;
            if !(1..=IDENTIFIERS_MAX).contains(&message.identifiers.len()) {
                let sentence = "a call has 1 to 10,000 identifiers; make several";
                return Err(Error::invalid("identifiers", sentence));
            }
            let count = message.identifiers.len();
            let batch = message.batch.map(|part| batch(part, count)).transpose()?;
            let identifiers = message.identifiers.into_iter().map(identifier).collect();
            Ok(Command::Use(Use::Pseudonymise {
                edge,
                identifiers,
                batch,
            })
            .into())
        };
        let reply = self
            .pass(&extensions, Action::Pseudonymise, asked())
            .await?;
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
        Ok(Response::new(v1::PseudonymiseResponse { results, version }))
    }
}

fn batch(message: v1::Batch, count: usize) -> Parsed<Batch> {
    let id: Uuid = message
        .id
        .parse()
        .map_err(|_e| Error::invalid("batch.id", "the id of a run is a UUID"))?;
    Batch::new(id, message.expected, message.offset, count)
}

fn identifier(message: v1::Identifier) -> Parsed<Identifier> {
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
