//! What is said of the life of versions, as people write it.

use clap::Args;
use jiff::{SignedDuration, Span, SpanRelativeTo};
use kms_client::v1;
use kms_core::lifecycle::Period;
use serde::{Deserialize, Serialize};

/// What a key or a space says of the life of its versions; what is left out is inherited: a key's
/// from its space, a space's from the class of each key.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Said {
    /// How long a version protects before it is rotated: 90d, 12h. At most what its class allows.
    #[arg(long, value_name = "TIME", value_parser = length)]
    rotate_after: Option<Length>,
    /// How many encryptions a version does before it is rotated; at most 2^31.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(i64).range(1..))]
    rotate_after_encryptions: Option<i64>,
    /// How many bytes a version encrypts before it is rotated.
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(i64).range(1..))]
    rotate_after_bytes: Option<i64>,
    /// How long an older version goes on to decrypt before its end is announced.
    #[arg(long, value_name = "TIME", value_parser = length)]
    process_for: Option<Length>,
    /// For how long nobody must have used a version before its destruction is scheduled.
    #[arg(long, value_name = "TIME", value_parser = length)]
    quiet_for: Option<Length>,
}

/// The names of the options, for a group of which one is needed.
pub(crate) const OPTIONS: [&str; 5] = [
    "rotate_after",
    "rotate_after_encryptions",
    "rotate_after_bytes",
    "process_for",
    "quiet_for",
];

/// The same in a file: `lifecycle: {rotate-after: 90d, process-for: 730d}`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Written {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rotate_after: Option<Length>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rotate_after_encryptions: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rotate_after_bytes: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    process_for: Option<Length>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quiet_for: Option<Length>,
}

/// A length of time, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Length(i64);

/// Parses `90d`, `12h`, `1d12h`.
pub(crate) fn length(text: &str) -> Result<Length, String> {
    let wrong = || "write a length of time such as 90d or 12h".to_owned();
    let span: Span = text.parse().map_err(|_e| wrong())?;
    let days = SpanRelativeTo::days_are_24_hours();
    let duration: SignedDuration = span.to_duration(days).map_err(|_e| wrong())?;
    match duration.as_secs() {
        seconds if seconds >= 0 => Ok(Length(seconds)),
        _ => Err(wrong()),
    }
}

impl Length {
    /// As the service takes it.
    pub(crate) fn message(self) -> prost_types::Duration {
        prost_types::Duration {
            seconds: self.0,
            nanos: 0,
        }
    }

    fn of(duration: Option<prost_types::Duration>) -> Option<Self> {
        duration.map(|duration| Length(duration.seconds))
    }
}

impl TryFrom<String> for Length {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        length(&text)
    }
}

impl From<Length> for String {
    fn from(length: Length) -> String {
        let units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
        let fits = |(unit, _): &&(i64, &str)| length.0 >= *unit && length.0 % unit == 0;
        let (unit, name) = units.iter().find(fits).unwrap_or(&(1, "s"));
        format!("{}{name}", length.0 / unit)
    }
}

impl Said {
    /// Whether anything is said.
    pub(crate) fn is_silent(&self) -> bool {
        Written::from(self.clone()) == Written::default()
    }

    /// As the service takes it.
    pub(crate) fn message(self) -> Option<v1::Lifecycle> {
        (!self.is_silent()).then(|| Written::from(self).message())
    }
}

impl From<Said> for Written {
    fn from(said: Said) -> Self {
        Written {
            rotate_after: said.rotate_after,
            rotate_after_encryptions: said.rotate_after_encryptions,
            rotate_after_bytes: said.rotate_after_bytes,
            process_for: said.process_for,
            quiet_for: said.quiet_for,
        }
    }
}

impl Written {
    /// As the service says it; `None` when it says nothing.
    pub(crate) fn of(lifecycle: Option<&v1::Lifecycle>) -> Option<Self> {
        let said = lifecycle?;
        let count = |count: i64| (count > 0).then_some(count);
        let written = Written {
            rotate_after: Length::of(said.protecting),
            rotate_after_encryptions: count(said.encryptions),
            rotate_after_bytes: count(said.bytes),
            process_for: Length::of(said.processing),
            quiet_for: Length::of(said.quiet),
        };
        (written != Written::default()).then_some(written)
    }

    /// As the service takes it.
    pub(crate) fn message(self) -> v1::Lifecycle {
        v1::Lifecycle {
            protecting: self.rotate_after.map(Length::message),
            processing: self.process_for.map(Length::message),
            encryptions: self.rotate_after_encryptions.unwrap_or(0),
            bytes: self.rotate_after_bytes.unwrap_or(0),
            quiet: self.quiet_for.map(Length::message),
        }
    }
}

/// In a few words; empty when everything is inherited.
pub(crate) fn told(lifecycle: Option<&v1::Lifecycle>) -> String {
    let Some(said) = lifecycle else {
        return String::new();
    };
    let mut words = Vec::new();
    let mut time = |before: &str, length: Option<&prost_types::Duration>| {
        words.extend(length.map(|length| format!("{before} {}", period(length))));
    };
    time("rotated after", said.protecting.as_ref());
    time("older ones decrypt for", said.processing.as_ref());
    time("not destroyed when used within", said.quiet.as_ref());
    if said.encryptions > 0 {
        words.push(format!("rotated after {} encryptions", said.encryptions));
    }
    if said.bytes > 0 {
        words.push(format!("rotated after {} bytes", said.bytes));
    }
    words.join(", ")
}

/// A length of time for people: `90 days`.
pub(crate) fn period(length: &prost_types::Duration) -> String {
    let millis = u64::try_from(length.seconds)
        .unwrap_or(0)
        .saturating_mul(1000);
    Period(millis).to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_read_as_it_is_written() {
        for (text, seconds) in [("90d", 7_776_000), ("12h", 43_200), ("1m", 60), ("0s", 0)] {
            let read = length(text).unwrap();
            assert_eq!(read.0, seconds, "{text}");
            assert_eq!(String::from(read), text);
        }
        assert_eq!(length("1d12h").unwrap(), length("36h").unwrap());
        for wrong in ["soon", "-1d", "90", "1 fortnight"] {
            assert!(length(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_said_goes_there_and_back() {
        let written = Written {
            rotate_after: Some(Length(60)),
            rotate_after_bytes: Some(7),
            ..Written::default()
        };
        let message = written.clone().message();
        assert_eq!(Written::of(Some(&message)), Some(written));
        assert_eq!(Written::of(Some(&v1::Lifecycle::default())), None);
        assert_eq!(
            told(Some(&message)),
            "rotated after 1 minute, rotated after 7 bytes"
        );
    }
}
