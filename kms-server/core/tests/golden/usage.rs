//! How versions were used, as the records tell it.

use crate::sample::{NOW, caller};
use kms_core::action::Action;
use kms_core::command::LogName;
use kms_core::name::VersionName;
use kms_core::record::{Counts, Detail, Event, Record, Used};
use kms_core::usage::{Place, USERS_MAX, Usage, Usages, User};
use proptest::prelude::*;

fn version(number: u32) -> VersionName {
    format!("spaces/lab/keys/object/versions/{number}")
        .parse()
        .unwrap()
}

fn record(index: u64, who: &str, at: u64, versions: &[(u32, u64, u64)]) -> Record {
    let used = |&(number, protected, processed): &(u32, u64, u64)| Used {
        name: version(number),
        protected,
        processed,
    };
    let event = Event {
        time: NOW.plus_millis(at),
        caller: caller(who),
        call: "3f2504e0-4f89-41d3-9a0c-0305e82c3301".into(),
        action: Action::ReEncrypt,
        resource: ("key".into(), "spaces/lab/keys/object".into()),
        result: Ok(()),
        duration: None,
        emergency: false,
        detail: Detail::Use(Counts {
            versions: versions.iter().map(used).collect(),
            ..Counts::default()
        }),
    };
    Record::new(event, LogName::Uses, index)
}

fn counted(records: &[Record]) -> Usages {
    let mut usages = Usages::default();
    for record in records {
        usages.feed(record);
    }
    usages
}

/// What was kept at some moment, as the store gives it back.
fn kept(usages: &Usages, from: u64) -> Vec<(VersionName, Usage)> {
    let through = |(name, usage): (&VersionName, &Usage)| {
        let bytes = serde_json::to_vec(usage).unwrap();
        (name.clone(), serde_json::from_slice(&bytes).unwrap())
    };
    usages.since(from).map(through).collect()
}

#[test]
fn each_version_tells_how_often_when_and_by_whom() {
    let usages = counted(&[
        record(0, "service/etl", 0, &[(1, 3, 0)]),
        record(1, "service/etl", 20, &[(1, 0, 2), (2, 2, 0)]),
        // The clock was set back, and a read uses nothing.
        record(2, "person/stella", 10, &[(1, 0, 1)]),
        record(3, "person/stella", 30, &[]),
    ]);
    let at = |millis| NOW.plus_millis(millis);
    let user = |count, last| User { count, last };
    let first = usages.of(&version(1)).unwrap();
    assert_eq!((first.protected, first.processed), (3, 3));
    assert_eq!((first.first, first.last), (at(0), at(20)));
    assert_eq!(first.users["service/etl"], user(5, at(20)));
    assert_eq!(first.users["person/stella"], user(1, at(10)));
    assert_eq!(usages.of(&version(2)).unwrap().protected, 2);
    assert_eq!(usages.of(&version(3)), None);
    let since = Some(at(0));
    assert_eq!(usages.place(), Place { next: 4, since });
}

#[test]
fn what_was_pruned_before_it_was_counted_is_said() {
    let mut usages = counted(&[record(0, "service/etl", 0, &[(1, 1, 0)])]);
    usages.feed(&record(7, "service/etl", 50, &[(1, 1, 0)]));
    assert_eq!(usages.place().since, Some(NOW.plus_millis(50)));
    let first = usages.of(&version(1)).unwrap();
    assert_eq!((first.protected, first.first), (2, NOW));
}

#[test]
fn so_many_users_are_told_and_all_are_counted() {
    let many = u64::try_from(USERS_MAX).unwrap() + 9;
    let by = |index| record(index, &format!("service/s{index}"), index, &[(1, 2, 0)]);
    let usages = counted(&(0..many).map(by).collect::<Vec<_>>());
    let usage = usages.of(&version(1)).unwrap();
    assert_eq!(usage.users.len(), USERS_MAX);
    assert!(!usage.users.contains_key("service/s8"));
    let told: u64 = usage.users.values().map(|user| user.count).sum();
    assert_eq!(told + usage.others, usage.protected);
    // It fits where it is kept.
    assert!(serde_json::to_vec(usage).unwrap().len() < 60 * 1024);
}

/// A log that was brought back from a copy ends before what was counted.
#[test]
fn a_log_that_ends_earlier_is_counted_on() {
    let records: Vec<_> = (0..4)
        .map(|i| record(i, "service/etl", i, &[(1, 1, 0)]))
        .collect();
    let mut usages = counted(&records).cut(2);
    usages.feed(&record(2, "service/etl", 9, &[(1, 1, 0)]));
    assert_eq!(usages.of(&version(1)).unwrap().protected, 5);
    assert_eq!(usages.place().next, 3);
}

proptest! {
    /// Kept at any moment, piece by piece, with only some pieces on the disk when the process died:
    /// counted on from there the numbers are those of the log.
    #[test]
    fn a_crash_while_it_is_kept_changes_nothing(
        uses in prop::collection::vec((1_u32..5, 0_u64..3, 0_u64..3, 0_u8..3), 1..60),
        first in 0_usize..60,
        second in 0_usize..60,
        reached in prop::collection::vec(any::<bool>(), 4),
    ) {
        let each = uses.iter().enumerate().map(|(index, &(number, protected, processed, who))| {
            let index = u64::try_from(index).unwrap();
            let who = format!("service/s{who}");
            record(index, &who, index % 7, &[(number, protected, processed)])
        });
        let records: Vec<Record> = each.collect();
        let (first, second) = (first.min(second), first.max(second));
        let whole = counted(&records[..first.min(records.len())]);
        let torn = counted(&records[..second.min(records.len())]);
        let mut disk: std::collections::BTreeMap<_, _> = kept(&whole, 0).into_iter().collect();
        let later = kept(&torn, whole.place().next).into_iter().zip(&reached);
        disk.extend(later.filter(|(_, reached)| **reached).map(|(piece, _)| piece));
        let mut resumed = Usages::resumed(whole.place(), disk);
        for record in &records[first.min(records.len())..] {
            resumed.feed(record);
        }
        prop_assert_eq!(resumed, counted(&records));
    }
}

#[test]
fn a_record_is_counted_once() {
    let one = record(0, "service/etl", 0, &[(1, 1, 0)]);
    assert_eq!(counted(&[one.clone(), one.clone()]), counted(&[one]));
}
