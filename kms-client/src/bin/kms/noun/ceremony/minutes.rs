//! The minutes of a ceremony: what happened, when, and by whom, in values that tell nothing of the
//! key. They are for the file of the deployment, and for whoever compares them with the audit log.

use kms_client::{Error, Kind, Output};
use kms_core::component::{Check, Component};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::Write;
use std::path::Path;

/// Minutes, as they are written: JSON, the fields in this order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Minutes {
    /// [`TYPE`].
    #[serde(rename = "type")]
    kind: String,
    /// What the key is for, in words.
    pub(super) title: String,
    /// The check value of the key.
    pub(super) set: String,
    pub(super) threshold: u8,
    /// When the key was made, and with what.
    pub(super) made: String,
    pub(super) program: String,
    pub(super) holders: Vec<Holder>,
    /// Each time that it was combined.
    #[serde(default)]
    pub(super) combined: Vec<Combined>,
}

/// Who holds a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Holder {
    pub(super) number: u8,
    pub(super) name: String,
    /// The check value of the component.
    pub(super) check: String,
}

/// That the key was combined, and wrapped for an import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Combined {
    pub(super) at: String,
    /// Whose components were entered.
    pub(super) holders: Vec<Holder>,
    /// The key that will receive it, and the version that it was wrapped under.
    pub(super) key: String,
    pub(super) wrapper: String,
    pub(super) mechanism: String,
    /// SHA-256 of the import parameters, and the fingerprint of the key that signed them.
    pub(super) parameters_sha256: String,
    pub(super) signed_by: String,
    /// SHA-256 of the wrapped key: the audit log has it in the record of its import.
    pub(super) wrapped_sha256: String,
}

impl Minutes {
    /// Of a key that was made.
    pub(super) fn begin(
        title: String,
        components: &[Component],
        names: &[String],
        at: String,
    ) -> Result<Self, Error> {
        let none = || Error::new(Kind::Internal, "a key without components");
        let first = components.first().ok_or_else(none)?;
        let holders = components
            .iter()
            .zip(names)
            .map(|(component, name)| Holder {
                number: component.number(),
                name: name.clone(),
                check: component.check().to_string(),
            });
        Ok(Self {
            kind: TYPE.to_owned(),
            title,
            set: first.set().to_string(),
            threshold: first.threshold(),
            made: at,
            program: concat!("kms ", env!("CARGO_PKG_VERSION")).to_owned(),
            holders: holders.collect(),
            combined: Vec::new(),
        })
    }

    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let shown = path.display();
        let text = fs::read(path).map_err(|e| Error::file(&format!("read {shown}"), &e))?;
        let wrong = |why: &dyn std::fmt::Display| {
            Error::new(Kind::Invalid, format!("{shown} holds no minutes: {why}"))
        };
        let minutes: Self = serde_json::from_slice(&text).map_err(|e| wrong(&e))?;
        if minutes.kind != TYPE {
            return Err(wrong(&format!("their type is not {TYPE}")));
        }
        Ok(minutes)
    }

    pub(super) fn write(&self, path: &Path, replace: bool) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|e| Error::new(Kind::Internal, format!("cannot write the minutes: {e}")))?;
        let mut output = Output::file(path, replace)?;
        writeln!(output, "{text}").map_err(|e| Error::file("write the minutes", &e))?;
        output.commit()
    }

    /// Whose component this is.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when it is of another ceremony, or not the holder's of its number.
    pub(super) fn holder(&self, component: &Component) -> Result<&Holder, Error> {
        let invalid = |sentence: String| Err(Error::new(Kind::Invalid, sentence));
        if self.set.parse::<Check>().ok() != Some(component.set()) {
            return invalid(format!(
                "this component is of another ceremony: its key has the check value {}, and that of \
                 the minutes has {}",
                component.set(),
                self.set
            ));
        }
        let number = component.number();
        let Some(holder) = self.holders.iter().find(|holder| holder.number == number) else {
            return invalid(format!("the minutes have no holder {number}"));
        };
        if holder.check != component.check().to_string() {
            return invalid(format!(
                "this is not the component of holder {number} ({}): its check value is {}, and the \
                 minutes have {}",
                holder.name,
                component.check(),
                holder.check
            ));
        }
        Ok(holder)
    }
}

/// What minutes of this form begin with.
const TYPE: &str = "emc2-kms/ceremony-minutes/v1";
