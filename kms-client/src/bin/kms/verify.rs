//! Whether a log is whole: what a third party can judge from its records alone. What a record
//! means is the business of the core; this asks it, record by record, and words its verdict.

use crate::noun::audit::Log;
use kms_client::{Error, Kind, v1};
use kms_core::proposal::Approval;
use kms_core::record::{Detail, Record};
use kms_core::replay::Replay;

/// Judges the records of one log, given in order from the first.
#[derive(Debug)]
pub(crate) struct Verifier {
    log: Log,
    next: u64,
    replay: Replay,
}

impl Verifier {
    pub(crate) fn new(log: Log) -> Self {
        Self {
            log,
            next: 0,
            replay: Replay::default(),
        }
    }

    /// Takes one more record: it must follow the one before it and read as what it says it is. In
    /// the changes log, outcomes must settle the intention before them, with its digest, on
    /// revisions that only grow.
    pub(crate) fn next(&mut self, entry: &v1::Entry) -> Result<(), Error> {
        if entry.index != self.next {
            let what = format!("record {} is missing, or {NOT_YOURS}", self.next);
            return Err(self.broken(&what));
        }
        let record = Record::decode(&entry.entry).map_err(|e| {
            self.broken(&format!("record {} cannot be read: {}", self.next, why(&e)))
        })?;
        if (record.log(), record.index()) != (self.log.word(), entry.index) {
            let (log, index) = (record.log(), record.index());
            let what = format!(
                "record {} says that it is record {index} of the {log} log",
                self.next
            );
            return Err(self.broken(&what));
        }
        match self.log {
            Log::Changes => self.replay.feed(record).map_err(|e| self.broken(why(&e)))?,
            Log::Uses if matches!(record.detail(), Detail::Use(_)) => {}
            Log::Uses => return Err(self.broken(&format!("record {} is a change", self.next))),
        }
        self.next += 1;
        Ok(())
    }

    /// How many records were good.
    pub(crate) fn count(&self) -> u64 {
        self.next
    }

    /// Whether the last change is still open. A service at work may have one change under way, so
    /// that its outcome is looked for once more.
    pub(crate) fn is_open(&self) -> bool {
        self.replay.open().is_some()
    }

    /// Every approval of every proposal. Feeding the records verified each: it is the signature of
    /// the key of a certificate that names the custodian, over what the proposal asked.
    pub(crate) fn approvals(&self) -> impl Iterator<Item = &Approval> {
        let proposals = self.replay.view().proposals();
        proposals.flat_map(|proposal| &proposal.approvals)
    }

    /// The verdict, when there is no more record: at least `size` were promised. Gives the index of
    /// the last intention if it waits for its outcome, as one does while the HSM is away: that is
    /// no fault of the log.
    pub(crate) fn end(&self, size: u64) -> Result<Option<u64>, Error> {
        if self.next < size {
            let what = format!(
                "it ends after {} of {size} records, or the rest is {NOT_YOURS}",
                self.next
            );
            return Err(self.broken(&what));
        }
        Ok(self.replay.open().map(|open| open.index))
    }

    fn broken(&self, what: &str) -> Error {
        Error::new(
            Kind::Invalid,
            format!("the {} log does not verify: {what}", self.log.word()),
        )
    }
}

/// A log of which one sees a part looks like one that has gaps.
const NOT_YOURS: &str = "not yours to see, as it is an auditor's";

/// The core words its own faults for a service's log; here they are the finding.
fn why(error: &kms_core::Error) -> &str {
    error.cause().unwrap_or(error.message())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// A record of the uses log, as the service writes it.
    fn record(index: u64) -> Value {
        json!({
            "metadata": {
                "version": "1.6.0", "log_name": "uses", "sequence": index,
                "product": {"name": "kms-server", "vendor_name": "EMC2", "version": "0.1.0"},
            },
            "time": 1, "category_uid": 6, "class_uid": 6003, "activity_id": 2,
            "type_uid": 600_302, "severity_id": 1, "status_id": 1,
            "actor": {"user": {"uid": "spiffe://t/person/a", "type": "User", "type_id": 1}},
            "api": {"operation": "ReadInventory", "request": {"uid": "1"}},
            "src_endpoint": {"ip": "127.0.0.1"},
            "resources": [{"name": "spaces/a", "type": "space"}],
            "unmapped": {"kms": {
                "record": "use", "items": 1, "failed": 0, "bytes": 0, "versions": [], "policies": [],
            }},
        })
    }

    fn entry(index: u64, record: &Value) -> v1::Entry {
        v1::Entry {
            index,
            entry: serde_json::to_vec(record).unwrap(),
        }
    }

    fn verdict(log: Log, entries: &[v1::Entry], size: u64) -> Result<Option<u64>, Error> {
        let mut verifier = Verifier::new(log);
        entries.iter().try_for_each(|entry| verifier.next(entry))?;
        assert!(!verifier.is_open());
        verifier.end(size)
    }

    #[test]
    fn a_whole_log_verifies() {
        let entries = [entry(0, &record(0)), entry(1, &record(1))];
        assert_eq!(verdict(Log::Uses, &entries, 2).unwrap(), None);
        assert_eq!(verdict(Log::Changes, &[], 0).unwrap(), None);
    }

    #[test]
    fn what_is_missing_moved_or_foreign_is_noticed() {
        let told = |log, entries: &[v1::Entry], size| {
            let refused = verdict(log, entries, size).unwrap_err();
            assert_eq!(refused.kind(), Kind::Invalid);
            refused.to_string()
        };
        assert!(told(Log::Uses, &[entry(1, &record(1))], 2).contains("record 0 is missing"));
        assert!(told(Log::Uses, &[entry(0, &record(0))], 2).contains("ends after 1 of 2"));
        assert!(told(Log::Uses, &[entry(0, &json!({}))], 1).contains("cannot be read"));
        assert!(told(Log::Uses, &[entry(0, &record(7))], 1).contains("record 7 of the uses log"));
        assert!(told(Log::Changes, &[entry(0, &record(0))], 1).contains("of the uses log"));
    }
}
