//! A plan in the making: what the document says against what there is, fault by fault.

use super::document::{Document, Domain, Edge, Input, Key, Space, Study};
use super::plan::{Change, Step, Update, UpdateSpace};
use super::state::{Current, CurrentSpace, State};
use kms_core::name::{EDGE_PREFIX, Slug, TABLE_PREFIX};
use kms_core::space::EdgeCode;
use serde::Serialize;
use serde_saphyr::Spanned;
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

mod quotas;
mod undeclared;

/// A plan in the making.
pub(super) struct Draft<'a> {
    document: &'a Document,
    state: &'a State,
    pub(super) steps: Vec<Step>,
    /// How many declared things are as declared.
    pub(super) unchanged: usize,
    /// Every fault of the document, each with its line.
    pub(super) faults: Vec<String>,
}

impl<'a> Draft<'a> {
    /// Compares all of it, in the order in which things are made.
    pub(super) fn new(document: &'a Document, state: &'a State) -> Self {
        let mut draft = Self {
            document,
            state,
            steps: Vec::new(),
            unchanged: 0,
            faults: Vec::new(),
        };
        draft.spaces();
        draft.domains();
        draft.keys();
        draft.edges();
        draft.quotas();
        draft
    }

    /// What exists and is not declared.
    pub(super) fn undeclared(&self) -> Vec<String> {
        undeclared::names(self.document, self.state)
    }

    fn spaces(&mut self) {
        let mut seen = Seen::new("space");
        for at in &self.document.spaces {
            let space = &at.value;
            if !seen.first(&space.name, at, &mut self.faults)
                || !self.well_formed::<_, Slug>(at, "space", &space.name)
            {
                continue;
            }
            match self.state.spaces.get(&space.name) {
                None => self.steps.push(Step::CreateSpace(space.clone())),
                Some(now) => self.space_there(at, now),
            }
        }
    }

    fn space_there(&mut self, at: &Spanned<Space>, now: &CurrentSpace) {
        let (space, what) = (&at.value, format!("space {}", at.value.name));
        let fixed = self.fixed(at, &what, "kind", &now.space.kind, &space.kind);
        let title = change(&now.space.title, &space.title);
        let lifecycle = change(&now.space.lifecycle, &space.lifecycle);
        if title.is_some() || lifecycle.is_some() {
            self.steps.push(Step::UpdateSpace(UpdateSpace {
                name: space.name.clone(),
                etag: now.etag.clone(),
                title,
                lifecycle,
            }));
        } else {
            self.unchanged += usize::from(fixed);
        }
    }

    fn domains(&mut self) {
        let mut seen = Seen::new("domain");
        for at in &self.document.domains {
            let domain = &at.value;
            if !seen.first(&domain.name, at, &mut self.faults)
                || !self.well_formed::<_, Slug>(at, "domain", &domain.name)
            {
                continue;
            }
            if let Some(source) = &domain.source {
                self.space(at, &format!("domain {}", domain.name), source);
            }
            match self.state.domains.get(&domain.name) {
                None => self.steps.push(Step::CreateDomain(domain.clone())),
                Some(now) => {
                    let what = format!("domain {}", domain.name);
                    let same = self.fixed(at, &what, "source", &now.source, &domain.source)
                        & self.fixed_title(at, &what, &now.title, &domain.title);
                    self.unchanged += usize::from(same);
                }
            }
        }
    }

    fn keys(&mut self) {
        let mut seen = Seen::new("key");
        for at in &self.document.keys {
            let key = &at.value;
            if !seen.first(&key.name, at, &mut self.faults) {
                continue;
            }
            let what = format!("key {}", key.name);
            let Some((space, id)) = key.name.split_once('/') else {
                self.fault(
                    at,
                    format!("{what}: write space/key, such as ingest-lyon/object"),
                );
                continue;
            };
            self.space(at, &what, space);
            if !self.well_formed::<_, Slug>(at, &what, id) {
                continue;
            }
            if id.starts_with(EDGE_PREFIX) {
                let why = "names edge-… belong to edges, which make their own keys";
                self.fault(at, format!("{what}: {why}"));
            }
            if id.starts_with(TABLE_PREFIX) {
                let why = "names renewal-… belong to renewal campaigns, which make their own keys";
                self.fault(at, format!("{what}: {why}"));
            }
            match self.state.keys.get(&key.name) {
                None => self.steps.push(Step::CreateKey(key.clone())),
                Some(now) => self.key(at, now),
            }
        }
    }

