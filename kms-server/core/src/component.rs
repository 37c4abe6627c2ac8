//! Components of a key: what each holder of a key ceremony has on paper.
//!
//! A component is one share of Shamir's secret sharing over GF(256) of a key of 256 bits, with what
//! tells it apart. It is printed as four lines, each of ten bytes in Crockford's base 32 (no I, L, O
//! and U) and of a check of its own, so that a mistake is found in the line where it was made:
//!
//! ```text
//! 1: 041G 4BHF E5NV R001  Z41H
//! ```
//!
//! The forty bytes are: the version of this form, how many components make the key, the number of
//! this one, the set that it is of (five bytes), and the share.
//!
//! The checks are truncated SHA-256 of what has 256 bits of entropy: whoever has one, of a component
//! or of the key, can tell a guess of all of it and learns no part of it. They keep a secret against
//! whoever cannot try 2^200 keys, and no longer against whoever could, as shares alone would.

use crate::codec;
use crate::error::{Error, Result};
use data_encoding::{Encoding, Specification};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes of a key, and of a share of it.
pub const SHARE: usize = 32;

/// Holders of a key at the most.
pub const HOLDERS_MAX: u8 = 16;

/// One holder's component. It never shows itself but in the lines that are printed.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Component {
    threshold: u8,
    number: u8,
    #[zeroize(skip)]
    set: Check,
    share: [u8; SHARE],
}

/// 40 bits of a SHA-256: `JQ1F-PAWS`. Of a set of components it is of the key that they make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Check([u8; CHECK]);

impl Component {
    /// The share with this number, of a key that so many make.
    ///
    /// # Errors
    /// `Invalid` when there is no such component.
    pub fn new(threshold: u8, number: u8, set: Check, share: &[u8; SHARE]) -> Result<Self> {
        let known = (2..=HOLDERS_MAX).contains(&threshold) && (1..=HOLDERS_MAX).contains(&number);
        if !known {
            return Err(Error::invalid(
                "component",
                "a key has 2 to 16 holders, and two of them at the least make it",
            ));
        }
        Ok(Component {
            threshold,
            number,
            set,
            share: *share,
        })
    }

    /// How many components make the key.
    #[must_use]
    pub fn threshold(&self) -> u8 {
        self.threshold
    }

    /// Which of the holders' it is, from 1.
    #[must_use]
    pub fn number(&self) -> u8 {
        self.number
    }

    /// The set that it is of.
    #[must_use]
    pub fn set(&self) -> Check {
        self.set
    }

    /// The share.
    #[must_use]
    pub fn share(&self) -> &[u8; SHARE] {
        &self.share
    }

    /// What tells this component: it may be written down, and read aloud.
    #[must_use]
    pub fn check(&self) -> Check {
        Check::over(b"emc2-kms/component/v1", &*self.bytes())
    }

    /// As it is printed.
    #[must_use]
    pub fn lines(&self) -> Zeroizing<String> {
        let bytes = self.bytes();
        let mut out = Zeroizing::new(String::with_capacity(LINES * LINE_TEXT));
        for (number, line) in (1_u8..).zip(bytes.chunks(LINE)) {
            let text = Zeroizing::new(base32().encode(line));
            out.push_str(&format!("{number}:"));
            for group in text.as_bytes().chunks(GROUP) {
                out.push(' ');
                out.extend(group.iter().map(|byte| char::from(*byte)));
            }
            out.push_str("  ");
            out.push_str(&line_check(number, line));
            out.push('\n');
        }
        out
    }

    /// Reads what holds the four lines: what was typed, or a whole sheet. Case, spaces and hyphens do
    /// not matter, nor whether I or L was read for 1, or O for 0.
    ///
    /// # Errors
    /// `Invalid`: which line is not as it was printed.
    pub fn parse(text: &str) -> Result<Self> {
        let mut bytes = Zeroizing::new([0; WHOLE]);
        for (number, room) in (1_u8..).zip(bytes.chunks_mut(LINE)) {
            let begins = |line: &&str| line.trim_start().starts_with(&format!("{number}:"));
            let mut found = text.lines().filter(begins);
            let line = match (found.next(), found.next()) {
                (Some(line), None) => line,
                (Some(_), Some(_)) => {
                    return Err(invalid(format!("there are two lines {number}:")));
                }
                (None, _) => return Err(invalid(format!("line {number} is missing"))),
            };
            room.copy_from_slice(&*read_line(number, line)?);
        }
        Self::of(&bytes)
    }

    fn of(bytes: &[u8; WHOLE]) -> Result<Self> {
        let broken = || invalid("this is no component".to_owned());
        let mut reader = codec::Reader::new(bytes);
        let [version, threshold, number] = reader.array::<3>().ok_or_else(broken)?;
        let set = Check(reader.array().ok_or_else(broken)?);
        let mut share = Zeroizing::new([0; SHARE]);
        share.copy_from_slice(reader.rest());
        if version != VERSION {
            let sentence = "this component is of another version; use the kms that printed it";
            return Err(invalid(sentence.to_owned()));
        }
        Self::new(threshold, number, set, &share)
    }

