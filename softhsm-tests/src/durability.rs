//! What the process that is killed and the test that kills it agree on.

/// The log entry of these tests at `index`: it tells its index, as a record does, then who
/// wrote it and what.
#[must_use]
pub fn log_entry(index: u64, text: &str) -> Vec<u8> {
    format!("{{\"sequence\":{index},\"text\":\"{text}\"}}").into_bytes()
}

/// The check of a log of such entries.
#[must_use]
pub fn is_log_entry(index: u64, entry: &[u8]) -> bool {
    entry.starts_with(format!("{{\"sequence\":{index},\"text\":\"").as_bytes())
        && entry.ends_with(b"\"}")
        && std::str::from_utf8(entry).is_ok()
}
