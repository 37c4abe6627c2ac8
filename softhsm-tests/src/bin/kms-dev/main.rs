//! `kms-dev`: what a development deployment needs and a production server must not
//! contain: a token, certificates, a configuration and fictitious patients.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{self, ExitCode},
    time::Duration,
};

use clap::{Args, Parser, Subcommand};
use softhsm_tests::{
    Authority, Failure, PinHolder, Token,
    configuration::{ServerFile, principals, trust_domain, write_contexts},
    patients,
    pin_holder::Object,
    server::serving,
    token::{Make, initialise_here},
    wait::within,
};

/// Prepares development deployments of the key management service. Never for production.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Make a token with random PINs: its configuration, tokens/, pin, officer-pin
    Token {
        /// The token's directory; one that holds a token already is left as it is
        directory: PathBuf,
        /// Whose token
        #[arg(long, value_enum, default_value_t = Make::SoftHsm)]
        make: Make,
        /// The token's label
        #[arg(long, default_value = "emc2")]
        label: String,
    },
    /// Initialise a token; the officer's PIN and the user's come from standard input
    #[command(hide = true)]
    Initialise {
        /// The PKCS#11 module, told by the environment where its tokens are
        #[arg(long)]
        module: PathBuf,
        /// The token's label
        #[arg(long)]
        label: String,
    },
    /// Make a certificate authority, a server and clients; what exists is kept
    Pki {
        /// Where the certificates and keys go
        directory: PathBuf,
        /// The trust domain of all identities, for instance dev.emc2.example
        #[arg(long)]
        trust_domain: String,
        /// A person's id; may be repeated
        #[arg(long = "person")]
        people: Vec<String>,
        /// A service's id; may be repeated
        #[arg(long = "service")]
        services: Vec<String>,
    },
    /// Lay out a whole deployment but its data: token, certificates of everybody bound in
    /// DIRECTORY/bindings.yaml, and kms-server.toml for free ports on loopback
    Deployment {
        /// The deployment's directory, with deployment.yaml and bindings.yaml in it
        directory: PathBuf,
        /// Whose token
        #[arg(long, value_enum, default_value_t = Make::SoftHsm)]
        make: Make,
        /// The server's log: json or text
        #[arg(long, default_value = "json")]
        log_format: String,
    },
    /// Wait until the server of a deployment serves, then write contexts.toml for `kms`
    Ready {
        /// The deployment's directory
        directory: PathBuf,
        /// Give up after so many seconds
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Give up at once when this process, the server's, is gone
        #[arg(long)]
        pid: Option<u32>,
    },
    /// Read every key object of a deployment's token back, as any PKCS#11 program may
    Objects(Inside),
    /// Try with the PIN in hand what the token must refuse; fails when it does not
    Abuse(Inside),
    /// Write a CSV file of fictitious patients: ID,BIRTH_YEAR,SEX,SITE
    Patients {
        /// The file to write; `-` is standard output
        file: PathBuf,
        /// How many
        #[arg(long, default_value_t = 10_000)]
        count: u64,
        /// The same seed gives the same patients
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
}

/// What runs inside the token's module, which takes its configuration from the environment.
#[derive(Args)]
struct Inside {
    /// The deployment's directory
    directory: PathBuf,
    /// Print everything, as JSON
    #[arg(long)]
    json: bool,
    /// This process has the environment already
    #[arg(long, hide = true)]
    inside: bool,
}

fn main() -> ExitCode {
    match run(Arguments::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("kms-dev: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Token {
            directory,
            make,
            label,
        } => Token::create(&absolute(directory)?, &label, make).map(drop),
        Verb::Initialise { module, label } => initialise_here(&module, &label),
        Verb::Pki {
            directory,
            trust_domain,
            people,
            services,
        } => {
            let authority = Authority::create(&directory, &trust_domain)?;
            authority.server()?;
            let people = people.iter().map(|id| format!("person/{id}"));
            let services = services.iter().map(|id| format!("service/{id}"));
            people
                .chain(services)
                .try_for_each(|who| authority.client(&who).map(drop))
        }
        Verb::Deployment {
            directory,
            make,
            log_format,
        } => lay_out(&absolute(directory)?, make, log_format),
        Verb::Ready {
            directory,
            seconds,
            pid,
        } => ready(&absolute(directory)?, seconds, pid),
        Verb::Objects(asked) => asked.within("objects", objects),
        Verb::Abuse(asked) => asked.within("abuse", abuse),
        Verb::Patients { file, count, seed } if file.as_os_str() == "-" => {
            patients::write(io::stdout().lock(), count, seed)
        }
        Verb::Patients { file, count, seed } => {
            let out = fs::File::create(&file).map_err(Failure::with_file("write", &file))?;
            patients::write(io::BufWriter::new(out), count, seed)
        }
    }
}

