//! `kms random`.

use crate::session::Session;
use clap::Args;
use data_encoding::HEXLOWER;
use kms_client::{Error, Kind, to_json, v1};
use std::io::Write;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  kms random 32\n  kms random 32 --raw > seed.bin")]
pub(crate) struct Random {
    /// How many bytes, 1 to 1,024.
    #[arg(value_parser = clap::value_parser!(i32).range(1..=1024))]
    length: i32,
    /// The bytes themselves instead of hexadecimal digits.
    #[arg(long)]
    raw: bool,
}

impl Random {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Error> {
        let request = v1::GenerateRandomRequest {
            length: self.length,
        };
        let answer = session.client.generate_random(request).await?;
        if self.raw {
            let mut stdout = std::io::stdout().lock();
            return stdout
                .write_all(&answer.random)
                .and_then(|()| stdout.flush())
                .map_err(|e| Error::file("write the answer", &e));
        }
        if session.screen.is_json() {
            let json = to_json(&answer).map_err(|e| Error::new(Kind::Internal, e.to_string()))?;
            return session.screen.json(&json);
        }
        session.screen.line(&HEXLOWER.encode(&answer.random))
    }
}
