//! What can be asked on the command line.

use crate::noun::{
    access, attestation, audit, backup, ceremony, completions, context, domain, edge, emergency,
    export, file, hsm, import, inventory, key, login, policy, proposal, pseudonym, quota, random,
    report, rewrap, rotation, space, status, version,
};
use crate::screen::{Form, NO_PICTURE};
use crate::session::Setting;
use crate::waiting::Patience;
use clap::{Parser, Subcommand};
use jiff::SignedDuration;
use kms_client::{Error, Kind};
use kms_core::name::Slug;
use std::path::PathBuf;
use std::time::Duration;

/// Keys for sensitive health data, kept in an HSM.
///
/// Commands read noun, then verb: `kms key rotate ingest-lyon/object`. Names may be short
/// (ingest-lyon/object/3) or full (spaces/ingest-lyon/keys/object/versions/3).
#[derive(Debug, Parser)]
#[command(name = "kms", version, after_help = AFTER, disable_help_subcommand = true)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// The contexts file; by default kms/contexts.toml in $XDG_CONFIG_HOME, else in ~/.config.
    #[arg(long, value_name = "FILE", global = true, help_heading = EVERY, display_order = 100)]
    config: Option<PathBuf>,

    /// Which context of the contexts file to use instead of its current one; before the noun.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,

    /// How to show answers: table, or json (the interface's canonical proto3 JSON); of
    /// `kms edge graph` also dot and svg.
    #[arg(
        short = 'o',
        long,
        value_enum,
        value_name = "FORM",
        default_value = "table"
    )]
    #[arg(global = true, hide_possible_values = true, help_heading = EVERY, display_order = 101)]
    format: Form,

    /// How long each call may take, retries included.
    #[arg(long, value_name = "SECONDS", default_value = "30", global = true)]
    #[arg(help_heading = EVERY, display_order = 102)]
    #[arg(value_parser = seconds)]
    timeout: Duration,

    /// What this is for, where a key is bound to an authorised study: the study's purpose.
    #[arg(long, value_name = "PURPOSE", global = true, help_heading = EVERY, display_order = 103)]
    #[arg(value_parser = purpose)]
    purpose: Option<String>,

    /// Where others must agree first: wait for them, then carry it out. --wait=2h waits no longer
    /// than that; without a time, as long as the proposal does.
    #[arg(long, value_name = "DURATION", global = true, help_heading = EVERY, display_order = 104)]
    #[arg(num_args = 0..=1, require_equals = true, value_parser = duration)]
    wait: Option<Option<Duration>>,

    #[command(subcommand)]
    noun: Noun,
}

#[derive(Debug, Subcommand)]
enum Noun {
    /// Which service to speak to, and as whom.
    #[command(subcommand, after_help = context::FILE)]
    Context(context::Verb),
    /// Sign in at the OpenID provider of this context, with a browser.
    ///
    /// The sign-in is bound to the context's certificate, kept beside the contexts file, and sent
    /// with every call until it ends.
    Login(login::Login),
    /// Forget the sign-in of this context.
    Logout(login::Logout),
    /// Who am I here, and what may I do.
    Status(status::Status),
    /// Spaces: secure bubbles, strongly isolated from each other.
    #[command(subcommand)]
    Space(space::Verb),
    /// Identifier domains: within one, a person has one identifier.
    #[command(subcommand)]
    Domain(domain::Verb),
    /// Edges: from an identifier domain to a target space, with a pseudonymisation key.
    #[command(subcommand)]
    Edge(edge::Verb),
    /// Keys: a name, a class, and versions; never the material.
    #[command(subcommand)]
    Key(key::Verb),
    /// Versions of keys and their states.
    #[command(subcommand)]
    Version(version::Verb),
    /// What rotates when, and what else is due.
    #[command(subcommand)]
    Rotation(rotation::Verb),
    /// Keys that come in from an outside solution.
    #[command(subcommand)]
    Import(import::Verb),
    /// A key made from components that several people hold, on a machine without a network.
    #[command(subcommand)]
    Ceremony(ceremony::Verb),
    /// Keys that leave for another HSM.
    #[command(subcommand)]
    Export(export::Verb),
    /// Deterministic pseudonyms along an edge.
    #[command(subcommand)]
    Pseudonym(pseudonym::Verb),
    /// How much a caller may ask of a key or an edge.
    #[command(subcommand)]
    Quota(quota::Verb),
    /// Dual control: commands that wait for others to agree.
    #[command(subcommand)]
    Proposal(proposal::Verb),
    /// The one policy of the deployment: who may do what, under which conditions.
    #[command(subcommand)]
    Policy(policy::Verb),
    /// Who has which roles, and everything that follows from it.
    #[command(subcommand)]
    Access(access::Verb),
    /// Break glass: declared, short, loud and reviewed.
    #[command(subcommand)]
    Emergency(emergency::Verb),
    /// The two audit logs.
    #[command(subcommand)]
    Audit(audit::Verb),
    /// Attestations of destruction, for a third party to keep and verify.
    #[command(subcommand)]
    Attestation(attestation::Verb),
    /// Backups of the token, made with the HSM's own tools: what was destroyed may live on there.
    #[command(subcommand)]
    Backup(backup::Verb),
    /// The HSM behind the service.
    #[command(subcommand)]
    Hsm(hsm::Verb),
    /// Spaces, edges and keys, declared in a file.
    #[command(subcommand)]
    Inventory(inventory::Verb),
    /// Reports for a regulator.
    #[command(subcommand)]
    Report(report::Verb),
    /// Seal a file under a key.
    Encrypt(file::Encrypt),
    /// Open a sealed file.
    Decrypt(file::Decrypt),
    /// Move sealed files to the primary version of their key; the content is not touched.
    Rewrap(rewrap::Rewrap),
    /// Random bytes of the HSM.
    Random(random::Random),
    /// A completion script for a shell.
    Completions(completions::Completions),
}

