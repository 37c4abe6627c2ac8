//! Whether something that the service stands on does its part.

/// Whether the HSM answers, or the store or a log takes what it is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Serving,
    /// It does not: one sentence that says what happened and what to do.
    Down(String),
}