    fn key(&mut self, at: &Spanned<Key>, now: &Current) {
        let (key, what) = (&at.value, format!("key {}", at.value.name));
        let fixed = self.fixed(at, &what, "class", &now.key.class, &key.class)
            & self.fixed(at, &what, "origin", &now.key.origin, &key.origin)
            & self.fixed(
                at,
                &what,
                "exportable",
                &now.key.exportable,
                &key.exportable,
            )
            & self.fixed(at, &what, "intake", &now.key.intake, &key.intake);
        let title = change(&now.key.title, &key.title);
        let labels = change(&now.key.labels, &key.labels);
        let study = new_study(now.key.study.as_ref(), key.study.as_ref());
        let lifecycle = change(&now.key.lifecycle, &key.lifecycle);
        let says = title.is_some() || labels.is_some();
        if says || study.is_some() || lifecycle.is_some() {
            self.steps.push(Step::UpdateKey(Update {
                name: key.name.clone(),
                etag: now.etag.clone(),
                title,
                labels,
                study,
                lifecycle,
            }));
        } else {
            self.unchanged += usize::from(fixed);
        }
    }

    fn edges(&mut self) {
        let mut seen = Seen::new("edge");
        let mut codes: BTreeMap<String, String> = self
            .state
            .edges
            .values()
            .map(|edge| (edge.code.clone(), edge.name()))
            .collect();
        for at in &self.document.edges {
            let edge = &at.value;
            let what = format!("edge {}", edge.name());
            if !seen.first(&edge.name(), at, &mut self.faults) {
                continue;
            }
            self.space(at, &what, &edge.target);
            self.source(at, &what);
            self.well_formed::<_, EdgeCode>(at, &what, &edge.code);
            match codes.insert(edge.code.clone(), edge.name()) {
                Some(other) if other != edge.name() => self.fault(
                    at,
                    format!(
                        "{what}: code {} is the code of edge {other}; a code is used once",
                        edge.code
                    ),
                ),
                Some(_) | None => {}
            }
            match self.state.edges.get(&edge.name()) {
                None => self.steps.push(Step::CreateEdge(edge.clone())),
                Some(now) => {
                    let same = self.fixed(at, &what, "code", &now.code, &edge.code)
                        & self.fixed(at, &what, "input", &now.input, &edge.input)
                        & self.fixed(at, &what, "exportable", &now.exportable, &edge.exportable);
                    self.unchanged += usize::from(same);
                }
            }
        }
    }

    /// An edge's domain is declared or there, and its input is what the domain has.
    fn source(&mut self, at: &Spanned<Edge>, what: &str) {
        let edge = &at.value;
        match self.domain(&edge.domain) {
            None => self.fault(at, format!("{what}: there is no domain {}", edge.domain)),
            Some(domain) => {
                let why = match (&domain.source, edge.input) {
                    (None, Input::Pseudonym) => {
                        format!(
                            "its input is pseudonym, but domain {} has no source",
                            domain.name
                        )
                    }
                    (Some(source), Input::Opaque | Input::Nir) => format!(
                        "its input is {}, but domain {} holds the pseudonyms of {source}",
                        edge.input.name(),
                        domain.name
                    ),
                    (Some(source), Input::Pseudonym) if self.reaches(&edge.target, source) => {
                        format!("it leads from {source}'s own pseudonyms back into it")
                    }
                    (None, Input::Opaque | Input::Nir) | (Some(_), Input::Pseudonym) => return,
                };
                self.fault(at, format!("{what}: {why}"));
            }
        }
    }

    /// A domain that is declared or there.
    fn domain(&self, name: &str) -> Option<&Domain> {
        let declared = self.document.domains.iter().map(|at| &at.value);
        let mut declared = declared.filter(|one| one.name == name);
        declared.next().or_else(|| self.state.domains.get(name))
    }

