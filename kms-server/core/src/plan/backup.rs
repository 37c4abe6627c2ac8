//! Plans that declare backups of the token.

use super::{Ground, Plan, new, written};
use crate::backup::{Backup, BackupName};
use crate::error::{Error, Result};
use crate::time::Time;
use crate::value::Value;

pub(super) fn declare(
    ground: Ground<'_>,
    title: &str,
    (taken, expires): (Time, Time),
) -> Result<Plan> {
    if taken > ground.now {
        return Err(Error::invalid(
            "take_time",
            "a backup is declared once it was taken",
        ));
    }
    if expires <= taken {
        return Err(Error::invalid(
            "expire_time",
            "a backup is kept until some time after it was taken",
        ));
    }
    let backup = Backup {
        name: BackupName::fresh(&ground.fresh)?,
        title: title.to_owned(),
        taken,
        expires,
        declared: ground.now,
        declarer: ground.caller.to_string(),
    };
    super::absent(ground.view, &backup.name.to_string())?;
    Ok(written(vec![new(Value::Backup(backup))]))
}
