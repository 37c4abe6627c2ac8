//! The transfer graph: spaces, and edges that lead from the pseudonyms of one (or from outside) into
//! another. It has no cycle ([`Graph::reaches`] is asked before an edge is declared).

use crate::name::SpaceName;
use crate::space::Edge;
use crate::view::View;
use std::collections::BTreeSet;

/// The transfer graph of a deployment.
#[derive(Debug, Clone, Copy)]
pub struct Graph<'a> {
    view: &'a View,
}

impl<'a> Graph<'a> {
    /// As it is declared.
    #[must_use]
    pub fn of(view: &'a View) -> Self {
        Graph { view }
    }

    /// The space whose pseudonyms an edge evaluates; `None` when its identifiers come from outside.
    #[must_use]
    pub fn source(&self, edge: &Edge) -> Option<&'a SpaceName> {
        let (domain, _) = self.view.domain(edge.name.domain())?;
        domain.source.as_ref()
    }

    /// The edges that evaluate the pseudonyms of a space, by name.
    pub fn out_of(self, space: &SpaceName) -> impl Iterator<Item = &'a Edge> {
        let leads = move |edge: &&'a Edge| self.source(edge) == Some(space);
        self.view.edges().filter(leads)
    }

    /// Whether pseudonyms of one space become, over one edge or several, those of another; a space
    /// reaches itself.
    #[must_use]
    pub fn reaches(self, from: &SpaceName, to: &SpaceName) -> bool {
        let mut seen = BTreeSet::new();
        let mut next = vec![from];
        while let Some(space) = next.pop() {
            if space == to {
                return true;
            }
            if seen.insert(space) {
                next.extend(self.out_of(space).map(|edge| edge.name.target()));
            }
        }
        false
    }

    /// The edges below a space, each behind those that its inputs come over: in this order what hangs
    /// below is renewed, and a person is followed.
    #[must_use]
    pub fn below(self, space: &SpaceName) -> Vec<&'a Edge> {
        // Spaces with all edges into them that come from here, by the longest way: where the graph
        // has no cycle every space is settled once all that lead into it are.
        let inside: BTreeSet<&SpaceName> = self
            .view
            .edges()
            .map(|edge| edge.name.target())
            .filter(|target| self.reaches(space, target))
            .chain([space])
            .collect();
        let (mut settled, mut order) = (BTreeSet::new(), Vec::new());
        while let Some(next) = inside.iter().copied().find(|candidate| {
            let into = |edge: &Edge| {
                let source = self.source(edge).filter(|source| inside.contains(source));
                edge.name.target() != *candidate
                    || source.is_none_or(|source| settled.contains(source))
            };
            !settled.contains(candidate) && (*candidate == space || self.view.edges().all(into))
        }) {
            settled.insert(next);
            order.extend(self.out_of(next));
        }
        order
    }
}
