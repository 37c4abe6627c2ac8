//! A supplier's own deployment: level 1, from national identifiers to first pseudonyms.

use crate::{Deployment, program::repository};
use std::fs;

/// The edge from national identifiers into the hospital's register, named in full and as `kms` names
/// it.
pub const REGISTER: &str = "spaces/register/edges/nir";
/// As [`REGISTER`].
pub const REGISTER_CLI: &str = "register/nir";

/// A hospital: `service/registrar` evaluates the edge, `service/register-etl` works in the register.
#[must_use]
pub fn supplier() -> Deployment {
    let emc2 = repository().join("ops/emc2/bindings.yaml");
    let bindings = fs::read_to_string(emc2).expect("the bindings of EMC2");
    let bindings = format!(
        "{bindings}
  - principal: service/registrar
    roles: [{{role: pseudonymiser, edges: [{REGISTER}]}}]
  - principal: service/register-etl
    roles: [{{role: data-service, spaces: [register]}}]
"
    );
    let file = "name: lyon-dev
trust_domain: dev.lyon.example
environment: development
side: supplier
";
    let kms = Deployment::emc2()
        .deployment(file)
        .bindings(&bindings)
        .start();
    let inventory = "spaces:
  - {name: register, kind: ingest, title: The hospital's register}
domains:
  - {name: nir, title: National identifiers}
edges:
  - {target: register, domain: nir, code: l1link, input: nir, exportable: false}
";
    let place = kms.directory().join("register.yaml");
    fs::write(place, inventory).expect("the inventory of the register");
    let apply = ["inventory", "apply", "-f", "register.yaml"];
    kms.cli("stella").run(apply).succeeds();
    kms
}
