//! The transfer graph: spaces, and edges that lead from the pseudonyms of one (or from outside) into
//! another. It has no cycle ([`Graph::reached`] is asked before an edge is declared).

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

    /// The spaces whose pseudonyms those of this one become, over no edge (itself) or several; each
    /// behind all that it is reached from.
    #[must_use]
    pub fn reached<'s>(self, space: &'s SpaceName) -> Vec<&'s SpaceName>
    where
        'a: 's,
    {
        let (mut seen, mut order) = (BTreeSet::new(), Vec::new());
        self.walk(space, &mut seen, &mut order);
        order.reverse();
        order
    }

    /// The edges below a space, each behind those that its inputs come over: in this order a person
    /// is followed.
    #[must_use]
    pub fn below(self, space: &SpaceName) -> Vec<&'a Edge> {
        let reached = self.reached(space).into_iter();
        reached.flat_map(|space| self.out_of(space)).collect()
    }

    /// Walks down, and leaves each space behind those that it leads to: turned around, and without a
    /// cycle, that is the order of the ways.
    fn walk<'s>(
        self,
        space: &'s SpaceName,
        seen: &mut BTreeSet<&'s SpaceName>,
        order: &mut Vec<&'s SpaceName>,
    ) where
        'a: 's,
    {
        if seen.insert(space) {
            // What is turned around ends in the order of names.
            let onward: Vec<&'a Edge> = self.out_of(space).collect();
            for edge in onward.into_iter().rev() {
                self.walk(edge.name.target(), seen, order);
            }
            order.push(space);
        }
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
mod tests {
    use super::*;
    use crate::revision::Revision;
    use crate::space::{Domain, InputType};
    use crate::time::Time;
    use crate::value::Value;
    use proptest::prelude::*;

    const SPACES: usize = 7;

    fn space(number: usize) -> SpaceName {
        format!("spaces/s-{number}").parse().unwrap()
    }

    /// These edges, each unless it would lead back.
    fn graph(edges: &[(usize, usize)]) -> View {
        let mut view = View::default();
        for number in 0..SPACES {
            let domain = Domain {
                name: format!("domains/d-{number}").parse().unwrap(),
                title: String::new(),
                source: Some(space(number)),
                created: Time(0),
            };
            view.put(Value::Domain(domain), Revision::default());
        }
        for (from, to) in edges {
            if Graph::of(&view)
                .reached(&space(*to))
                .contains(&&space(*from))
            {
                continue;
            }
            let edge = Edge {
                name: format!("spaces/s-{to}/edges/d-{from}").parse().unwrap(),
                code: format!("e{from}{to}").parse().unwrap(),
                input: InputType::Pseudonym,
                exportable: false,
                key: format!("spaces/s-{to}/keys/edge-d-{from}").parse().unwrap(),
                created: Time(0),
            };
            view.put(Value::Edge(edge), Revision::default());
        }
        view
    }

    proptest! {
        /// Whatever is declared in whatever order: no cycle, and each edge behind all that lead to it
        /// from the same beginning.
        #[test]
        fn what_lies_below_is_told_once_and_in_the_order_of_the_ways(
            edges in proptest::collection::vec((0..SPACES, 0..SPACES), 0..30),
            from in 0..SPACES,
        ) {
            let view = graph(&edges);
            let graph = Graph::of(&view);
            let from = space(from);
            let reached = graph.reached(&from);
            prop_assert_eq!(reached[0], &from);
            let below = graph.below(&from);
            let names: BTreeSet<_> = below.iter().map(|edge| &edge.name).collect();
            prop_assert_eq!(names.len(), below.len(), "an edge is told twice");
            let expected = view.edges().filter(|edge| reached.contains(&graph.source(edge).unwrap()));
            prop_assert_eq!(expected.count(), below.len());
            for (at, edge) in below.iter().enumerate() {
                let source = graph.source(edge).unwrap();
                let late = below[at..].iter().find(|later| later.name.target() == source);
                prop_assert!(late.is_none(), "{} stands before {late:?}", edge.name);
                prop_assert!(!graph.reached(edge.name.target()).contains(&source), "a cycle");
            }
        }
    }
}
