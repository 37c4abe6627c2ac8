//! How much a caller may ask of a key or an edge.

use super::door::{Asked, Door, mismatch};
use super::resource::{FromValue, timestamp};
use super::spaces::{page_of, resource_of};
use super::{parse, status};
use crate::engine::{Allowance, Reply};
use kms_core::action::Action;
use kms_core::command::{Change, Command, Read, Sort};
use kms_core::error::{Error, Result as Parsed};
use kms_core::quota::{Limits, Measure, Period, Standing};
use kms_core::value::{Stamped, Value};
use kms_proto::v1::{self, quota_service_server::QuotaService};
use std::time::Duration;
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl QuotaService for Door {
    async fn list_quotas(
        &self,
        request: Request<v1::ListQuotasRequest>,
    ) -> Result<Response<v1::ListQuotasResponse>, Status> {
        let (_, extensions, message) = request.into_parts();
        let asked = parse::parent(&message.parent).and_then(|space| {
            let of = (space, None);
            parse::list(Sort::Quotas, of, message.page_size, message.page_token)
        });
        let reply = self
            .pass(&extensions, Action::ReadInventory, asked.map(Asked::from))
            .await?;
        let (quotas, next_page_token) = page_of(reply)?;
        Ok(Response::new(v1::ListQuotasResponse {
            quotas,
            next_page_token,
        }))
    }

    async fn get_allowance(
        &self,
        request: Request<v1::GetAllowanceRequest>,
    ) -> Result<Response<v1::Allowance>, Status> {
        let (_, extensions, message) = request.into_parts();
        let asked = || -> Parsed<Asked> {
            let who = match message.principal.as_str() {
                "" => None,
                who => Some(parse::name("principal", who)?),
            };
            let on = parse::name("on", &message.on)?;
            Ok(Command::Read(Read::Allowance { on, who }).into())
        };
        let reply = self
            .pass(&extensions, Action::ReadInventory, asked())
            .await?;
        let Reply::Allowance(allowance) = reply else {
            return Err(mismatch());
        };
        allowed(*allowance).map(Response::new)
    }

    async fn put_quota(
        &self,
        request: Request<v1::PutQuotaRequest>,
    ) -> Result<Response<v1::Quota>, Status> {
        let (_, extensions, message) = request.into_parts();
        let asked = || -> Parsed<Asked> {
            let quota = parse::required("quota", message.quota)?;
            let change = Change::PutQuota {
                name: parse::name("quota.name", &quota.name)?,
                etag: parse::etag(&quota.etag)?,
                limits: Box::new(limits(&quota.limits)?),
                reason: parse::reason(message.reason)?,
            };
            Asked::change(change, &message.request_id)
        };
        resource_of(self.pass(&extensions, Action::RaiseQuota, asked()).await?)
    }
}

fn limits(messages: &[v1::Limit]) -> Parsed<Limits> {
    let wrong = |what: &str| Error::invalid("quota.limits", what);
    let mut limits = Limits::default();
    for limit in messages {
        let period = match v1::QuotaPeriod::try_from(limit.period) {
            Ok(v1::QuotaPeriod::Minute) => Period::Minute,
            Ok(v1::QuotaPeriod::Hour) => Period::Hour,
            Ok(v1::QuotaPeriod::Day) => Period::Day,
            Ok(v1::QuotaPeriod::Month) => Period::Month,
            Ok(v1::QuotaPeriod::Year) => Period::Year,
            Ok(v1::QuotaPeriod::Unspecified) | Err(_) => {
                return Err(wrong("period is one of MINUTE, HOUR, DAY, MONTH, YEAR"));
            }
        };
        let measure = match v1::QuotaMeasure::try_from(limit.measure) {
            Ok(v1::QuotaMeasure::Requests) => Measure::Requests,
            Ok(v1::QuotaMeasure::Items) => Measure::Items,
            Ok(v1::QuotaMeasure::Bytes) => Measure::Bytes,
            Ok(v1::QuotaMeasure::Unspecified) | Err(_) => {
                return Err(wrong("measure is one of REQUESTS, ITEMS, BYTES"));
            }
        };
        if limit.most == 0 {
            return Err(wrong(
                "a limit is above 0; whoever is to ask for nothing has the role taken away",
            ));
        }
        if limits.set(period, measure, limit.most).is_some() {
            return Err(wrong("one measure is limited twice in a period"));
        }
    }
    Ok(limits)
}

fn limit(period: Period, measure: Measure, most: u64) -> v1::Limit {
    let period = match period {
        Period::Minute => v1::QuotaPeriod::Minute,
        Period::Hour => v1::QuotaPeriod::Hour,
        Period::Day => v1::QuotaPeriod::Day,
        Period::Month => v1::QuotaPeriod::Month,
        Period::Year => v1::QuotaPeriod::Year,
    };
    let measure = match measure {
        Measure::Requests => v1::QuotaMeasure::Requests,
        Measure::Items => v1::QuotaMeasure::Items,
        Measure::Bytes => v1::QuotaMeasure::Bytes,
    };
    v1::Limit {
        period: period.into(),
        measure: measure.into(),
        most,
    }
}

fn allowed(allowance: Allowance) -> Result<v1::Allowance, Status> {
    let left = |standing: Standing| -> Result<v1::allowance::Left, Status> {
        let free_in = standing.wait.map(duration).transpose()?;
        Ok(v1::allowance::Left {
            limit: Some(limit(standing.period, standing.measure, standing.most)),
            left: standing.left,
            free_in,
        })
    };
    let limits = allowance.standings.into_iter().map(left);
    Ok(v1::Allowance {
        on: allowance.on.to_string(),
        principal: allowance.who.to_string(),
        quota: allowance.quota.map(|q| q.to_string()).unwrap_or_default(),
        limits: limits.collect::<Result<_, _>>()?,
    })
}

fn duration(wait: Duration) -> Result<prost_types::Duration, Status> {
    prost_types::Duration::try_from(wait)
        .map_err(|e| status::status(&Error::internal(format!("a quota's window: {e}"))))
}

impl FromValue for v1::Quota {
    fn from_value(stamped: &Stamped<Value>) -> Option<Self> {
        let quota = stamped.value.as_quota()?;
        let limits = quota.limits.each();
        Some(v1::Quota {
            name: quota.name.to_string(),
            limits: limits.map(|(p, m, most)| limit(p, m, most)).collect(),
            update_time: timestamp(quota.moved.time),
            actor: quota.moved.actor.clone(),
            reason: quota.moved.reason.clone(),
            etag: stamped.revision.to_string(),
        })
    }
}