fn lay_out(directory: &Path, make: Make, log_format: String) -> Result<(), Failure> {
    let trust_domain = trust_domain(&directory.join("deployment.yaml"))?;
    let authority = Authority::create(&directory.join("pki"), &trust_domain)?;
    authority.server()?;
    for principal in principals(&directory.join("bindings.yaml"))? {
        authority.client(&principal)?;
    }
    let token = Token::create(directory, "emc2", make)?;
    let mut file = ServerFile::loopback(&token);
    file.log.format = log_format;
    let data = directory.join(&file.data);
    fs::create_dir_all(&data).map_err(Failure::with_file("create", &data))?;
    file.write(&directory.join("kms-server.toml"))
}

fn ready(directory: &Path, seconds: u64, pid: Option<u32>) -> Result<(), Failure> {
    let trust_domain = trust_domain(&directory.join("deployment.yaml"))?;
    let authority = Authority::create(&directory.join("pki"), &trust_domain)?;
    let identities = principals(&directory.join("bindings.yaml"))?
        .iter()
        .map(|principal| authority.client(principal))
        .collect::<Result<Vec<_>, _>>()?;
    let probe = identities
        .first()
        .ok_or_else(|| Failure::new("bindings.yaml binds nobody: nobody could call the server"))?;
    let data = directory.join("data");
    let outcome = within(Duration::from_secs(seconds), || {
        match serving(&data, probe) {
            Some(endpoints) => Some(Ok(endpoints)),
            None if pid.is_some_and(is_gone) => Some(Err(Failure::new("the server has ended"))),
            None => None,
        }
    });
    let late = || {
        Err(Failure::new(format!(
            "the server does not serve after {seconds} s"
        )))
    };
    let endpoints = outcome.unwrap_or_else(late)?;
    write_contexts(
        &directory.join("contexts.toml"),
        &endpoints.url(),
        &identities,
    )
}

/// Ended, whether or not its parent has noticed.
fn is_gone(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| {
        stat.rsplit(')')
            .next()
            .unwrap_or_default()
            .starts_with(" Z")
    })
}

impl Inside {
    /// Does `work` in a process whose environment names the deployment's token: another
    /// one, because changing one's own environment is not safe.
    fn within(
        self,
        verb: &str,
        work: fn(&PinHolder, json: bool) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let directory = absolute(self.directory)?;
        let token = Token::open(&directory, "emc2")?;
        if self.inside {
            let lock = directory.join("data/token.lock");
            return work(&PinHolder::log_in(&token, &lock)?, self.json);
        }
        let failed = |cause| Failure::because("cannot run kms-dev again", cause);
        let mut again = process::Command::new(std::env::current_exe().map_err(failed)?);
        again.arg(verb).arg(&directory).arg("--inside");
        if self.json {
            again.arg("--json");
        }
        let status = token.told_to(&mut again).status().map_err(failed)?;
        if status.success() {
            Ok(())
        } else {
            Err(Failure::new(format!("{verb} failed")))
        }
    }
}

fn objects(holder: &PinHolder, json: bool) -> Result<(), Failure> {
    let objects = holder.objects()?;
    if json {
        return print_json(&objects);
    }
    // A pair counts once, by its private half.
    let keys: Vec<&Object> = objects
        .iter()
        .filter(|object| object.class != "public")
        .collect();
    let count = |test: fn(&Object) -> bool| keys.iter().filter(|key| test(key)).count();
    println!(
        "{} keys: {} sensitive, {} extractable, {} bound to their mechanisms, {} made in the \
         token, {} imported",
        keys.len(),
        count(|key| key.sensitive == Some(true)),
        count(|key| key.extractable != Some(false)),
        count(|key| !key.mechanisms.is_empty()),
        count(|key| key.local == Some(true)),
        count(|key| key.local != Some(true)),
    );
    Ok(())
}

fn abuse(holder: &PinHolder, json: bool) -> Result<(), Failure> {
    let attempts = holder.abuse()?;
    if json {
        print_json(&attempts)?;
    } else {
        for attempt in &attempts {
            let answer = attempt
                .refusal
                .as_deref()
                .unwrap_or("DONE: it should have refused");
            println!("{:<46} {:<36} {answer}", attempt.victim, attempt.what);
        }
    }
    match attempts
        .iter()
        .filter(|attempt| attempt.refusal.is_none())
        .count()
    {
        0 => Ok(()),
        done => Err(Failure::new(format!(
            "the token did {done} things that it must refuse"
        ))),
    }
}

fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let failed = |cause| Failure::because("cannot print", cause);
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value).map_err(|cause| failed(cause.into()))?;
    writeln!(out).map_err(failed)
}

fn absolute(directory: PathBuf) -> Result<PathBuf, Failure> {
    std::path::absolute(&directory).map_err(Failure::with_file("find", &directory))
}
