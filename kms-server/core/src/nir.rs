//! The French national identifier (NIR), with what tells people apart who share one.
//!
//! Thirteen characters and a key of two digits: sex, year and month of birth, department, commune,
//! order, key. The key is 97 - (N mod 97), where N is the number with 19 for Corsica's 2A and 18 for
//! 2B (decree 82-103, INSEE). The year has two digits: two people born a century apart may have the
//! same number, and the birth date beside it tells them apart.
//!
//! Only what one person keeps for ever is taken. A provisional number is replaced one day: its
//! person would have two pseudonyms. A fictitious one is shared by those who have none: they would
//! be one person.

use crate::error::{Error, Result};
use std::fmt;
use zeroize::Zeroizing;

/// A number, a birth date and a sex. It never shows itself in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Nir {
    number: Zeroizing<String>,
    birth_date: Zeroizing<String>,
    sex: Zeroizing<String>,
}

/// Characters of a number without its key.
const NUMBER: usize = 13;

impl fmt::Debug for Nir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nir { redacted }")
    }
}

impl Nir {
    /// Of `number`, 15 characters with the key; `birth_date`, `YYYY-MM-DD` (ISO 8601); and `sex`, `1`
    /// or `2` (the first of ISO/IEC 5218's codes), as the supplier's register has it today: none of
    /// them is guessed from another.
    ///
    /// # Errors
    /// `Invalid`, by field, with a sentence that does not repeat it.
    pub fn new(number: &str, birth_date: &str, sex: &str) -> Result<Self> {
        Ok(Nir {
            number: Zeroizing::new(checked(number)?.to_owned()),
            birth_date: Zeroizing::new(dated(birth_date)?.to_owned()),
            sex: Zeroizing::new(sexed(sex)?.to_owned()),
        })
    }

    /// What is evaluated, in this order: the number without its key, which follows from it, the
    /// birth date, the sex.
    #[must_use]
    pub fn fields(&self) -> [&[u8]; 3] {
        [&self.number, &self.birth_date, &self.sex].map(|field| field.as_bytes())
    }
}

/// The number without its key.
fn checked(text: &str) -> Result<&str> {
    let wrong = |sentence: &str| Err(Error::invalid("nir", sentence));
    let parts = parts(text);
    let Some((number, [first, month, department, commune, order, key])) = parts else {
        return wrong(
            "a nir has 15 characters: 13 digits, of which 2A or 2B stands for Corsica, and the key \
             of two digits",
        );
    };
    match first {
        1 | 2 => {}
        3 | 4 | 7 | 8 => {
            return wrong(
                "this nir is provisional (it begins with 3, 4, 7 or 8) and will be replaced: its \
                 person would have two pseudonyms; wait for the final one",
            );
        }
        _ => return wrong(FICTITIOUS),
    }
    if department == 0 || commune == 0 || order == 0 {
        return wrong(FICTITIOUS);
    }
    if !matches!(month, 1..=12 | 20 | 30..=42 | 50..=99) {
        return wrong("the month of this nir is none; it was mistyped or cut");
    }
    if key_of(number) != Some(key) {
        return wrong("the key of this nir does not fit its number; one of them was mistyped");
    }
    Ok(number)
}

const FICTITIOUS: &str = "this nir is fictitious: people who have none share it, and would share a \
                          pseudonym; use another identifier for them";

/// The number without its key; and first digit, month, department, commune, order, key. Corsica
/// counts as department 20, as it was before 1976.
fn parts(text: &str) -> Option<(&str, [u32; 6])> {
    let (number, key) = text.split_at_checked(NUMBER)?;
    let part = |range: std::ops::Range<usize>| digits(number.get(range)?);
    let department = match number.get(5..7)? {
        "2A" | "2B" => 20,
        other => digits(other)?,
    };
    // Year and all else are digits.
    part(1..3)?;
    let key = digits(key).filter(|_| key.len() == 2)?;
    let parts = [
        part(0..1)?,
        part(3..5)?,
        department,
        part(7..10)?,
        part(10..13)?,
        key,
    ];
    Some((number, parts))
}

/// A number in decimal digits alone.
fn digits(text: &str) -> Option<u32> {
    let all = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| all)
}

/// The key that a number should have.
fn key_of(number: &str) -> Option<u32> {
    let plain: String = match number.get(5..7)? {
        "2A" => [number.get(..5)?, "19", number.get(7..)?].concat(),
        "2B" => [number.get(..5)?, "18", number.get(7..)?].concat(),
        _ => number.to_owned(),
    };
    let plain = Zeroizing::new(plain);
    let rest = plain.parse::<u64>().ok()?.checked_rem(97)?;
    u32::try_from(97 - rest).ok()
}

