//! A partner's side: raw keys, three tools, and the files that were handed over.

use softhsm_tests::{
    Finished,
    cli::{finish, finish_with},
    pki::write_private,
    program::{find, repository},
};
use std::path::Path;
use std::process::Command;

/// With which tool a key is wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Ours,
    OurByok,
    OpenSsl,
    Python,
    PythonByok,
}

/// What a partner was given.
#[derive(Debug, Clone)]
pub(crate) struct Transfer {
    pub(crate) directory: String,
    pub(crate) key: String,
    pub(crate) signer: String,
}

impl Transfer {
    pub(crate) fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.directory)
    }

    /// Wraps a key, with an exchange key if the parameters want one; gives the file.
    pub(crate) fn wrap(
        &self,
        way: Way,
        material: &[u8; 32],
        exchange: Option<&[u8; 32]>,
    ) -> String {
        let key = self.secret("raw.key", material);
        let under = exchange.map(|exchange| self.secret("exchange.key", exchange));
        let byok = matches!(way, Way::OurByok | Way::PythonByok);
        let output = self.at(if byok { "wrapped.byok" } else { "wrapped.bin" });
        match way {
            Way::Ours | Way::OurByok => {
                let mut more = vec!["-O", output.as_str(), "--key", key.as_str()];
                if let Some(under) = &under {
                    more.extend(["--under", under.as_str()]);
                }
                self.offline(&more, &self.signer).succeeds();
            }
            Way::OpenSsl => self.openssl(&key, under.as_deref(), &output),
            Way::Python | Way::PythonByok => self.python(way, &key, under.as_deref(), &output),
        }
        std::fs::remove_file(key).unwrap();
        output
    }

    /// Wraps with these parameters, if this signer signed them.
    pub(crate) fn wrap_by(&self, signer: &str, material: &[u8; 32]) -> Finished {
        let key = self.secret("raw.key", material);
        let output = self.at("wrapped.bin");
        self.offline(&["--key", &key, "-O", &output, "--force"], signer)
    }

    pub(crate) fn wrap_file(&self, path: &str) -> Finished {
        let output = self.at("wrapped.bin");
        self.offline(&["--key", path, "-O", &output, "--force"], &self.signer)
    }

    pub(crate) fn wrap_pipe(&self, bytes: &[u8]) -> Finished {
        let output = self.at("wrapped.bin");
        let command = self.command(&["--key", "-", "-O", &output, "--force"], &self.signer);
        finish_with(command, bytes)
    }

    /// The receipt verifies, for what was handed in and for nothing else.
    pub(crate) fn verifies(&self, receipt: &str, wrapped: &str) {
        let verify = |wrapped: &str, signer: &str| {
            let mut command = kms();
            command.args(["import", "verify-receipt", receipt, "--signed-by", signer]);
            finish({
                command.args(["--wrapped", wrapped]);
                command
            })
        };
        let told = verify(wrapped, &self.signer).succeeds().text();
        assert!(
            told.contains(&format!("spaces/{}", self.key.replace('/', "/keys/"))),
            "{told}"
        );
        verify(wrapped, &"1".repeat(64))
            .fails(3)
            .saying("NOT VERIFIED");
        verify(&self.at("import-token"), &self.signer)
            .fails(3)
            .saying("other wrapped material");
    }

    fn offline(&self, more: &[&str], signer: &str) -> Finished {
        finish(self.command(more, signer))
    }

    /// No context, no service: nothing but the files.
    fn command(&self, more: &[&str], signer: &str) -> Command {
        let mut command = kms();
        command.args([
            "import",
            "wrap",
            "--parameters",
            &self.directory,
            "--signed-by",
            signer,
        ]);
        command.args(more);
        command
    }

    /// As REFERENCE says: unpatched OpenSSL.
    fn openssl(&self, key: &str, under: Option<&str>, output: &str) {
        let run = |arguments: &[&str]| {
            let mut command = Command::new("openssl");
            command.args(arguments);
            finish(command).succeeds();
        };
        let method = self.method();
        let hex = |path: &str| {
            let bytes = std::fs::read(path).unwrap();
            data_encoding::HEXUPPER.encode(&bytes)
        };
        let public = self.at("public.der");
        let oaep = |input: &str, output: &str| {
            run(&[
                "pkeyutl",
                "-encrypt",
                "-in",
                input,
                "-inkey",
                &public,
                "-keyform",
                "DER",
                "-pubin",
                "-pkeyopt",
                "rsa_padding_mode:oaep",
                "-pkeyopt",
                "rsa_oaep_md:sha1",
                "-pkeyopt",
                "rsa_mgf1_md:sha1",
                "-out",
                output,
            ]);
        };
        let wrap = |cipher: &str, iv: &str, under: &str, output: &str| {
            run(&[
                "enc",
                cipher,
                "-iv",
                iv,
                "-K",
                &hex(under),
                "-in",
                key,
                "-out",
                output,
            ]);
        };
        match method.as_str() {
            "RSA-OAEP-SHA1" => oaep(key, output),
            "RSA-AES-KWP-SHA1" => {
                let [aes, head, tail] = ["aes.bin", "aes.oaep", "key.kwp"].map(|n| self.at(n));
                run(&["rand", "-out", &aes, "32"]);
                oaep(&aes, &head);
                wrap("-id-aes256-wrap-pad", "A65959A6", &aes, &tail);
                let blob = [head, tail]
                    .map(|part| std::fs::read(part).unwrap())
                    .concat();
                std::fs::write(output, blob).unwrap();
            }
            "AES-KW" => wrap(
                "-id-aes256-wrap",
                "A6A6A6A6A6A6A6A6",
                under.unwrap(),
                output,
            ),
            "AES-KWP" => wrap("-id-aes256-wrap-pad", "A65959A6", under.unwrap(), output),
            other => panic!("{other}"),
        }
    }

    fn python(&self, way: Way, key: &str, under: Option<&str>, output: &str) {
        let method = match (way, self.method().as_str()) {
            (Way::PythonByok, _) => "byok",
            (_, "RSA-OAEP-SHA1") => "oaep-sha1",
            (_, "RSA-AES-KWP-SHA1") => "rsa-aes-sha1",
            (_, "AES-KW") => "aes-kw",
            (_, "AES-KWP") => "aes-kwp",
            (_, other) => panic!("{other}"),
        };
        let public = self.at("public.der");
        let mut command = Command::new("/usr/bin/python3");
        command
            .arg(repository().join("softhsm-tests/outside/wrap.py"))
            .args([method, under.unwrap_or(&public), key, output])
            .arg(self.said()["wrapper"]["version"].as_str().unwrap());
        finish(command).succeeds();
    }

    pub(crate) fn said(&self) -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(self.at("parameters.json")).unwrap()).unwrap()
    }

    fn method(&self) -> String {
        self.said()["mechanism"].as_str().unwrap().to_owned()
    }

    fn secret(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.at(name);
        if Path::new(&path).exists() {
            std::fs::remove_file(&path).unwrap();
        }
        write_private(Path::new(&path), bytes).unwrap_or_else(|cause| panic!("{cause}"));
        path
    }
}

/// `kms` on a machine that knows no service.
fn kms() -> Command {
    let mut command = Command::new(find("kms").unwrap());
    command.env_clear().env("HOME", "/nonexistent");
    command
}
