//! The few settings that reach the suite from outside; the only file that reads the
//! environment.

/// Whether this is the long run: `ops/test --full` sets `KMS_TEST_FULL=1`.
pub fn full() -> bool {
    is_set("KMS_TEST_FULL")
}

/// How many rounds of something long to do: all of them in the long run, a tenth (and at
/// least one) in the plain run.
pub fn scaled(rounds: usize) -> usize {
    if full() { rounds } else { (rounds / 10).max(1) }
}

/// Whether a deployment's directory stays after the test, to look into it:
/// `KMS_TEST_KEEP=1`.
pub fn keep() -> bool {
    is_set("KMS_TEST_KEEP")
}

/// Where chance begins: another each time, unless `KMS_TEST_SEED` says where.
///
/// # Panics
/// When that is no number, or the operating system gives no random bytes.
pub fn seed() -> u64 {
    if let Some(seed) = value("KMS_TEST_SEED") {
        return seed.parse().expect("KMS_TEST_SEED is a number");
    }
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).expect("random bytes");
    u32::from_le_bytes(bytes).into()
}

#[allow(
    clippy::disallowed_methods,
    reason = "a test run has no configuration file: these are its switches"
)]
fn value(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn is_set(name: &str) -> bool {
    value(name).is_some_and(|value| !value.is_empty() && value != "0")
}
