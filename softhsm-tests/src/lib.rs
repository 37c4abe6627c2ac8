//! The public test kit: a throwaway deployment of the whole product, real parts only.
//!
//! Each deployment has a directory, a `SoftHSM` token, a public key infrastructure and a
//! server process of its own, so tests run side by side and leave nothing behind, not even
//! when they are killed. The functions panic with a sentence where a test can only fail,
//! so that a test reads as a story:
//!
//! ```no_run
//! use softhsm_tests::Deployment;
//!
//! let mut kms = Deployment::emc2().start();
//! kms.cli("stella").run(["space", "list"]).succeeds();
//! kms.kill();
//! kms.restart();
//! ```
//!
//! What a development machine needs as well (certificates, a token, configuration,
//! fictitious patients) returns a [`Failure`] instead of panicking: the program `kms-dev`
//! is made of it, so that the production server contains no maker of certificates.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a kit for tests: what cannot go on fails the test, with a sentence"
)]

pub mod browser;
pub mod certificate;
pub mod channel;
pub mod cli;
pub mod configuration;
pub mod custodian;
pub mod deployment;
pub mod durability;
pub mod failure;
pub mod faulty;
pub mod gateway;
pub mod guard;
pub mod hsm_bench;
pub mod hsm_contract;
pub mod http;
pub mod in_process;
pub mod issuer;
pub mod manual_clock;
pub mod memory;
pub mod outside_bytes;
pub mod partner;
pub mod patients;
pub mod pin_holder;
pub mod pki;
pub mod program;
pub mod script;
pub mod server;
pub mod setting;
pub mod sound;
pub mod store_contract;
pub mod supplier;
pub mod token;
pub mod wait;

pub use browser::Browser;
pub use cli::{Cli, Finished};
pub use deployment::{Builder, Deployment};
pub use failure::Failure;
pub use in_process::{InProcessToken, Outsider};
pub use issuer::Issuer;
pub use pin_holder::PinHolder;
pub use pki::{Authority, Flaw, Identity, Revoked};
pub use server::Server;
pub use setting::{full, scaled};
pub use token::Token;
