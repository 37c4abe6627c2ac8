//! The authorised study that a key serves, as people write it.

use crate::table::{in_how_long, time};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use kms_client::v1;

/// A day, from its beginning in UTC, or a moment in RFC 3339.
pub(crate) fn day(text: &str) -> Result<Timestamp, String> {
    let day = text.parse::<Date>().ok();
    let begins = day.and_then(|day| day.to_zoned(TimeZone::UTC).ok());
    match (begins, text.parse::<Timestamp>()) {
        // A moment is a date too, as far as dates are parsed.
        (_, Ok(moment)) => Ok(moment),
        (Some(begins), Err(_)) => Ok(begins.timestamp()),
        (None, Err(_)) => Err("write a day such as 2027-01-01".to_owned()),
    }
}

/// As the service takes it.
pub(crate) fn message(purpose: &str, ends: Timestamp) -> v1::Study {
    v1::Study {
        purpose: purpose.to_owned(),
        end_time: Some(stamp(ends)),
    }
}

/// A moment as the service takes it, to the second.
pub(crate) fn stamp(at: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: at.as_second(),
        nanos: 0,
    }
}

/// The day on which it ends, as [`day`] reads it: short where it is midnight in UTC.
pub(crate) fn ends(study: &v1::Study) -> String {
    let at = time(study.end_time.as_ref());
    at.strip_suffix("T00:00:00Z").unwrap_or(&at).to_owned()
}

/// In a few words.
pub(crate) fn told(study: &v1::Study) -> String {
    let ends_in = in_how_long(study.end_time.as_ref());
    format!("{}, ends {} ({ends_in})", study.purpose, ends(study))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_read_as_it_is_written() {
        for (text, written) in [
            ("2027-01-01", "2027-01-01"),
            ("2027-01-01T12:30:00Z", "2027-01-01T12:30:00Z"),
        ] {
            let study = message("cardio", day(text).unwrap());
            assert_eq!(ends(&study), written);
        }
        assert_eq!(
            day("2027-01-01").unwrap(),
            day("2027-01-01T00:00:00Z").unwrap()
        );
        assert!(day("tomorrow").is_err() && day("2027-13-01").is_err());
    }
}
