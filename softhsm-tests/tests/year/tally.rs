//! What happened in the year, in figures.

use std::fmt;

/// How often what happened.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    /// Asked by people and answered with a yes.
    pub(crate) acts: usize,
    /// Answered with advice: later, not so, or not without others.
    pub(crate) refused: usize,
    pub(crate) approvals: usize,
    pub(crate) uses: usize,
    pub(crate) uses_refused: usize,
    pub(crate) rounds: usize,
    /// Carried out by the service itself.
    pub(crate) done: usize,
    /// Outside calls that failed.
    pub(crate) faults: usize,
    pub(crate) deaths: usize,
    pub(crate) restarts: usize,
    pub(crate) days_without_hsm: usize,
    pub(crate) days_without_room: usize,
    pub(crate) jumps: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally {
            acts,
            refused,
            approvals,
            uses,
            uses_refused,
            rounds,
            done,
            faults,
            deaths,
            restarts,
            days_without_hsm,
            days_without_room,
            jumps,
        } = self;
        write!(
            f,
            "people: {acts} acts, {refused} refused or deferred, {approvals} approvals; uses: {uses}, \
             {uses_refused} refused; clockwork: {done} carried out in {rounds} rounds; mishaps: \
             {faults} faults, {deaths} deaths, {restarts} starts, {days_without_hsm} days without \
             HSM, {days_without_room} without room, {jumps} jumps of the clock"
        )
    }
}
