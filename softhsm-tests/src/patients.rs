//! Fictitious patients. Nobody real: the identifiers are digests of a counter, the rest is
//! drawn from them.

use std::io::Write;

use data_encoding::HEXUPPER;
use sha2::{Digest as _, Sha256};

use crate::Failure;

/// Columns: `ID` (level-1 identifier as a supplier sends it: 32 hexadecimal digits that say
/// nothing; not a national number), `BIRTH_YEAR`, `SEX` (1 or 2), `SITE`.
///
/// The same seed gives the same patients, and a longer file begins with the shorter one, so
/// that a yearly update finds the same people again.
///
/// # Errors
/// When `out` cannot be written.
pub fn write(out: impl Write, count: u64, seed: u64) -> Result<(), Failure> {
    let failed = |cause: csv::Error| Failure::because("cannot write the patients", cause);
    let mut file = csv::Writer::from_writer(out);
    file.write_record(["ID", "BIRTH_YEAR", "SEX", "SITE"])
        .map_err(failed)?;
    for number in 0..count {
        let patient = Patient::draw(seed, number);
        let year = patient.birth_year.to_string();
        file.write_record([&patient.id, year.as_str(), patient.sex, patient.site])
            .map_err(failed)?;
    }
    file.flush().map_err(|cause| failed(cause.into()))
}

/// The data suppliers of the warehouse.
const SITES: [&str; 5] = [
    "LYON-CLB",
    "NANCY-CHRU",
    "LYON-HCL",
    "PARIS-GHPSJ",
    "BORDEAUX-BPE",
];

struct Patient {
    id: String,
    birth_year: u16,
    sex: &'static str,
    site: &'static str,
}

impl Patient {
    fn draw(seed: u64, number: u64) -> Self {
        let mut digest = Sha256::new();
        digest.update(b"fictitious patient");
        digest.update(seed.to_be_bytes());
        digest.update(number.to_be_bytes());
        let [id @ .., age_one, age_two, sex, site] = take::<20>(&digest.finalize());
        // The sum of two draws: few very young, few very old.
        let age = u16::from(age_one) * 50 / 256 + u16::from(age_two) * 50 / 256;
        let site = usize::from(site) * SITES.len() / 256;
        Self {
            id: HEXUPPER.encode(&id),
            birth_year: 2024 - age,
            sex: if sex < 128 { "1" } else { "2" },
            site: SITES.get(site).copied().unwrap_or_default(),
        }
    }
}

fn take<const N: usize>(digest: &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    bytes
        .iter_mut()
        .zip(digest)
        .for_each(|(to, from)| *to = *from);
    bytes
}
