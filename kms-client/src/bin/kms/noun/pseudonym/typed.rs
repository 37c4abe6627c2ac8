//! An identifier of the type that an edge evaluates, from its fields as text.

use crate::noun::edge::Input;
use kms_client::{Error, Kind, v1};
use kms_core::nir::Nir;
use kms_core::pseudonym::Identifier;
use v1::identifier::Identifier as Sent;
use zeroize::Zeroizing;

/// What it is, and as it is sent. What the service would refuse by its form is not sent.
pub(super) fn typed(input: Input, fields: &[&str]) -> Result<(Identifier, v1::Identifier), Error> {
    let (identifier, sent) = match (input, fields) {
        (Input::Opaque, [text]) => {
            let opaque = Identifier::opaque(Zeroizing::new((*text).to_owned()))?;
            (opaque, Sent::Opaque((*text).to_owned()))
        }
        (Input::Pseudonym, [text]) => {
            let pseudonym = Identifier::pseudonym(text)?;
            (pseudonym, Sent::Pseudonym((*text).to_owned()))
        }
        (Input::Nir, [nir, birth_date, sex]) => {
            let sent = v1::Nir {
                nir: (*nir).to_owned(),
                birth_date: (*birth_date).to_owned(),
                sex: (*sex).to_owned(),
            };
            let nir = Nir::new(nir, birth_date, sex)?;
            (Identifier::Nir(nir), Sent::Nir(sent))
        }
        (Input::Opaque | Input::Pseudonym | Input::Nir, _) => {
            let sentence = "it has not the fields of its type";
            return Err(Error::new(Kind::Invalid, sentence));
        }
    };
    let sent = v1::Identifier {
        identifier: Some(sent),
    };
    Ok((identifier, sent))
}

/// The fields of an identifier that is written as one text: `NIR,BIRTH-DATE,SEX`. What is missing is
/// empty, so that it is said what is.
pub(super) fn fields_of(input: Input, text: &str) -> Vec<&str> {
    match input {
        Input::Opaque | Input::Pseudonym => vec![text],
        Input::Nir => {
            let parts = text.splitn(3, ',');
            parts.chain(std::iter::repeat("")).take(3).collect()
        }
    }
}
