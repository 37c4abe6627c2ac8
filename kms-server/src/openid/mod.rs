//! People sign in: an OpenID provider says who sits at the other end of a connection, beside the
//! certificate that says whose connection it is.
//!
//! What travels, as `authorization: Bearer` in the metadata of each call, is the **access token**
//! (RFC 9068), not the ID token. The access token is made for this service (`aud`), says when and
//! how the person proved who they are (`auth_time`, `acr`, `amr`), and is bound to the client's
//! certificate (`cnf`, RFC 8705), so that a copy of it is worth nothing without that certificate's
//! private key. The ID token's audience is the client, which checks its nonce and keeps it.
//!
//! A [`Verifier`] says who signed in and how. What that allows is the policy's business: roles come
//! from bindings, never from a token, and how old a sign-in may be is asked of the command.

mod keyring;
mod settings;
mod verifier;

pub use settings::{Settings, Strong};
pub use verifier::Verifier;