impl Cli {
    /// Does what was asked.
    pub(crate) async fn run(self) -> Result<(), Error> {
        let setting = Setting {
            config: self.config,
            context: self.context,
            purpose: self.purpose,
            form: self.format,
            timeout: self.timeout,
            patience: self.wait.map(Patience),
        };
        let drawn = matches!(self.noun, Noun::Edge(edge::Verb::Graph));
        if setting.form.is_picture() && !drawn {
            return Err(Error::new(Kind::Usage, NO_PICTURE));
        }
        match self.noun {
            Noun::Context(verb) => verb.run(&setting),
            Noun::Completions(asked) => asked.run(setting.screen()),
            Noun::Login(asked) => asked.run(&setting).await,
            Noun::Logout(asked) => asked.run(&setting),
            Noun::Status(asked) => asked.run(&setting.session().await?).await,
            Noun::Space(verb) => verb.run(&setting).await,
            Noun::Domain(verb) => verb.run(&setting.session().await?).await,
            Noun::Edge(verb) => verb.run(&setting.session().await?).await,
            Noun::Key(verb) => verb.run(&setting.session().await?).await,
            Noun::Version(verb) => verb.run(&setting).await,
            Noun::Rotation(verb) => verb.run(&setting.session().await?).await,
            Noun::Report(verb) => verb.run(&setting.session().await?).await,
            Noun::Import(verb) => verb.run(&setting).await,
            Noun::Ceremony(verb) => verb.run(&setting).await,
            Noun::Export(verb) => verb.run(&setting.session().await?).await,
            Noun::Pseudonym(verb) => verb.run(&setting.session().await?).await,
            Noun::Quota(verb) => verb.run(&setting.session().await?).await,
            Noun::Proposal(verb) => verb.run(&setting.session().await?).await,
            Noun::Policy(verb) => verb.run(&setting).await,
            Noun::Access(verb) => verb.run(&setting).await,
            Noun::Emergency(verb) => verb.run(&setting.session().await?).await,
            Noun::Audit(verb) => verb.run(&setting.session().await?).await,
            Noun::Attestation(verb) => verb.run(&setting).await,
            Noun::Backup(verb) => verb.run(&setting.session().await?).await,
            Noun::Hsm(verb) => verb.run(&setting.session().await?).await,
            Noun::Inventory(verb) => verb.run(&setting).await,
            Noun::Encrypt(asked) => asked.run(&setting.session().await?).await,
            Noun::Decrypt(asked) => asked.run(&setting.session().await?).await,
            Noun::Rewrap(asked) => asked.run(&setting.session().await?).await,
            Noun::Random(asked) => asked.run(&setting.session().await?).await,
        }
    }
}

const EVERY: &str = "Options of every command";

const AFTER: &str = "\
Exit codes:
   0  done
   1  internal error, of the service or of kms
   2  the command was not understood
   3  invalid input: mend it
   4  refused: you may not
   5  not found
   6  conflict: it exists already or has changed; look again
   7  the key is not in a state for it
   8  unavailable or overloaded: try again
   9  unknown outcome: it may have happened; look first
  10  TLS: the two ends do not trust each other's certificates
  11  a local file cannot be read or written
  12  waits for others to agree; with -o json the answer is the proposal
  13  done, but for lines that were rejected: they are listed in a file of their own
 130  interrupted

Examples:
  kms status
  kms key list ingest-lyon
  kms encrypt visits.parquet --key ingest-lyon/object
  kms version compromise ingest-lyon/object/2 --reason \"incident 43\" --wait
  kms --context auditor audit verify";

fn purpose(text: &str) -> Result<String, String> {
    match text.parse::<Slug>() {
        Ok(slug) => Ok(slug.to_string()),
        Err(e) => Err(e.to_string()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<SignedDuration>().ok();
    let positive = parsed.and_then(|d| Duration::try_from(d).ok());
    positive
        .filter(|d| !d.is_zero())
        .ok_or_else(|| "write 30min, 2h or 1h30m".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse::<f64>()
        .ok()
        .filter(|seconds| *seconds > 0.0)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "a number of seconds above 0".to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::Cli;
    use clap::{Command, CommandFactory};

    fn write(command: &Command, path: &str, all: &mut String) {
        let help = command.clone().term_width(100).render_long_help();
        all.push_str(&format!("# {path}\n\n{help}\n"));
        for verb in command.get_subcommands() {
            write(verb, &format!("{path} {}", verb.get_name()), all);
        }
    }

    #[test]
    fn help_of_every_command() {
        let mut command = Cli::command().version("0");
        command.build();
        command.clone().debug_assert();
        let mut all = String::new();
        write(&command, "kms", &mut all);
        insta::assert_snapshot!(all);
    }

    #[test]
    fn every_command_that_does_something_shows_an_example() {
        fn check(command: &Command, path: &str) {
            let mut verbs = command.get_subcommands().peekable();
            if verbs.peek().is_none() {
                let shown = command.get_after_help().map(ToString::to_string);
                assert!(
                    shown.is_some_and(|text| text.contains("kms ")),
                    "{path} shows no example"
                );
            }
            for verb in verbs {
                check(verb, &format!("{path} {}", verb.get_name()));
            }
        }
        check(&Cli::command(), "kms");
    }
}
