//! Quotas, through every door: what a pseudonymiser can have in a window, whatever it sends, who
//! dies and what the clock says.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails; one looks at the clock, to bound what a wait may say"
)]

mod clock;
mod inventory;
mod older;
mod production;
mod runs;
mod used_up;

use kms_proto::v1;
use softhsm_tests::gateway::Gateway;
use tonic::Status;
use v1::quota_service_client::QuotaServiceClient;

pub(crate) const LINK: &str = "spaces/warehouse/edges/link";

/// So many identifiers, different ones for each beginning.
pub(crate) fn evaluate(by: &Gateway, beginning: &str, count: usize) -> Result<(), Status> {
    let names: Vec<String> = (0..count).map(|n| format!("{beginning}-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    by.pseudonymise(LINK, &names).map(drop)
}

/// Sets how many items a day each may ask of the edge.
pub(crate) fn put(by: &Gateway, who: &str, items: u64) -> Result<v1::Quota, Status> {
    let request = v1::PutQuotaRequest {
        quota: Some(v1::Quota {
            name: format!("{LINK}/quotas/{who}"),
            limits: vec![v1::Limit {
                period: v1::QuotaPeriod::Day.into(),
                measure: v1::QuotaMeasure::Items.into(),
                most: items,
            }],
            ..v1::Quota::default()
        }),
        reason: "a test".to_owned(),
        request_id: String::new(),
    };
    by.call(async |channel| QuotaServiceClient::new(channel).put_quota(request).await)
        .map(tonic::Response::into_inner)
}

/// What is left of a caller's one limit on the edge.
pub(crate) fn left(by: &Gateway, who: &str) -> Result<u64, Status> {
    let request = v1::GetAllowanceRequest {
        on: LINK.to_owned(),
        principal: who.to_owned(),
    };
    let allowance = by
        .call(async |channel| {
            QuotaServiceClient::new(channel)
                .get_allowance(request)
                .await
        })?
        .into_inner();
    Ok(allowance.limits[0].left)
}
