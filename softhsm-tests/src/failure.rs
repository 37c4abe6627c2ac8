//! What went wrong while preparing a development or test deployment, as one sentence.

use std::{fmt::Display, path::Path};

/// One sentence that says what could not be done and why. It never holds a PIN, a key or
/// an identifier.
#[derive(Debug, thiserror::Error)]
#[error("{sentence}")]
pub struct Failure {
    sentence: String,
}

impl Failure {
    /// A failure that explains itself.
    pub fn new(sentence: impl Into<String>) -> Self {
        Self {
            sentence: sentence.into(),
        }
    }

    /// A failure with its cause, which becomes the end of the sentence.
    pub fn because(sentence: impl Display, cause: impl Display) -> Self {
        Self::new(format!("{sentence}: {cause}"))
    }

    /// For `map_err` on what was tried with a file: `cannot write pki/ca.pem: ...`.
    pub fn with_file<E: Display>(verb: &'static str, path: &Path) -> impl FnOnce(E) -> Self {
        move |cause| Self::because(format!("cannot {verb} {}", path.display()), cause)
    }
}
