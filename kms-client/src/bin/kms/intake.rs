//! What a wrapping key takes in, as people write and read it.

use crate::table::word;
use clap::{Args, ValueEnum};
use kms_client::v1;
use kms_core::name::Slug;
use serde::{Deserialize, Serialize};

/// A wrapping mechanism. AWS KMS and Google Cloud KMS call some of them by other names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mechanism {
    /// RSAES-OAEP with SHA-256 (RFC 8017).
    #[value(aliases = ["oaep-sha256", "rsa-oaep-3072-sha256", "RSAES_OAEP_SHA_256"])]
    #[serde(rename = "rsa-oaep-sha256")]
    RsaOaepSha256,
    /// RSAES-OAEP with SHA-1, where the policy allows it.
    #[value(aliases = ["oaep-sha1"])]
    #[serde(rename = "rsa-oaep-sha1")]
    RsaOaepSha1,
    /// RSAES-OAEP with SHA-256 of an ephemeral AES key, then RFC 5649 (CKM_RSA_AES_KEY_WRAP).
    #[value(aliases = ["rsa-oaep-3072-sha256-aes-256", "RSA_AES_KEY_WRAP_SHA_256"])]
    #[serde(rename = "rsa-aes-kwp-sha256")]
    RsaAesKwpSha256,
    /// The same with SHA-1, as in Azure's .byok files, where the policy allows it.
    #[serde(rename = "rsa-aes-kwp-sha1")]
    RsaAesKwpSha1,
    /// AES key wrap under an exchange key (RFC 3394).
    AesKw,
    /// AES key wrap with padding under an exchange key (RFC 5649).
    AesKwp,
}

/// The class of keys that come in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Taken {
    /// Data-at-rest keys.
    #[default]
    DataAtRest,
    /// Symmetric exchange keys, under which a partner wraps others.
    Exchange,
}

/// What a wrapping key takes in, as the inventory writes it:
/// `intake: {mechanism: rsa-oaep-sha256, class: data-at-rest, partner: hcl}`.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Intake {
    pub(crate) mechanism: Mechanism,
    #[serde(default)]
    pub(crate) class: Taken,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) two_steps: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) partner: Option<Slug>,
}

/// The same, as options. Of a key that says nothing of it: data-at-rest keys by direct RSA-OAEP.
#[derive(Debug, Args)]
pub(crate) struct Takes {
    /// Of a wrapping key: how keys are wrapped for it, and no other way.
    #[arg(long, value_enum, value_name = "MECHANISM")]
    takes: Option<Mechanism>,
    /// The class of the keys that come in under it.
    #[arg(
        long,
        value_enum,
        value_name = "CLASS",
        default_value = "data-at-rest",
        requires = "takes"
    )]
    takes_class: Taken,
    /// Do RSA-AES-KWP in two calls inside an HSM that lacks the mechanism: weaker, and off in
    /// production.
    #[arg(long, requires = "takes")]
    two_steps: bool,
    /// The one partner that it is for; a policy may allow a partner what it allows nobody else.
    #[arg(long, value_name = "PARTNER", requires = "takes")]
    partner: Option<Slug>,
}

impl Takes {
    pub(crate) fn message(self) -> Option<v1::Intake> {
        let said = Intake {
            mechanism: self.takes?,
            class: self.takes_class,
            two_steps: self.two_steps,
            partner: self.partner,
        };
        Some(said.message())
    }
}

impl Intake {
    /// As the service takes it.
    pub(crate) fn message(&self) -> v1::Intake {
        v1::Intake {
            class: match self.class {
                Taken::DataAtRest => v1::KeyClass::DataAtRest,
                Taken::Exchange => v1::KeyClass::Exchange,
            }
            .into(),
            mechanism: v1::WrappingMechanism::from(self.mechanism).into(),
            two_steps: self.two_steps,
            partner: self
                .partner
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
        }
    }

    /// As the service says it.
    pub(crate) fn of(said: &v1::Intake) -> Option<Self> {
        Some(Self {
            mechanism: match said.mechanism() {
                v1::WrappingMechanism::RsaOaepSha256 => Mechanism::RsaOaepSha256,
                v1::WrappingMechanism::RsaOaepSha1 => Mechanism::RsaOaepSha1,
                v1::WrappingMechanism::RsaAesKwpSha256 => Mechanism::RsaAesKwpSha256,
                v1::WrappingMechanism::RsaAesKwpSha1 => Mechanism::RsaAesKwpSha1,
                v1::WrappingMechanism::AesKw => Mechanism::AesKw,
                v1::WrappingMechanism::AesKwp => Mechanism::AesKwp,
                v1::WrappingMechanism::Unspecified => return None,
            },
            class: match said.class() {
                v1::KeyClass::Exchange => Taken::Exchange,
                v1::KeyClass::DataAtRest
                | v1::KeyClass::ImportWrapping
                | v1::KeyClass::Pseudonymisation
                | v1::KeyClass::Service
                | v1::KeyClass::Unspecified => Taken::DataAtRest,
            },
            two_steps: said.two_steps,
            partner: said.partner.parse().ok(),
        })
    }
}

impl From<Mechanism> for v1::WrappingMechanism {
    fn from(mechanism: Mechanism) -> Self {
        match mechanism {
            Mechanism::RsaOaepSha256 => Self::RsaOaepSha256,
            Mechanism::RsaOaepSha1 => Self::RsaOaepSha1,
            Mechanism::RsaAesKwpSha256 => Self::RsaAesKwpSha256,
            Mechanism::RsaAesKwpSha1 => Self::RsaAesKwpSha1,
            Mechanism::AesKw => Self::AesKw,
            Mechanism::AesKwp => Self::AesKwp,
        }
    }
}

/// In a few words.
pub(crate) fn told(intake: &v1::Intake) -> String {
    let steps = if intake.two_steps {
        " in two steps (weaker)"
    } else {
        ""
    };
    let partner = match intake.partner.as_str() {
        "" => String::new(),
        partner => format!(", of {partner}"),
    };
    format!(
        "{} keys by {}{steps}{partner}",
        word(intake.class().as_str_name()),
        word(intake.mechanism().as_str_name())
    )
}
