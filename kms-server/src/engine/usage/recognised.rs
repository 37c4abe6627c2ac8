//! Calls by which many identifiers are evaluated: what is told of them in the record, and how one
//! of a run is known again.

use super::{Bench, Noted, primary};
use crate::engine::digest::taken;
use crate::engine::runs::Part;
use crate::engine::{Call, Engine};
use data_encoding::HEXLOWER;
use kms_core::command::Use;
use kms_core::error::{Error, Result};
use kms_core::quota::{Batch, Charged, Content, Mark, Metered};
use kms_core::view::View;

impl Engine {
    /// Charges a call by which identifiers are evaluated, before any of them is.
    pub(super) async fn charge_call(
        &self,
        call: &Call,
        bench: &Bench<'_>,
        (usage, batch): (&Use, Option<&Batch>),
        content: &Content,
        noted: &mut Noted,
    ) -> Result<()> {
        if let Some(batch) = batch {
            let part = (usage, batch);
            return self.check_off_call(call, bench, part, content, noted).await;
        }
        self.charge(bench.view, call, usage, noted).await?;
        if usage.items() < 2 {
            return Ok(());
        }
        self.digest_call(call, bench, content, noted).await
    }

    /// Checks off one call of a run before anything of it is evaluated, and charges what it costs.
    async fn check_off_call(
        &self,
        call: &Call,
        bench: &Bench<'_>,
        (usage, batch): (&Use, &Batch),
        content: &Content,
        noted: &mut Noted,
    ) -> Result<()> {
        let view = bench.view;
        let peer = call.caller.peer();
        let peer = peer.ok_or_else(|| Error::internal("the service evaluates nothing itself"))?;
        let who = view.who(&peer.identity().principal).to_string();
        let (on, version) = run_of(view, usage)?;
        let inputs = vec![
            content.recorded(&call.id),
            batch.authenticated(&on.to_string(), &who, content),
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
        let part = Part {
            batch: *batch,
            version,
            mark,
        };
        let charged = (usage.action(), on, usage.tally());
        self.check_off(view, call, charged, part, noted).await
    }

    /// What the record of several identifiers says of them.
    async fn digest_call(
        &self,
        call: &Call,
        bench: &Bench<'_>,
        content: &Content,
        noted: &mut Noted,
    ) -> Result<()> {
        let inputs = vec![content.recorded(&call.id)];
        if let Some(mut digests) = self.digests(bench.permit, bench.view, inputs).await? {
            noted.digest = Some(HEXLOWER.encode(&taken(&mut digests)?));
        }
        Ok(())
    }
}

/// What a run of this use is charged to, and the number of the version that makes its pseudonyms.
fn run_of(view: &View, usage: &Use) -> Result<(Charged, u32)> {
    let on = Charged::of(view, usage)?;
    let on = on.ok_or_else(|| Error::internal("a run that nothing limits"))?;
    let version = match &on {
        Charged::Quota(Metered::Edge(name)) => {
            let (edge, _) = view.edge(name).ok_or_else(|| Error::not_found(name))?;
            primary(view, &edge.key)?.name.number()
        }
        Charged::Quota(Metered::Key(_)) => {
            return Err(Error::internal("a run that is along no edge"));
        }
        Charged::Campaign(campaign) => campaign.successor(),
    };
    Ok((on, version))
}