    fn bytes(&self) -> Zeroizing<[u8; WHOLE]> {
        let mut bytes = Zeroizing::new([0; WHOLE]);
        let parts = [VERSION, self.threshold, self.number].into_iter();
        let parts = parts.chain(self.set.0).chain(self.share);
        bytes
            .iter_mut()
            .zip(parts)
            .for_each(|(to, from)| *to = from);
        bytes
    }
}

/// Reads one line as it was typed, with its number or without.
///
/// # Errors
/// `Invalid` when it is not as it was printed.
pub fn read_line(number: u8, text: &str) -> Result<Zeroizing<[u8; LINE]>> {
    let wrong = || {
        invalid(format!(
            "line {number} is not as it was printed: look at it again, or at which line it is"
        ))
    };
    let text = text.trim();
    let text = text.strip_prefix(&format!("{number}:")).unwrap_or(text);
    // The data, then the check, whatever stands between them.
    let split = Zeroizing::new(text.replace([' ', '\t', '-'], ""));
    let (data, check) = split.split_at_checked(LINE_CHARACTERS).ok_or_else(wrong)?;
    let data = base32().decode(data.as_bytes()).map(Zeroizing::new);
    let data = data.map_err(|_typed| wrong())?;
    let data: [u8; LINE] = data.as_slice().try_into().map_err(|_length| wrong())?;
    let data = Zeroizing::new(data);
    if same(check, &line_check(number, &*data)) {
        Ok(data)
    } else {
        Err(wrong())
    }
}

/// Lines of a component, as [`read_line`] gives them.
///
/// # Errors
/// `Invalid` when they make none.
pub fn of_lines(lines: &[Zeroizing<[u8; LINE]>; LINES]) -> Result<Component> {
    let mut bytes = Zeroizing::new([0; WHOLE]);
    let all = lines.iter().flat_map(|line| line.iter());
    bytes.iter_mut().zip(all).for_each(|(to, from)| *to = *from);
    Component::of(&bytes)
}

impl Check {
    /// Of the key that the components of a set make.
    #[must_use]
    pub fn of_key(key: &[u8; SHARE]) -> Self {
        Check::over(b"emc2-kms/ceremony-key/v1", key)
    }

    fn over(label: &[u8], secret: &[u8]) -> Self {
        let mut input = Zeroizing::new(Vec::with_capacity(128));
        codec::put(&mut input, label);
        codec::put(&mut input, secret);
        let mut check = [0; CHECK];
        let digest = Sha256::digest(&*input);
        check
            .iter_mut()
            .zip(digest)
            .for_each(|(to, from)| *to = from);
        Check(check)
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = base32().encode(&self.0);
        let (first, second) = text.split_at_checked(GROUP).unwrap_or((&text, ""));
        write!(f, "{first}-{second}")
    }
}

impl FromStr for Check {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::invalid("check", "a check value has the form XXXX-XXXX");
        let decoded = base32().decode(text.replace('-', "").as_bytes());
        let bytes = decoded.map_err(|_typed| wrong())?;
        let check = Check(bytes.as_slice().try_into().map_err(|_length| wrong())?);
        // One value has one text.
        (check.to_string() == text)
            .then_some(check)
            .ok_or_else(wrong)
    }
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Component { redacted }")
    }
}

/// Four characters that tell a line, its number included.
fn line_check(number: u8, line: &[u8]) -> String {
    let mut input = Zeroizing::new(Vec::with_capacity(128));
    codec::put(&mut input, b"emc2-kms/component-line/v1");
    codec::put(&mut input, &[number]);
    codec::put(&mut input, line);
    let digest = base32().encode(&Sha256::digest(&*input));
    digest.chars().take(GROUP).collect()
}

/// Whether a check was typed as this one.
fn same(typed: &str, check: &str) -> bool {
    // Read as base 32, so that what looks alike is alike; padded to whole bytes.
    let read = |text: &str| base32().decode(format!("{text}0000").as_bytes()).ok();
    typed.len() == check.len() && read(typed).is_some() && read(typed) == read(check)
}

fn base32() -> &'static Encoding {
    static ENCODING: OnceLock<Encoding> = OnceLock::new();
    ENCODING.get_or_init(|| {
        let mut crockford = Specification::new();
        crockford
            .symbols
            .push_str("0123456789ABCDEFGHJKMNPQRSTVWXYZ");
        crockford
            .translate
            .from
            .push_str("abcdefghjkmnpqrstvwxyzoOiIlL");
        crockford
            .translate
            .to
            .push_str("ABCDEFGHJKMNPQRSTVWXYZ001111");
        crockford.encoding().unwrap_or(data_encoding::BASE32)
    })
}

fn invalid(sentence: String) -> Error {
    Error::invalid("component", sentence)
}

/// Lines of a component.
pub const LINES: usize = 4;
/// Bytes of a line.
pub const LINE: usize = 10;
const LINE_CHARACTERS: usize = 16;
const LINE_TEXT: usize = 32;
const WHOLE: usize = LINES * LINE;
const GROUP: usize = 4;
const CHECK: usize = 5;
const VERSION: u8 = 1;

#[cfg(test)]
mod tests;
