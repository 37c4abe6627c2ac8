//! From outside words to values that are valid because they exist.

use kms_core::class::Class;
use kms_core::command::Sort;
use kms_core::envelope::EncryptionContext;
use kms_core::error::{Error, Result};
use kms_core::key::{Intake, Origin, Study, Wrapping};
use kms_core::lifecycle::Lifecycle;
use kms_core::name::{DomainName, EdgeName, KeyName, SpaceName, VersionName};
use kms_core::quota::QuotaName;
use kms_core::revision::Revision;
use kms_core::space::{InputType, SpaceKind};
use kms_core::time::Time;
use kms_proto::v1;
use std::collections::BTreeMap;
use std::net::IpAddr;

const TITLE_MAX: usize = 200;
const REASON_MAX: usize = 500;
const LABELS_MAX: usize = 32;
const LABEL_MAX: usize = 63;
const PAGE_DEFAULT: usize = 100;
const PAGE_MAX: usize = 1000;

/// A name, and which field it came in.
pub(super) fn name<T: std::str::FromStr<Err = Error>>(field: &str, text: &str) -> Result<T> {
    text.parse()
        .map_err(|e: Error| Error::invalid(field, format!("{field}: {}", e.message())))
}

/// A field that must be there.
pub(super) fn required<T>(field: &str, value: Option<T>) -> Result<T> {
    value.ok_or_else(|| Error::invalid(field, format!("{field} is missing")))
}

/// A title that must be there.
pub(super) fn said_title(text: String) -> Result<String> {
    line("title", text, 1, TITLE_MAX)
}

pub(super) fn title(text: String) -> Result<String> {
    line("title", text, 0, TITLE_MAX)
}

pub(super) fn reason(text: String) -> Result<String> {
    line("reason", text, 1, REASON_MAX)
}

fn line(field: &str, text: String, least: usize, most: usize) -> Result<String> {
    let count = text.chars().count();
    if (least..=most).contains(&count) && !text.chars().any(char::is_control) {
        Ok(text)
    } else {
        let sentence = format!("{field} is one line of {least} to {most} characters");
        Err(Error::invalid(field, sentence))
    }
}

