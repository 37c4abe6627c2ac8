//! The plan that lets one person be followed.

use super::{Ground, Plan, absent, new, written};
use crate::chain::{A_DAY, Chain, Commitment, LASTING, left};
use crate::error::{Error, Result};
use crate::name::{ChainName, EdgeName};
use crate::value::Value;

pub(super) fn allow(
    ground: Ground<'_>,
    edge: &EdgeName,
    commitment: &Commitment,
    reason: &str,
) -> Result<Plan> {
    let view = ground.view;
    view.edge(edge).ok_or_else(|| Error::not_found(edge))?;
    let name = ChainName::of(commitment)?;
    absent(view, &name.to_string())?;
    if left(view, ground.now) == 0 {
        return Err(Error::exhausted(format!(
            "{A_DAY} people were allowed to be followed within 24 hours already, and no more may be; \
             wait, and ask an auditor whether all of these were asked for"
        )));
    }
    let chain = Chain {
        name,
        edge: edge.clone(),
        commitment: commitment.clone(),
        asker: ground.who()?,
        until: ground.now.plus_millis(LASTING),
        proposal: ground.carried.cloned(),
        moved: ground.moved(reason),
    };
    Ok(written(vec![new(Value::Chain(chain))]))
}
