//! Everything that is on the token, for `doctor`.

use data_encoding::HEXLOWER;
use kms_core::id::KeyId;
use kms_pkcs11::{Attribute, AttributeName, Handle, Kind, ObjectClass, Reading, Template};

use super::TokenObject;
use super::desk::Desk;
use super::fault::{Fault, Visit};

impl Desk {
    /// Every key object of the token. One that is destroyed meanwhile is left out.
    pub(super) fn objects(&mut self) -> Visit<Vec<TokenObject>> {
        let on_token = Template::from([Attribute::Token(true)]);
        let mut objects = Vec::new();
        for handle in self.find(&on_token, usize::MAX)? {
            match self.describe(handle) {
                Ok(Some(object)) => objects.push(object),
                Ok(None) => {}
                Err(error) if error.kind() == Kind::Stale => self.alive()?,
                Err(error) => return Err(Fault::reading(&error)),
            }
        }
        Ok(objects)
    }

    fn describe(&self, handle: Handle) -> Result<Option<TokenObject>, kms_pkcs11::Error> {
        let class = match self.session.read(handle, AttributeName::Class)? {
            Reading::Value(Attribute::Class(ObjectClass::SecretKey)) => "secret",
            Reading::Value(Attribute::Class(ObjectClass::PrivateKey)) => "private",
            Reading::Value(Attribute::Class(ObjectClass::PublicKey)) => "public",
            Reading::Value(_) | Reading::Sensitive | Reading::Absent => return Ok(None),
        };
        let flag = |name| {
            self.session
                .read(handle, name)
                .map(|reading| match reading {
                    Reading::Value(value) => flag_of(&value),
                    Reading::Sensitive | Reading::Absent => false,
                })
        };
        let bytes = |name| {
            self.session
                .read(handle, name)
                .map(|reading| match reading {
                    Reading::Value(Attribute::Id(bytes) | Attribute::Label(bytes)) => bytes,
                    Reading::Value(_) | Reading::Sensitive | Reading::Absent => Vec::new(),
                })
        };
        let id = bytes(AttributeName::Id)?;
        let mechanisms = match self
            .session
            .read(handle, AttributeName::AllowedMechanisms)?
        {
            Reading::Value(Attribute::AllowedMechanisms(mechanisms)) => mechanisms,
            Reading::Value(_) | Reading::Sensitive | Reading::Absent => Vec::new(),
        };
        let mut mechanisms: Vec<_> = mechanisms.iter().map(ToString::to_string).collect();
        mechanisms.sort();
        Ok(Some(TokenObject {
            id: KeyId::from_bytes(&id),
            raw_id: HEXLOWER.encode(&id),
            label: String::from_utf8_lossy(&bytes(AttributeName::Label)?).into_owned(),
            class: class.to_owned(),
            sensitive: flag(AttributeName::Sensitive)?,
            extractable: flag(AttributeName::Extractable)?,
            local: flag(AttributeName::Local)?,
            mechanisms,
        }))
    }
}

fn flag_of(attribute: &Attribute) -> bool {
    matches!(
        attribute,
        Attribute::Sensitive(true) | Attribute::Extractable(true) | Attribute::Local(true)
    )
}
