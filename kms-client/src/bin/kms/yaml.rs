//! Files that people write.

use kms_client::{Error, Kind};
use serde::de::DeserializeOwned;
use std::path::Path;

/// Reads a YAML file.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    parse(&text(path)?).map_err(|e| e.within(path.display()))
}

/// Reads a text file.
pub(crate) fn text(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|e| Error::file(&format!("read {}", path.display()), &e))
}

/// Reads YAML; what is wrong is told by its line.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_saphyr::from_str(text).map_err(|e| {
        let plain = serde_saphyr::render_options! {
            snippets: serde_saphyr::SnippetMode::Off,
            formatter: &serde_saphyr::UserMessageFormatter,
        };
        let said = e.render_with_options(plain).replace('\n', " ");
        let said = said
            .rsplit_once(" at line ")
            .map_or(said.as_str(), |(said, _)| said);
        let line = e
            .location()
            .map(|at| format!("line {}: ", at.line()))
            .unwrap_or_default();
        Error::new(Kind::Invalid, format!("{line}{said}"))
    })
}
