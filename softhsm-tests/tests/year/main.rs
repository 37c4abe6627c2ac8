//! The life of a hundred keys on a clock that is set by hand: real token, real store, real logs, and
//! a policy of production. What is due is done, once; what must not happen does not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    clippy::disallowed_methods,
    reason = "a test says what it expects and fails loudly; one looks at the clock, to bound itself"
)]

mod callers;
mod destruction;
mod dice;
mod estate;
mod people;
mod rotation;
mod story;
mod tally;
mod weather;
mod world;
mod year;