fn dated(text: &str) -> Result<&str> {
    let part = |range: std::ops::Range<usize>| text.get(range).and_then(digits);
    let dashes = text.get(4..5) == Some("-") && text.get(7..8) == Some("-") && text.len() == 10;
    let date = match (part(0..4), part(5..7), part(8..10)) {
        (Some(year), Some(month), Some(day)) if dashes => exists(year, month, day),
        _ => false,
    };
    if date {
        Ok(text)
    } else {
        Err(Error::invalid(
            "birth_date",
            "a birth date is a day that exists, from 1850 on, written YYYY-MM-DD",
        ))
    }
}

/// Whether the Gregorian calendar has this day, and a person alive since 1946, when these numbers
/// began, may have been born on it.
fn exists(year: u32, month: u32, day: u32) -> bool {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 0,
    };
    year >= 1850 && (1..=days).contains(&day)
}

fn sexed(text: &str) -> Result<&str> {
    match text {
        "1" | "2" => Ok(text),
        _ => Err(Error::invalid("sex", "a sex is 1 or 2, as in the nir")),
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BORN: &str = "1955-08-03";

    fn told(number: &str) -> String {
        let error = Nir::new(number, BORN, "2").unwrap_err();
        assert_eq!(error.field(), Some("nir"));
        assert!(number.is_empty() || !error.message().contains(number));
        error.message().to_owned()
    }

    /// The example of the health insurance's documents, and its neighbours in Corsica.
    #[test]
    fn numbers_with_their_keys() {
        for number in [
            "255081416802538",
            "255082A16802597",
            "255082B16802527",
            "255089916802571",
            "255209716802526",
        ] {
            let nir = Nir::new(number, BORN, "2");
            let nir = nir.unwrap_or_else(|e| panic!("{number}: {e}"));
            assert_eq!(nir.fields()[0], &number.as_bytes()[..13]);
        }
    }

    #[test]
    fn what_is_no_number_is_told_without_it() {
        for (number, why) in [
            ("2550814168025", "15 characters"),
            ("25508141680253", "15 characters"),
            ("2550814168025381", "15 characters"),
            ("255081416802539", "key"),
            ("255081416820538", "key"),
            ("255082a16802502", "15 characters"),
            ("255082C16802502", "15 characters"),
            ("2A5081416802538", "15 characters"),
            ("+55081416802538", "15 characters"),
            ("2 5508141680253", "15 characters"),
            ("25508141680253é", "15 characters"),
            ("XXXXXXXXXXXXXXX", "15 characters"),
            ("", "15 characters"),
            ("355081416802538", "provisional"),
            ("455081416802538", "provisional"),
            ("755081416802538", "provisional"),
            ("855081416802538", "provisional"),
            ("000000000000097", "fictitious"),
            ("999999999999999", "fictitious"),
            ("255081416800076", "fictitious"),
            ("255080016802538", "fictitious"),
            ("255081400002538", "fictitious"),
            ("255131416802538", "month"),
        ] {
            assert!(told(number).contains(why), "{number}: {}", told(number));
        }
    }

    #[test]
    fn a_date_exists_and_a_sex_is_one_of_two() {
        let of = |date: &str, sex: &str| Nir::new("255081416802538", date, sex);
        for date in ["1955-08-03", "2000-02-29", "1850-01-01"] {
            assert!(of(date, "1").is_ok(), "{date}");
        }
        for date in [
            "1955-8-3",
            "1955-08-32",
            "1900-02-29",
            "1849-12-31",
            "1955-00-00",
            "03/08/1955",
            "1955-08-03 ",
            "",
            "1955-02-30",
            "19550-8-03",
            "1955-08-+3",
        ] {
            assert_eq!(
                of(date, "1").unwrap_err().field(),
                Some("birth_date"),
                "{date}"
            );
        }
        for sex in ["", "0", "3", "F", "2 ", "01"] {
            assert_eq!(
                of("1955-08-03", sex).unwrap_err().field(),
                Some("sex"),
                "{sex}"
            );
        }
    }

    proptest! {
        /// The key finds every wrong digit and every exchange of neighbours, but for the first digit,
        /// whose errors it finds too.
        #[test]
        fn one_wrong_digit_is_noticed(number in "[12][0-9]{2}(0[1-9]|1[0-2])(0[1-9]|[1-9][0-9]|2A|2B)[1-9]{3}[1-9]{3}", at in 0_usize..13, digit in 0_u8..10) {
            let key = key_of(&number).unwrap();
            let whole = format!("{number}{key:02}");
            prop_assert!(Nir::new(&whole, BORN, "1").is_ok());
            let mut mistyped = whole.clone().into_bytes();
            mistyped[at] = b'0' + digit;
            let mistyped = String::from_utf8(mistyped).unwrap();
            prop_assert!(mistyped == whole || Nir::new(&mistyped, BORN, "1").is_err());
        }
    }
}
