//! Plans that let a key leave for another HSM.

use super::{Act, Ground, Leaving, Plan, absent, new, over, unchanged, written};
use crate::deployment::Environment;
use crate::destination::{Destination, WrappingKey};
use crate::error::{Error, Result};
use crate::key::{Export, Version, Wrapping};
use crate::name::{DestinationName, VersionName};
use crate::revision::Revision;
use crate::value::Value;

pub(super) fn declare(
    ground: Ground<'_>,
    name: &DestinationName,
    title: &str,
    public_key: &WrappingKey,
) -> Result<Plan> {
    absent(ground.view, &name.to_string())?;
    // One object in the token, one thing that it stands for.
    let same = |other: &&Destination| other.public_key == *public_key;
    if let Some(other) = ground.view.destinations().find(same) {
        return Err(Error::conflict(format!(
            "this public key is that of {} already",
            other.name
        )));
    }
    let destination = Destination {
        name: name.clone(),
        title: title.to_owned(),
        public_key: public_key.clone(),
        declared: ground.now,
        declarer: ground.caller.to_string(),
    };
    Ok(written(vec![new(Value::Destination(destination))]))
}

pub(super) fn export(
    ground: Ground<'_>,
    (name, etag): (&VersionName, Option<Revision>),
    destination: &DestinationName,
    mechanism: Wrapping,
    reason: &str,
) -> Result<Plan> {
    let (version, revision) = ground
        .view
        .version(name)
        .ok_or_else(|| Error::not_found(name))?;
    unchanged(etag, revision, name)?;
    let production = ground.view.founded()?.environment == Environment::Production;
    match mechanism {
        Wrapping::OaepSha1 if production => {
            return Err(Error::refused(
                "RSA-OAEP with SHA-1 is for development alone; in production a key leaves by SHA-256",
            ));
        }
        Wrapping::OaepSha256 | Wrapping::OaepSha1 => {}
        Wrapping::RsaAesSha256 | Wrapping::RsaAesSha1 | Wrapping::AesKw | Wrapping::AesKwp => {
            return Err(Error::invalid(
                "mechanism",
                "a key leaves by direct RSA-OAEP: of two steps, nothing in the token would hold the \
                 first",
            ));
        }
    }
    let (to, _) = ground
        .view
        .destination(destination)
        .ok_or_else(|| Error::not_found(destination))?;
    let export = Export {
        destination: destination.clone(),
        public_key_sha256: to.public_key.sha256(),
        mechanism,
        moved: ground.moved(reason),
        proposal: ground.carried.cloned(),
    };
    let mut exported: Version = version.clone();
    exported.exports.push(export);
    let act = Act::Wrap(Leaving {
        version: name.clone(),
        destination: destination.clone(),
        mechanism,
    });
    Ok(Plan {
        act,
        ..written(vec![over(Value::Version(exported), revision)])
    })
}