pub(super) fn labels(labels: BTreeMap<String, String>) -> Result<BTreeMap<String, String>> {
    let fits = |text: &String, least| {
        (least..=LABEL_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
    };
    if labels.len() <= LABELS_MAX && labels.iter().all(|(k, v)| fits(k, 1) && fits(v, 0)) {
        Ok(labels)
    } else {
        Err(Error::invalid(
            "labels",
            "at most 32 labels, with names of 1 to 63 bytes and values of at most 63",
        ))
    }
}

/// A study; one without a purpose is none.
pub(super) fn study(study: Option<v1::Study>) -> Result<Option<Study>> {
    let Some(study) = study.filter(|s| !s.purpose.is_empty()) else {
        return Ok(None);
    };
    let ends = required("study.end_time", study.end_time)?;
    Ok(Some(Study {
        purpose: name("study.purpose", &study.purpose)?,
        ends: time("study.end_time", &ends)?,
    }))
}

/// A length of time, in milliseconds.
pub(super) fn period(field: &str, length: Option<prost_types::Duration>) -> Result<Option<u64>> {
    let Some(length) = length else {
        return Ok(None);
    };
    let wrong = || Error::invalid(field, format!("{field} is a length of time, not below 0"));
    let seconds = u64::try_from(length.seconds).map_err(|_negative| wrong())?;
    let nanos = u64::try_from(length.nanos).map_err(|_negative| wrong())?;
    let millis = seconds.checked_mul(1000).ok_or_else(wrong)?;
    Ok(Some(millis.saturating_add(nanos / 1_000_000)))
}

/// What is said of the life of versions; what is absent is inherited.
pub(super) fn lifecycle(said: Option<v1::Lifecycle>) -> Result<Lifecycle> {
    let Some(said) = said else {
        return Ok(Lifecycle::default());
    };
    let count = |field: &str, count: i64| -> Result<Option<u64>> {
        let count = u64::try_from(count)
            .map_err(|_negative| Error::invalid(field, format!("{field} is not negative")))?;
        Ok((count > 0).then_some(count))
    };
    Ok(Lifecycle {
        protecting: period("lifecycle.protecting", said.protecting)?,
        processing: period("lifecycle.processing", said.processing)?,
        encryptions: count("lifecycle.encryptions", said.encryptions)?,
        bytes: count("lifecycle.bytes", said.bytes)?,
        quiet: period("lifecycle.quiet", said.quiet)?,
    })
}

/// What an update names, of what it may.
pub(super) fn mask(mask: Option<prost_types::FieldMask>, fields: &[&str]) -> Result<Vec<String>> {
    let paths = required("update_mask", mask)?.paths;
    if paths.is_empty() || !paths.iter().all(|p| fields.contains(&p.as_str())) {
        let fields = fields.join(", ");
        let sentence =
            format!("update_mask names one or more of {fields}; nothing else can change");
        return Err(Error::invalid("update_mask", sentence));
    }
    Ok(paths)
}

/// A point in time, to the second.
pub(super) fn time(field: &str, time: &prost_types::Timestamp) -> Result<Time> {
    let seconds = u64::try_from(time.seconds)
        .map_err(|_before| Error::invalid(field, format!("{field} is not before 1970")))?;
    Ok(Time(seconds.saturating_mul(1000)))
}

/// An IP address, or none.
pub(super) fn address(field: &str, text: &str) -> Result<Option<IpAddr>> {
    let wrong = |_unread| Error::invalid(field, format!("{field}: {text} is no IP address"));
    match text {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(wrong),
    }
}

pub(super) fn etag(text: &str) -> Result<Option<Revision>> {
    if text.is_empty() {
        Ok(None)
    } else {
        text.parse().map(Some)
    }
}

pub(super) fn context(pairs: BTreeMap<String, String>) -> Result<EncryptionContext> {
    EncryptionContext::new(pairs)
}

pub(super) fn page_size(size: i32) -> Result<usize> {
    match usize::try_from(size) {
        Ok(0) => Ok(PAGE_DEFAULT),
        Ok(size) => Ok(size.min(PAGE_MAX)),
        Err(_negative) => Err(Error::invalid("page_size", "page_size is not negative")),
    }
}

/// The name that the page before ended with. A token that is none would end the list in silence.
fn page_token(sort: Sort, token: String) -> Result<Option<String>> {
    let ended_with = match (token.as_str(), sort) {
        ("", _) => return Ok(None),
        (name, Sort::Spaces) => name.parse().map(|_: SpaceName| ()),
        (name, Sort::Domains) => name.parse().map(|_: DomainName| ()),
        (name, Sort::Edges) => name.parse().map(|_: EdgeName| ()),
        (name, Sort::Keys) => name.parse().map(|_: KeyName| ()),
        (name, Sort::Versions) => name.parse().map(|_: VersionName| ()),
        (name, Sort::Quotas) => name.parse().map(|_: QuotaName| ()),
    };
    match ended_with {
        Ok(()) => Ok(Some(token)),
        Err(_other) => Err(Error::invalid(
            "page_token",
            "page_token is the next_page_token of the page before, of the same list",
        )),
    }
}

/// `spaces/{space}`, or `spaces/-` for all.
pub(super) fn parent(text: &str) -> Result<Option<SpaceName>> {
    match text {
        "" | "spaces/-" => Ok(None),
        text => name("parent", text).map(Some),
    }
}

/// `spaces/{space}/keys/{key}`, with `-` for any.
pub(super) fn parent_key(text: &str) -> Result<(Option<SpaceName>, Option<KeyName>)> {
    match text.strip_suffix("/keys/-") {
        Some(space) => Ok((parent(space)?, None)),
        None => {
            let key: KeyName = name("parent", text)?;
            Ok((Some(key.space().clone()), Some(key)))
        }
    }
}

pub(super) fn class(number: i32) -> Result<Class> {
    match v1::KeyClass::try_from(number) {
        Ok(v1::KeyClass::DataAtRest) => Ok(Class::DataAtRest),
        Ok(v1::KeyClass::ImportWrapping) => Ok(Class::ImportWrapping),
        Ok(v1::KeyClass::Pseudonymisation) => Ok(Class::Pseudonymisation),
        Ok(v1::KeyClass::Exchange) => Ok(Class::ServiceExchange),
        Ok(v1::KeyClass::Service) => Err(Error::invalid(
            "class",
            "service keys are the deployment's own; `init` makes them",
        )),
        Ok(v1::KeyClass::Unspecified) | Err(_) => Err(Error::invalid(
            "class",
            "class is one of DATA_AT_REST, IMPORT_WRAPPING, EXCHANGE",
        )),
    }
}

pub(super) fn space_kind(number: i32) -> Result<SpaceKind> {
    match v1::SpaceKind::try_from(number) {
        Ok(v1::SpaceKind::Ingest) => Ok(SpaceKind::Ingest),
        Ok(v1::SpaceKind::Warehouse) => Ok(SpaceKind::Warehouse),
        Ok(v1::SpaceKind::Project) => Ok(SpaceKind::Project),
        Ok(v1::SpaceKind::Platform) => Ok(SpaceKind::Platform),
        Ok(v1::SpaceKind::Outside) => Ok(SpaceKind::Outside),
        Ok(v1::SpaceKind::Unspecified) | Err(_) => Err(Error::invalid(
            "kind",
            "kind is one of INGEST, WAREHOUSE, PROJECT, PLATFORM",
        )),
    }
}

pub(super) fn input_type(number: i32) -> Result<InputType> {
    match v1::InputType::try_from(number) {
        Ok(v1::InputType::Opaque) => Ok(InputType::Opaque),
        Ok(v1::InputType::Pseudonym) => Ok(InputType::Pseudonym),
        Ok(v1::InputType::Nir) => Ok(InputType::Nir),
        Ok(v1::InputType::Unspecified) | Err(_) => {
            Err(Error::invalid("input", "input is one of OPAQUE, PSEUDONYM"))
        }
    }
}

/// Generated, unless the request says otherwise.
pub(super) fn origin(number: i32) -> Result<Origin> {
    match v1::Origin::try_from(number) {
        Ok(v1::Origin::Generated | v1::Origin::Unspecified) => Ok(Origin::Generated),
        Ok(v1::Origin::External) => Ok(Origin::External),
        Err(_) => Err(Error::invalid(
            "origin",
            "origin is one of GENERATED, EXTERNAL",
        )),
    }
}

/// A wrapping mechanism; unspecified is none.
pub(super) fn wrapping(number: i32) -> Result<Option<Wrapping>> {
    Ok(Some(match v1::WrappingMechanism::try_from(number) {
        Ok(v1::WrappingMechanism::RsaOaepSha256) => Wrapping::OaepSha256,
        Ok(v1::WrappingMechanism::RsaOaepSha1) => Wrapping::OaepSha1,
        Ok(v1::WrappingMechanism::RsaAesKwpSha256) => Wrapping::RsaAesSha256,
        Ok(v1::WrappingMechanism::RsaAesKwpSha1) => Wrapping::RsaAesSha1,
        Ok(v1::WrappingMechanism::AesKw) => Wrapping::AesKw,
        Ok(v1::WrappingMechanism::AesKwp) => Wrapping::AesKwp,
        Ok(v1::WrappingMechanism::Unspecified) => return Ok(None),
        Err(_) => {
            return Err(Error::invalid(
                "mechanism",
                "mechanism is one of RSA_OAEP_SHA256, RSA_OAEP_SHA1, RSA_AES_KWP_SHA256, \
                 RSA_AES_KWP_SHA1, AES_KW, AES_KWP",
            ));
        }
    }))
}

/// What a wrapping key takes in.
pub(super) fn intake(said: Option<v1::Intake>) -> Result<Option<Intake>> {
    let Some(said) = said else {
        return Ok(None);
    };
    let partner = Some(&said.partner).filter(|partner| !partner.is_empty());
    Ok(Some(Intake {
        class: class(said.class)?,
        mechanism: required("intake.mechanism", wrapping(said.mechanism)?)?,
        two_steps: said.two_steps,
        source: partner
            .map(|partner| name("intake.partner", partner))
            .transpose()?,
    }))
}

/// What a list of one sort asks.
pub(super) fn list(
    sort: Sort,
    (space, key): (Option<SpaceName>, Option<KeyName>),
    size: i32,
    token: String,
) -> Result<kms_core::command::Command> {
    let read = kms_core::command::Read::List {
        sort,
        space,
        key,
        after: page_token(sort, token)?,
        limit: page_size(size)?,
    };
    Ok(kms_core::command::Command::Read(read))
}
