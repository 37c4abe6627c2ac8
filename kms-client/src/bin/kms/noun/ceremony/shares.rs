//! A key, and its shares: Shamir's secret sharing over GF(256), byte by byte (crate `blahaj`, whose
//! coefficients are uniform over all 256 values, the leading one's zero among them).

use blahaj::{Share, Sharks};
use kms_client::{Error, Kind};
use kms_core::component::{Check, Component, SHARE};
use zeroize::Zeroizing;

/// A key of 256 bits.
pub(super) type Key = Zeroizing<[u8; SHARE]>;

/// A fresh key, of the operating system's generator.
pub(super) fn fresh() -> Result<Key, Error> {
    let mut key = Zeroizing::new([0; SHARE]);
    getrandom::fill(&mut *key).map_err(|e| {
        let sentence = format!("the operating system gives no random bytes: {e}");
        Error::new(Kind::Internal, sentence)
    })?;
    Ok(key)
}

/// The components of a key: so many, of which so many make it.
pub(super) fn split(key: &Key, threshold: u8, holders: u8) -> Result<Vec<Component>, Error> {
    let set = Check::of_key(key);
    let dealt = Sharks(threshold).dealer(&**key);
    let components = dealt.take(holders.into()).map(|share| {
        let bytes = Zeroizing::new(Vec::from(&share));
        let (number, value) = bytes.split_first().ok_or_else(broken)?;
        let value = value.try_into().map_err(|_length| broken())?;
        Ok(Component::new(threshold, *number, set, value)?)
    });
    let components = components.collect::<Result<Vec<_>, Error>>()?;
    // What was printed must make the key: the first of them, and the last.
    let least = usize::from(threshold);
    let first = components.iter().take(least);
    let last = components.iter().rev().take(least);
    for some in [first.collect::<Vec<_>>(), last.collect()] {
        if *combine(&some)? != **key {
            return Err(broken());
        }
    }
    Ok(components)
}

/// The key that these components make: as many as its threshold says, of one set, each once.
pub(super) fn combine(components: &[&Component]) -> Result<Key, Error> {
    let first = components.first().ok_or_else(broken)?;
    let shares = components.iter().map(|component| {
        let mut bytes = Zeroizing::new(Vec::with_capacity(1 + SHARE));
        bytes.push(component.number());
        bytes.extend(component.share());
        Share::try_from(bytes.as_slice()).map_err(|_short| broken())
    });
    let shares = shares.collect::<Result<Vec<_>, Error>>()?;
    let sharks = Sharks(first.threshold());
    let recovered = sharks.recover(&shares);
    let recovered = Zeroizing::new(recovered.map_err(|_few| broken())?);
    let mut key = Zeroizing::new([0; SHARE]);
    if recovered.len() != SHARE {
        return Err(broken());
    }
    key.copy_from_slice(&recovered);
    if Check::of_key(&key) == first.set() {
        return Ok(key);
    }
    let sentence = "these components do not make the key that they are of: one of them is forged";
    Err(Error::new(Kind::Invalid, sentence))
}

fn broken() -> Error {
    Error::new(
        Kind::Internal,
        "the shares of a key are not what they must be",
    )
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Any as many as the threshold says make the key.
        #[test]
        fn enough_of_them_make_the_key(
            bytes: [u8; SHARE],
            threshold in 2_u8..=7,
            more in 0_u8..=5,
            by in 0_usize..1_000,
        ) {
            let key = Zeroizing::new(bytes);
            let mut components = split(&key, threshold, threshold + more).unwrap();
            let count = components.len();
            components.rotate_left(by % count);
            components.truncate(threshold.into());
            let some: Vec<&Component> = components.iter().collect();
            prop_assert_eq!(&*combine(&some).unwrap(), &*key);
            // One fewer is another key, and is noticed.
            let few = &some[1..];
            prop_assert!(combine(few).is_err());
        }
    }

    /// The leading coefficient takes every value, zero too, equally often (RUSTSEC-2024-0398 was that
    /// it did not, in the crate that ours comes from).
    #[test]
    fn coefficients_take_every_value() {
        let key = Zeroizing::new([0x5a; SHARE]);
        let mut seen = [0_u32; 256];
        for _ in 0..1_000 {
            // With a threshold of two, the share of holder 1 is the coefficient plus the secret.
            let first = split(&key, 2, 2).unwrap().swap_remove(0);
            for byte in first.share() {
                seen[usize::from(byte ^ 0x5a)] += 1;
            }
        }
        // 32,000 draws over 256 values: 125 each; eleven standard deviations are never seen.
        let far = seen.iter().filter(|count| count.abs_diff(125) > 80);
        assert_eq!(far.count(), 0, "{seen:?}");
    }

    /// Computed by hand: at so small values the field is that of every polynomial.
    #[test]
    fn a_share_is_the_value_of_the_polynomial() {
        // 3x^2 + 2x + 5: at 1 it is 3^2^5 = 4; at 2 it is 12^4^5 = 13; at 3 it is 15^6^5 = 12.
        let shares = [[1, 4], [2, 13], [3, 12]].map(|bytes| Share::try_from(&bytes[..]).unwrap());
        assert_eq!(Sharks(3).recover(&shares).unwrap(), [5]);
    }

    #[test]
    fn a_forged_component_is_noticed() {
        let key = fresh().unwrap();
        let components = split(&key, 2, 3).unwrap();
        let mut share = *components[0].share();
        share[4] ^= 1;
        let forged = Component::new(2, 1, components[0].set(), &share).unwrap();
        let told = combine(&[&forged, &components[1]]).unwrap_err();
        assert!(told.to_string().contains("forged"), "{told}");
    }
}
