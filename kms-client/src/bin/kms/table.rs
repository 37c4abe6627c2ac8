//! Tables that align, and the words in them.

use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Cell};
use jiff::{SignedDuration, Timestamp};
use kms_client::name;
use std::io::IsTerminal;

/// A table for people: a header and rows, or fields one under the other.
pub(crate) struct Table {
    inner: comfy_table::Table,
}

impl Table {
    /// One row for each thing.
    pub(crate) fn columns<const N: usize>(header: [&str; N]) -> Self {
        let mut inner = bare();
        inner.set_header(header.map(|word| Cell::new(word).add_attribute(Attribute::Bold)));
        Self { inner }
    }

    /// Rows that need no header.
    pub(crate) fn bare() -> Self {
        Self { inner: bare() }
    }

    /// One thing: a row for each field, without those that are empty.
    pub(crate) fn fields<'a>(fields: impl IntoIterator<Item = (&'a str, String)>) -> Self {
        let mut inner = bare();
        for (name, value) in fields {
            if !value.is_empty() {
                inner.add_row([
                    Cell::new(name).add_attribute(Attribute::Bold),
                    Cell::new(value),
                ]);
            }
        }
        Self { inner }
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.inner.add_row(cells);
    }

    pub(crate) fn rows<const N: usize>(
        mut self,
        rows: impl IntoIterator<Item = [String; N]>,
    ) -> Self {
        for row in rows {
            self.row(row);
        }
        self
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut table = self.inner.clone();
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        f.write_str(&table.trim_fmt())
    }
}

fn bare() -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_style(NOTHING);
    if !std::io::stdout().is_terminal() {
        table.force_no_tty();
    }
    table
}

/// An enum of the interface as people write it: `DATA_AT_REST` is `data-at-rest`.
pub(crate) fn word(name: &str) -> String {
    name.to_lowercase().replace('_', "-")
}

/// `yes` or `no`.
pub(crate) fn yes(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

/// RFC 3339 in UTC, to the second; empty when unset.
pub(crate) fn time(value: Option<&prost_types::Timestamp>) -> String {
    stamp(value).map(|at| at.to_string()).unwrap_or_default()
}

/// RFC 3339 and how long ago.
pub(crate) fn time_and_age(value: Option<&prost_types::Timestamp>) -> String {
    match stamp(value) {
        Some(at) => format!("{at} ({})", ago(Timestamp::now().duration_since(at))),
        None => String::new(),
    }
}

/// How long from now: `in 2 d`.
pub(crate) fn in_how_long(value: Option<&prost_types::Timestamp>) -> String {
    match stamp(value) {
        Some(at) => ago(Timestamp::now().duration_since(at)),
        None => String::new(),
    }
}

/// An identity without its trust domain: within one deployment there is one.
pub(crate) fn person(identity: &str) -> &str {
    identity
        .strip_prefix("spiffe://")
        .and_then(|rest| rest.split_once('/'))
        .map_or(identity, |(_trust_domain, path)| path)
}

/// A resource as people write it: short, unless that could be another's name.
pub(crate) fn thing(resource: &str) -> String {
    if resource.starts_with("spaces/")
        && !["/edges/", "/quotas/"]
            .iter()
            .any(|part| resource.contains(part))
    {
        name::short(resource)
    } else {
        resource.to_owned()
    }
}

fn stamp(value: Option<&prost_types::Timestamp>) -> Option<Timestamp> {
    Timestamp::from_second(value?.seconds).ok()
}

fn ago(past: SignedDuration) -> String {
    if past.abs() < SignedDuration::from_secs(2) {
        return "now".to_owned();
    }
    const UNITS: [(i64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let seconds = past.as_secs();
    let (sign, size) = if seconds < 0 {
        ("in ", -seconds)
    } else {
        ("", seconds)
    };
    let told = UNITS.iter().find(|(unit, _)| size >= *unit).map_or_else(
        || "0 s".to_owned(),
        |(unit, name)| format!("{} {name}", size / unit),
    );
    if seconds < 0 {
        format!("{sign}{told}")
    } else {
        format!("{told} ago")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_whatever_the_letters() {
        let table = Table::columns(["NAME", "TITLE", "KIND"]).rows([
            ["ingest-lyon", "Centre Léon Bérard", "ingest"].map(str::to_owned),
            ["p", "", "project"].map(str::to_owned),
        ]);
        let lines = [
            "NAME         TITLE               KIND",
            "ingest-lyon  Centre Léon Bérard  ingest",
            "p                                project",
        ];
        assert_eq!(table.to_string(), lines.join("\n"));
    }

    #[test]
    fn ages_have_one_unit() {
        for (seconds, told) in [
            (0, "now"),
            (-1, "now"),
            (59, "59 s ago"),
            (7_300, "2 h ago"),
            (180_000, "2 d ago"),
            (-90, "in 1 min"),
        ] {
            assert_eq!(ago(SignedDuration::from_secs(seconds)), told);
        }
    }
}
