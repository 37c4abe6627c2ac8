//! How fast: the token by itself, and the whole service over mutual TLS, in one table.
//!
//! ```text
//! cargo build --release --workspace --bins && cargo bench -p softhsm-tests --bench speed [-- --quick]
//! ```
//!
//! Callers run in this process, on the same processors as server and token: what is measured is
//! the machine as a whole. Nothing is asserted about time.
//!
//! With `--file 2000000` it is a file instead: so many identifiers from a CSV file through the command
//! line, gRPC and the token and back to a CSV file, beside the token's own rate.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::as_conversions,
    clippy::disallowed_methods,
    reason = "a measurement looks at the clock, and stops where it cannot go on"
)]

mod file;
mod raw;
mod service;

use clap::Parser;
use std::time::Duration;

/// Measures the token and the service.
#[derive(Debug, Parser)]
struct Arguments {
    /// Half a second for each figure instead of three
    #[arg(long)]
    quick: bool,
    /// A file of so many identifiers, from CSV to CSV
    #[arg(long, value_name = "LINES")]
    file: Option<u64>,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

/// The two operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Gcm,
    Hmac,
}

/// Operations a second, and the half of calls that is faster than this.
#[derive(Debug, Clone, Copy)]
struct Figure {
    rate: f64,
    median: Duration,
}

impl Operation {
    const ALL: [Operation; 2] = [Operation::Gcm, Operation::Hmac];

    fn name(self) -> &'static str {
        match self {
            Operation::Gcm => "GCM encrypt 32 B",
            Operation::Hmac => "HMAC (pseudonym)",
        }
    }
}

fn main() {
    let arguments = Arguments::parse();
    let time = if arguments.quick {
        Duration::from_millis(500)
    } else {
        Duration::from_secs(3)
    };
    let build = if cfg!(debug_assertions) {
        "DEBUG build: figures mean nothing"
    } else {
        "release build"
    };
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    println!("{build}, {processors} processors, {time:?} for each figure");
    if let Some(lines) = arguments.file {
        return file::measure(lines, time);
    }
    println!("thousands of operations a second; x: of the token's own best with a token object\n");

    println!(
        "{:<18} {:<14} {:>16} {:>16}",
        "token alone", "", "1 thread", "2 threads"
    );
    let mut best = Vec::new();
    let token = raw::Raw::new();
    for operation in Operation::ALL {
        let mut rate: f64 = 0.0;
        for object in raw::Object::ALL {
            let figures = [1, 2].map(|threads| token.measure(operation, object, threads, time));
            let cells = figures.map(|figure| {
                let cell = figure.map_or_else(|| "not allowed".to_owned(), absolute);
                format!("{cell:>16}")
            });
            println!(
                "{:<18} {:<14} {}",
                operation.name(),
                object.name(),
                cells.join(" ")
            );
            if object == raw::Object::Token {
                rate = figures
                    .iter()
                    .flatten()
                    .map(|f| f.rate)
                    .fold(rate, f64::max);
            }
        }
        best.push((operation, rate));
    }
    drop(token);

    println!();
    print!("{:<18} {:<14}", "service", "items a call");
    for callers in service::CALLERS {
        print!(" {:>22}", format!("{callers} callers"));
    }
    println!();
    let mut service = service::Service::start();
    for (operation, raw) in best {
        for items in service::ITEMS {
            print!("{:<18} {items:<14}", operation.name());
            for callers in service::CALLERS {
                let figure = service.measure(operation, items, callers, time);
                print!(
                    " {:>22}",
                    format!("{} {:.2}x", absolute(figure), figure.rate / raw)
                );
            }
            println!();
        }
    }
}

fn absolute(figure: Figure) -> String {
    let micros = figure.median.as_micros();
    let median = if micros < 1000 {
        format!("{micros}us")
    } else {
        format!("{:.1}ms", figure.median.as_secs_f64() * 1000.0)
    };
    format!("{:.1}k {median}", figure.rate / 1000.0)
}

/// The median of what was measured.
fn median(mut samples: Vec<Duration>) -> Duration {
    samples.sort();
    samples.get(samples.len() / 2).copied().unwrap_or_default()
}
