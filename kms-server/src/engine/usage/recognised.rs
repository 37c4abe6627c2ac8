//! Calls by which many identifiers are evaluated: what is told of them in the record, and how one
//! of a run is known again.

use super::{Bench, Noted, primary};
use crate::engine::digest::taken;
use crate::engine::runs::Part;
use crate::engine::{Call, Engine};
use data_encoding::HEXLOWER;
use kms_core::error::{Error, Result};
use kms_core::name::EdgeName;
use kms_core::pseudonym::Identifier;
use kms_core::quota::{Batch, Content, Mark, Metered, Tally};

impl Engine {
    /// Checks off one call of a run before anything of it is evaluated, and charges what it costs.
    pub(super) async fn check_off_call(
        &self,
        call: &Call,
        bench: &Bench<'_>,
        (edge, identifiers, batch): (&EdgeName, &[Result<Identifier>], &Batch),
        cost: Tally,
        noted: &mut Noted,
    ) -> Result<()> {
        let view = bench.view;
        let peer = call.caller.peer();
        let peer = peer.ok_or_else(|| Error::internal("the service evaluates nothing itself"))?;
        let who = view.who(&peer.identity().principal).to_string();
        let content = Content::of(identifiers);
        let inputs = vec![
            content.recorded(&call.id),
            batch.authenticated(&edge.to_string(), &who, &content),
        ];
        let digests = self.digests(bench.permit, view, inputs).await?;
        let mut digests = digests.ok_or_else(|| {
            Error::state(
                "this deployment has no key yet to recognise the calls of a run with: an operator \
                 must start the service again with the HSM at hand; until then evaluate without \
                 `batch`",
            )
        })?;
        let mark = taken(&mut digests)?;
        let mark = mark.first_chunk::<16>();
        let mark: Mark = *mark.ok_or_else(|| Error::internal("the HSM gave a short answer"))?;
        noted.digest = Some(HEXLOWER.encode(&taken(&mut digests)?));
        let (found, _) = view.edge(edge).ok_or_else(|| Error::not_found(edge))?;
        let part = Part {
            batch: *batch,
            version: primary(view, &found.key)?.name.number(),
            mark,
        };
        let metered = (Metered::Edge(edge.clone()), cost);
        self.check_off(view, call, metered, part, noted).await
    }

    /// What the record of several identifiers says of them.
    pub(super) async fn digest_call(
        &self,
        call: &Call,
        bench: &Bench<'_>,
        identifiers: &[Result<Identifier>],
        noted: &mut Noted,
    ) -> Result<()> {
        if identifiers.len() < 2 {
            return Ok(());
        }
        let inputs = vec![Content::of(identifiers).recorded(&call.id)];
        if let Some(mut digests) = self.digests(bench.permit, bench.view, inputs).await? {
            noted.digest = Some(HEXLOWER.encode(&taken(&mut digests)?));
        }
        Ok(())
    }
}