    /// Whether pseudonyms of one space become, over edges that are declared or there, those of
    /// another.
    fn reaches(&self, from: &str, to: &str) -> bool {
        let declared = self.document.edges.iter().map(|at| &at.value);
        let edges: Vec<&Edge> = declared.chain(self.state.edges.values()).collect();
        let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(space) = next.pop() {
            if space == to {
                return true;
            }
            if seen.insert(space) {
                let leads = |edge: &&&Edge| {
                    let domain = self.domain(&edge.domain);
                    domain.is_some_and(|domain| domain.source.as_deref() == Some(space))
                };
                next.extend(edges.iter().filter(leads).map(|edge| edge.target.as_str()));
            }
        }
        false
    }

    /// A space that is referred to is declared or there.
    fn space<T>(&mut self, at: &Spanned<T>, what: &str, space: &str) {
        let declared = self.document.spaces.iter().any(|at| at.value.name == space);
        if !declared && !self.state.spaces.contains_key(space) {
            self.fault(at, format!("{what}: there is no space {space}"));
        }
    }

    /// Whether a word is what the service will take, judged by the same rule.
    fn well_formed<T, W: FromStr<Err = kms_core::Error>>(
        &mut self,
        at: &Spanned<T>,
        what: &str,
        word: &str,
    ) -> bool {
        let judged = word.parse::<W>();
        if let Err(e) = &judged {
            self.fault(at, format!("{what}: {word:?} is not well formed: {e}"));
        }
        judged.is_ok()
    }

    /// Whether what can never change is as declared.
    fn fixed<T, V: Serialize + PartialEq>(
        &mut self,
        at: &Spanned<T>,
        what: &str,
        field: &str,
        now: &V,
        declared: &V,
    ) -> bool {
        if now != declared {
            self.fault(
                at,
                format!(
                    "{what}: {field} is {} and can never change, the file says {}",
                    shown(now),
                    shown(declared)
                ),
            );
        }
        now == declared
    }

    /// A title that the file leaves out is not managed by it.
    fn fixed_title<T>(
        &mut self,
        at: &Spanned<T>,
        what: &str,
        now: &Option<String>,
        declared: &Option<String>,
    ) -> bool {
        declared.is_none() || self.fixed(at, what, "title", now, declared)
    }

    fn fault<T>(&mut self, at: &Spanned<T>, what: String) {
        self.faults
            .push(format!("line {}: {what}", at.referenced.line()));
    }
}

/// Names of one kind, and where each was first declared.
struct Seen {
    kind: &'static str,
    lines: BTreeMap<String, u64>,
}

impl Seen {
    fn new(kind: &'static str) -> Self {
        Self {
            kind,
            lines: BTreeMap::new(),
        }
    }

    fn first<T>(&mut self, name: &str, at: &Spanned<T>, faults: &mut Vec<String>) -> bool {
        let line = at.referenced.line();
        match self.lines.get(name) {
            Some(first) => {
                let kind = self.kind;
                faults.push(format!(
                    "line {line}: {kind} {name} is declared twice, first on line {first}"
                ));
                false
            }
            None => {
                self.lines.insert(name.to_owned(), line);
                true
            }
        }
    }
}

fn change<T: Clone + PartialEq + Default>(
    now: &Option<T>,
    declared: &Option<T>,
) -> Option<Change<T>> {
    let (from, to) = (now.clone().unwrap_or_default(), declared.clone()?);
    (from != to).then_some(Change { from, to })
}

/// A study that the file leaves out is not managed by it.
fn new_study(now: Option<&Study>, declared: Option<&Study>) -> Option<Change<Option<Study>>> {
    (declared.is_some() && now != declared).then(|| Change {
        from: now.cloned(),
        to: declared.cloned(),
    })
}

/// As the file writes it.
pub(crate) fn shown(value: &impl Serialize) -> String {
    match value.serialize(serde_json::value::Serializer) {
        Ok(serde_json::Value::String(text)) => text,
        Ok(serde_json::Value::Null) => "(none)".to_owned(),
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}
