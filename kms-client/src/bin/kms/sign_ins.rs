//! The sign-ins that are in force, one for each context: a file beside the contexts file that only
//! its owner may read.

use kms_client::{Error, Kind, OpenId, Output, SignIn, read_private};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// The file as it is; none is as good as an empty one.
#[derive(Debug)]
pub(crate) struct SignIns {
    path: PathBuf,
    document: Document,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Document {
    context: BTreeMap<String, SignIn>,
}

impl SignIns {
    /// Reads the file.
    pub(crate) fn read(path: PathBuf) -> Result<Self, Error> {
        if !path.exists() {
            let document = Document::default();
            return Ok(Self { path, document });
        }
        let text = read_private("the sign-ins", &path)?;
        // What does not parse may hold a token: nothing of it is told.
        let document = serde_json::from_slice(&text).map_err(|_content| {
            let file = path.display();
            let sentence =
                format!("{file} is not a file of kms login; remove it and sign in again");
            Error::new(Kind::Io, sentence)
        })?;
        Ok(Self { path, document })
    }

    /// The one of a context, if somebody signed in there.
    ///
    /// Another provider than the context's is refused: the file was written for other contexts.
    pub(crate) fn of(&self, context: &str, openid: &OpenId) -> Result<Option<&SignIn>, Error> {
        let Some(kept) = self.document.context.get(context) else {
            return Ok(None);
        };
        if (&kept.issuer, &kept.client_id) == (&openid.issuer, &openid.client_id) {
            Ok(Some(kept))
        } else {
            Err(Error::new(
                Kind::Refused,
                format!("you signed in to {context} at another provider; run kms login"),
            ))
        }
    }

    /// Keeps one in place of the one before.
    pub(crate) fn keep(mut self, context: &str, sign_in: SignIn) -> Result<(), Error> {
        self.document.context.insert(context.to_owned(), sign_in);
        self.write()
    }

    /// Forgets the one of a context; whether there was one.
    pub(crate) fn forget(mut self, context: &str) -> Result<bool, Error> {
        let there = self.document.context.remove(context).is_some();
        if there {
            self.write()?;
        }
        Ok(there)
    }

    fn write(&self) -> Result<(), Error> {
        let json = serde_json::to_vec_pretty(&self.document).map(Zeroizing::new);
        let json = json.map_err(|e| Error::new(Kind::Internal, format!("no JSON form: {e}")))?;
        let mut output = Output::file(&self.path, true)?;
        output
            .write_all(&json)
            .map_err(|e| Error::file(&format!("write {}", self.path.display()), &e))?;
        output.commit()
    }
}
