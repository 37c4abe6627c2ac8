//! `kms edge graph`: the transfer graph as a table, as JSON, as a picture.

use crate::screen::Form;
use crate::session::Session;
use crate::table::{Table, word};
use kms_client::{Error, Kind, name, v1};
use layout::backends::svg::SVGWriter;
use layout::gv::{DotParser, GraphBuilder};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// An edge and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
struct Arrow {
    /// The source space, or the domain whose identifiers come from outside.
    from: String,
    into: String,
    code: String,
    input: String,
    edge: String,
}

pub(super) async fn show(session: &Session) -> Result<(), Error> {
    let edges = session.client.all_edges("spaces/-").await?;
    let domains = session.client.all_domains().await?;
    let spaces = session.client.all_spaces().await?;
    let arrows = arrows(&edges, &domains);
    let outside = |space: &&v1::Space| space.kind() == v1::SpaceKind::Outside;
    let outside = spaces.iter().filter(outside).map(|space| &*space.name);
    let dot = || dot(&arrows, &outside.collect());
    match session.screen.form() {
        Form::Table => session.screen.line(&table(&arrows).to_string()),
        Form::Json => session.screen.json(&arrows),
        Form::Dot => session.screen.text(&dot()),
        Form::Svg => session.screen.text(&svg(&dot())?),
    }
}

fn arrows(edges: &[v1::Edge], domains: &[v1::Domain]) -> BTreeSet<Arrow> {
    let sources: BTreeMap<&str, &str> = domains
        .iter()
        .map(|domain| (&*domain.name, &*domain.source))
        .filter(|(_, source)| !source.is_empty())
        .collect();
    let arrow = |edge: &v1::Edge| {
        let (into, domain) = edge.name.split_once("/edges/")?;
        let domain = format!("domains/{domain}");
        Some(Arrow {
            from: sources
                .get(&*domain)
                .map_or(domain.clone(), ToString::to_string),
            into: into.to_owned(),
            code: edge.code.clone(),
            input: word(edge.input().as_str_name()),
            edge: edge.name.clone(),
        })
    };
    edges.iter().filter_map(arrow).collect()
}

fn table(arrows: &BTreeSet<Arrow>) -> Table {
    Table::columns(["FROM", "INTO", "CODE", "INPUT", "EDGE"]).rows(arrows.iter().map(|arrow| {
        [
            arrow.from.clone(),
            name::short(&arrow.into),
            arrow.code.clone(),
            arrow.input.clone(),
            name::short(&arrow.edge),
        ]
    }))
}

/// In Graphviz's language. Names have nothing that would need quoting but the slash.
fn dot(arrows: &BTreeSet<Arrow>, outside: &BTreeSet<&str>) -> String {
    let mut out = String::from("digraph transfers {\n  rankdir=LR;\n");
    let places: BTreeSet<&str> = arrows
        .iter()
        .flat_map(|arrow| [&*arrow.from, &*arrow.into])
        .collect();
    for place in places {
        let label = place.split_once('/').map_or(place, |(_, label)| label);
        let shape = match place.starts_with("domains/") {
            true => "ellipse",
            false if outside.contains(place) => "doublecircle",
            false => "box",
        };
        out.push_str(&format!(
            "  \"{place}\" [label=\"{label}\", shape={shape}];\n"
        ));
    }
    for Arrow {
        from, into, code, ..
    } in arrows
    {
        out.push_str(&format!("  \"{from}\" -> \"{into}\" [label=\"{code}\"];\n"));
    }
    out.push_str("}\n");
    out
}

fn svg(dot: &str) -> Result<String, Error> {
    let undrawn = |e: String| Error::new(Kind::Internal, format!("the graph has no picture: {e}"));
    let graph = DotParser::new(dot).process().map_err(undrawn)?;
    let mut builder = GraphBuilder::new();
    builder.visit_graph(&graph);
    let mut writer = SVGWriter::new();
    builder.get().do_it(false, false, false, &mut writer);
    Ok(writer.finalize())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn graph() -> BTreeSet<Arrow> {
        let edge = |name: &str, code: &str, input: v1::InputType| v1::Edge {
            name: name.into(),
            code: code.into(),
            input: input.into(),
            ..v1::Edge::default()
        };
        let domain = |name: &str, source: &str| v1::Domain {
            name: name.into(),
            source: source.into(),
            ..v1::Domain::default()
        };
        arrows(
            &[
                edge("spaces/p-1/edges/wh", "p01", v1::InputType::Pseudonym),
                edge("spaces/child/edges/wh", "child", v1::InputType::Pseudonym),
                edge(
                    "spaces/warehouse/edges/link",
                    "whlink",
                    v1::InputType::Opaque,
                ),
            ],
            &[
                domain("domains/link", ""),
                domain("domains/wh", "spaces/warehouse"),
            ],
        )
    }

    #[test]
    fn a_graph_in_graphvizs_language() {
        let outside = BTreeSet::from(["spaces/child"]);
        insta::assert_snapshot!(dot(&graph(), &outside), @r#"
        digraph transfers {
          rankdir=LR;
          "domains/link" [label="link", shape=ellipse];
          "spaces/child" [label="child", shape=doublecircle];
          "spaces/p-1" [label="p-1", shape=box];
          "spaces/warehouse" [label="warehouse", shape=box];
          "domains/link" -> "spaces/warehouse" [label="whlink"];
          "spaces/warehouse" -> "spaces/child" [label="child"];
          "spaces/warehouse" -> "spaces/p-1" [label="p01"];
        }
        "#);
    }

    #[test]
    fn a_picture_shows_every_place_and_every_edge() {
        let drawn = svg(&dot(&graph(), &BTreeSet::new())).unwrap();
        assert!(
            drawn.starts_with("<?xml") && drawn.trim_end().ends_with("</svg>"),
            "{drawn}"
        );
        for text in ["link", "warehouse", "p-1", "child", "whlink", "p01"] {
            assert!(drawn.contains(&format!(">{text}<")), "{text}: {drawn}");
        }
    }
}
