//! The key management server.

use clap::{Parser, Subcommand};
use kms_core::name::DestinationName;
use kms_server::config::Config;
use kms_server::hsm::Trust;
use kms_server::{doctor, init, process, rebuild, serve, trust};
use std::path::PathBuf;
use std::process::ExitCode;

/// A gRPC key management service in front of a PKCS#11 HSM.
#[derive(Debug, Parser)]
#[command(name = "kms-server", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a new deployment: store, logs, policy, bindings, the deployment's own keys.
    ///
    /// Example: kms-server init --config kms-server.toml --deployment deployment.yaml
    /// --policy ops/policy --bindings bindings.yaml
    Init {
        /// The server's configuration.
        #[arg(long)]
        config: PathBuf,
        /// What the deployment is: name, trust domain, environment, side (YAML).
        #[arg(long)]
        deployment: PathBuf,
        /// The directory of `schema.cedarschema` and `policy.cedar`.
        #[arg(long)]
        policy: PathBuf,
        /// Who has which roles (YAML).
        #[arg(long)]
        bindings: PathBuf,
    },
    /// Serve a deployment until SIGTERM or SIGINT; SIGHUP reads the certificates again.
    Serve {
        /// The server's configuration.
        #[arg(long)]
        config: PathBuf,
    },
    /// Compare store and token, both ways. Changes nothing unless told; the server must be stopped.
    ///
    /// Exit code 0: all is well; 2: something was found.
    Doctor {
        /// The server's configuration.
        #[arg(long)]
        config: PathBuf,
        /// Destroy this orphan: an object of the token, by its id, that is in no record.
        #[arg(long, value_name = "ID")]
        destroy_orphan: Vec<String>,
    },
    /// Make the store again from the changes log, when it is lost or not what the log says; the
    /// server must be stopped.
    ///
    /// The log is verified first, and the token looked at. What the log proves is restored; a version
    /// that cannot be proved is suspended; what the log saw destroyed is destroyed again; counts and
    /// quotas, which only the store knew, count as spent, so that protecting versions are rotated.
    /// What was there is set aside, never deleted. Interrupted, it is run again and goes on.
    ///
    /// Examples:
    ///   kms-server rebuild --config kms-server.toml --from-audit --dry-run
    ///   kms-server rebuild --config kms-server.toml --from-audit /mnt/copy
    ///
    /// Exit code 0: all is well; 2: something needs people, and is named.
    #[command(verbatim_doc_comment)]
    Rebuild {
        /// The server's configuration.
        #[arg(long)]
        config: PathBuf,
        /// From the logs: those of the data directory, or, where it has none, a copy of them in DIR
        /// (its `changes` and `uses`).
        #[arg(long, value_name = "DIR", num_args = 0..=1, required = true)]
        from_audit: Option<Option<PathBuf>>,
        /// Verify and compare, say what would be done, and change nothing.
        #[arg(long)]
        dry_run: bool,
        /// Also from a log that ends too early: the token has keys that were made later. What was
        /// suspended, compromised or destroyed since is not known, so that every version that is not
        /// rotated at once is suspended.
        #[arg(long)]
        behind: bool,
    },
    /// Put a destination's public key into the token as a trusted one: for its security officer.
    ///
    /// What the custodians approved and the officer's PIN are typed. The server may go on serving.
    ///
    /// Example: kms-server trust destinations/other-hsm --config kms-server.toml
    /// --public-key other-hsm.pem
    Trust {
        /// The destination, as `kms export destination list` shows it.
        destination: DestinationName,
        /// The server's configuration.
        #[arg(long)]
        config: PathBuf,
        /// The destination's public key (PEM).
        #[arg(long, value_name = "FILE")]
        public_key: PathBuf,
        /// Take it out of the token again: nothing can leave under it any more.
        #[arg(long)]
        withdraw: bool,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments.command) {
        Ok(code) => code,
        Err(sentence) => {
            eprintln!("kms-server: {sentence}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode, String> {
    process::harden()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("cannot start: {e}"))?;
    match command {
        Command::Rebuild {
            config,
            from_audit,
            dry_run,
            behind,
        } => {
            let config = Config::read(&config)?;
            serve::start_log(&config)?;
            let wish = rebuild::Wish {
                from: from_audit.flatten(),
                dry_run,
                behind,
            };
            let report = runtime.block_on(rebuild::rebuild(config, wish))?;
            print!("{report}");
            Ok(if report.is_well() {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(2)
            })
        }
        Command::Init {
            config,
            deployment,
            policy,
            bindings,
        } => {
            let path = config;
            let config = Config::read(&path)?;
            serve::start_log(&config)?;
            let founding = init::Founding::read(&deployment, &policy, &bindings)?;
            runtime.block_on(init::init(config, founding))?;
            let path = path.display();
            println!("The deployment is made. Start it with: kms-server serve --config {path}");
            Ok(ExitCode::SUCCESS)
        }
        Command::Serve { config } => {
            let config = Config::read(&config)?;
            serve::start_log(&config)?;
            runtime.block_on(serve::serve(config))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Doctor {
            config,
            destroy_orphan,
        } => {
            let config = Config::read(&config)?;
            serve::start_log(&config)?;
            let report = runtime.block_on(doctor::doctor(config, &destroy_orphan))?;
            print!("{report}");
            Ok(if report.is_well() {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(2)
            })
        }
        Command::Trust {
            destination,
            config,
            public_key,
            withdraw,
        } => {
            let config = Config::read(&config)?;
            let trust = if withdraw {
                Trust::Withdrawn
            } else {
                Trust::Given
            };
            println!(
                "{}",
                trust::trust(&config, &destination, &public_key, trust)?
            );
            Ok(ExitCode::SUCCESS)
        }
    }
}
