//! What both ends of a person's sign-in share: how an OpenID provider is asked, which keys it
//! shows, and what a token that it signed says.
//!
//! Two tokens come from one sign-in, and each has one reader. The **ID token** (OpenID Connect Core,
//! section 2) tells the client who signed in, in answer to its own nonce; it stays in the client.
//! The **access token** (RFC 9068, `typ: at+jwt`) is made for the service: it names the service as
//! its audience, carries `auth_time`, `acr` and `amr`, and is bound to the client's certificate
//! (RFC 8705), so that it is worth nothing to whoever only copies it. The service accepts no ID
//! token: its audience is the client, and a token that is sent around is no proof of its sender.
//!
//! - [`Https`] fetches, trusting one authority only.
//! - [`Provider`] is the provider's metadata, found from its issuer.
//! - [`Keys`] are its public keys; [`Sealed`] is a token whose signature is still to be judged,
//!   [`Claims`] what a token says whose signature was, and [`Rule`] what it must say.
//! - [`Thumbprint`] is the certificate that a token is bound to.
//!
//! No error holds any part of a token.

mod claims;
mod https;
mod keys;
mod provider;
mod thumbprint;
mod token;
mod url;

pub use claims::{Claims, Proved, Rule};
pub use https::{Answer, Https};
pub use keys::{Key, Keys};
pub use provider::Provider;
pub use thumbprint::Thumbprint;
pub use token::{Sealed, Sort};
pub use url::HttpsUrl;

#[cfg(test)]
mod tests;
