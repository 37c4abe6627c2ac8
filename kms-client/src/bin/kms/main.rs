//! `kms`, the operator's command line of the EMC2 key management service.
//!
//! It exits with a code that scripts may rely on; `kms --help` lists them.

mod access;
mod attested;
mod authority;
mod cli;
mod confirm;
mod contexts;
mod difference;
mod intake;
mod inventory;
mod lifecycle;
mod limits;
mod noun;
mod pem;
mod progress;
mod rules;
mod screen;
mod session;
mod sign_ins;
mod study;
mod table;
mod verify;
mod waiting;
mod yaml;

use clap::Parser;
use kms_client::{Error, Kind, discard_unfinished};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(told) => return told_by_clap(&told),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(e) => return told(&Error::new(Kind::Internal, format!("cannot start: {e}"))),
    };
    let ended = runtime.block_on(async {
        tokio::select! {
            ended = cli.run() => Some(ended),
            () = interrupted() => None,
        }
    });
    let code = match ended {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => told(&error),
        None => {
            screen::complain("interrupted; nothing that is half done has the name of a result");
            ExitCode::from(130)
        }
    };
    // Background work cannot be cancelled, and a read of a terminal never ends: files are removed
    // here, and the process does not wait.
    discard_unfinished();
    runtime.shutdown_background();
    code
}

fn told(error: &Error) -> ExitCode {
    match error.kind() {
        Kind::Pending => screen::wait_for_others(&error.to_string()),
        Kind::Invalid
        | Kind::Rejected
        | Kind::Refused
        | Kind::NotFound
        | Kind::Conflict
        | Kind::State
        | Kind::Exhausted
        | Kind::Unavailable
        | Kind::Unknown
        | Kind::Internal
        | Kind::Tls
        | Kind::Usage
        | Kind::Io => screen::complain(&error.to_string()),
    }
    ExitCode::from(error.kind().exit_code())
}

/// Help and version go to the standard output and are a success; the rest is usage.
fn told_by_clap(told: &clap::Error) -> ExitCode {
    // Where even this cannot be written, the exit code says it.
    drop(told.print());
    if told.use_stderr() {
        ExitCode::from(Kind::Usage.exit_code())
    } else {
        ExitCode::SUCCESS
    }
}

/// Ctrl-C, or a polite request to end.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    match (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) {
        (Ok(mut interrupt), Ok(mut terminate)) => {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        (Err(_), _) | (_, Err(_)) => std::future::pending().await,
    }
}
