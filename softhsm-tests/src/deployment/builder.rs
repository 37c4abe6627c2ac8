//! What a deployment will be, and how it comes to be.

use super::Deployment;
use crate::{
    Authority, Failure, Token,
    configuration::{ServerFile, principals, trust_domain},
    server::Place,
    setting,
    token::Make,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// What a deployment will be; made into one by [`Builder::start`].
#[derive(Debug, Clone)]
pub struct Builder {
    pub(super) deployment: String,
    pub(super) bindings: String,
    pub(super) policy: PathBuf,
    pub(super) token: Make,
    pub(super) configure: fn(&mut ServerFile),
}

impl Builder {
    /// Another `deployment.yaml`.
    #[must_use]
    pub fn deployment(mut self, yaml: &str) -> Self {
        self.deployment = yaml.to_owned();
        self
    }

    /// The same deployment, declared `production`: what asks for approvals is refused.
    #[must_use]
    pub fn production(mut self) -> Self {
        self.deployment = self.deployment.replace("development", "production");
        self
    }

    /// Other people and services; each gets a certificate.
    #[must_use]
    pub fn bindings(mut self, yaml: &str) -> Self {
        self.bindings = yaml.to_owned();
        self
    }

    /// Another policy directory.
    #[must_use]
    pub fn policy(mut self, directory: &Path) -> Self {
        self.policy = directory.to_owned();
        self
    }

    /// On a token of another make.
    #[must_use]
    pub fn token(mut self, make: Make) -> Self {
        self.token = make;
        self
    }

    /// Changes `kms-server.toml` before it is written.
    #[must_use]
    pub fn configure(mut self, configure: fn(&mut ServerFile)) -> Self {
        self.configure = configure;
        self
    }

    /// Prepares everything, initialises the deployment and starts its server.
    ///
    /// # Panics
    /// When any of it fails.
    pub fn start(self) -> Deployment {
        let mut deployment = self.prepare();
        deployment.init().succeeds();
        deployment.restart();
        deployment
    }

    /// Prepares directory, token, certificates and configuration, and runs nothing: for
    /// tests of `init` and of starts that must fail.
    ///
    /// # Panics
    /// When it cannot be prepared.
    pub fn prepare(self) -> Deployment {
        self.try_prepare()
            .unwrap_or_else(|cause| panic!("cannot prepare a deployment: {cause}"))
    }

    fn try_prepare(self) -> Result<Deployment, Failure> {
        let directory = tempfile::Builder::new()
            .prefix("kms-test-")
            .disable_cleanup(setting::keep())
            .tempdir()
            .map_err(|cause| Failure::because("cannot make a temporary directory", cause))?;
        let root = directory.path().to_owned();
        let [documents, bindings] = [
            ("deployment.yaml", &self.deployment),
            ("bindings.yaml", &self.bindings),
        ]
        .map(|(name, text)| {
            let path = root.join(name);
            fs::write(&path, text).map_err(Failure::with_file("write", &path))?;
            Ok::<_, Failure>(path)
        });
        let authority = Authority::create(&root.join("pki"), &trust_domain(&documents?)?)?;
        authority.server()?;
        let identities = principals(&bindings?)?
            .iter()
            .map(|principal| authority.client(principal))
            .collect::<Result<Vec<_>, _>>()?;
        let token = Token::create(&root, "emc2", self.token)?;
        let mut file = ServerFile::loopback(&token);
        (self.configure)(&mut file);
        let place = Place {
            data: root.join(&file.data),
            token,
            probe: authority.client("service/kit-probe")?,
            directory: root,
        };
        fs::create_dir_all(&place.data).map_err(Failure::with_file("create", &place.data))?;
        file.write(&place.configuration())?;
        Ok(Deployment {
            server: None,
            place,
            authority,
            identities,
            policy: self.policy,
            directory,
        })
    }
}
