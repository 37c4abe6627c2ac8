//! Budgets, against what is set.

use super::{Draft, Seen};
use crate::inventory::document::Quota;
use crate::inventory::plan::{NEVER_SET, PutQuota, Step};
use crate::limits;
use kms_core::quota::Metered;
use serde_saphyr::Spanned;

impl Draft<'_> {
    pub(super) fn quotas(&mut self) {
        let mut seen = Seen::new("quota");
        for at in &self.document.quotas {
            let what = format!("quota on {}", at.value.said());
            match at.value.name() {
                Ok(name) => {
                    if seen.first(&at.value.said(), at, &mut self.faults) {
                        self.quota(at, &what, name);
                    }
                }
                Err(why) => self.fault(at, format!("{what}: {why}")),
            }
        }
    }

    fn quota(&mut self, at: &Spanned<Quota>, what: &str, name: String) {
        let quota = &at.value;
        let on = name.split_once("/quotas/").map(|(on, _)| on.parse());
        if let Some(Ok::<Metered, _>(on)) = on
            && let Err(e) = on.may_be(&limits::judged(&quota.limits))
        {
            self.fault(at, format!("{what}: {e}"));
        }
        self.metered(at, what);
        let now = self.state.quotas.get(&name);
        let from = now.map(|now| now.quota.limits.clone()).unwrap_or_default();
        if from == quota.limits {
            self.unchanged += 1;
            return;
        }
        self.steps.push(Step::PutQuota(PutQuota {
            name,
            etag: now.map_or_else(|| NEVER_SET.to_owned(), |now| now.etag.clone()),
            quota: quota.clone(),
            from,
        }));
    }

    /// What a quota is on is declared or there.
    fn metered(&mut self, at: &Spanned<Quota>, what: &str) {
        let (document, state) = (self.document, self.state);
        let missing = match (&at.value.edge, &at.value.key) {
            (Some(edge), _) => {
                let declared = document.edges.iter().any(|at| at.value.name() == *edge);
                (!declared && !state.edges.contains_key(edge)).then(|| format!("edge {edge}"))
            }
            (None, Some(key)) => {
                let declared = document.keys.iter().any(|at| at.value.name == *key);
                (!declared && !state.keys.contains_key(key)).then(|| format!("key {key}"))
            }
            (None, None) => None,
        };
        if let Some(missing) = missing {
            self.fault(at, format!("{what}: there is no {missing}"));
        }
    }
}
