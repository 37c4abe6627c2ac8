//! A column whose identifiers become pseudonyms.

use crate::noun::edge::Input;
use kms_client::{Error, Kind, v1};
use kms_core::pseudonym::Identifier;
use std::collections::BTreeSet;
use v1::identifier::Identifier as Typed;
use zeroize::Zeroizing;

/// Which fields make an identifier, of what type, and along which edge it is evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    /// The pseudonym takes the place of the first, and keeps its name.
    pub(super) fields: Vec<String>,
    pub(super) edge: String,
    pub(super) input: Input,
}

impl Column {
    /// As they are given on the command line: the first edge is the first column's, and so on.
    pub(super) fn all(
        columns: &[String],
        edges: &[String],
        inputs: &[Input],
    ) -> Result<Vec<Self>, Error> {
        let usage = |sentence: &str| Err(Error::new(Kind::Usage, sentence));
        if columns.len() != edges.len() {
            return usage("each --column has its own --edge, in the same order");
        }
        if !inputs.is_empty() && inputs.len() != columns.len() {
            return usage("give --input for each --column, in the same order, or for none");
        }
        let inputs = inputs
            .iter()
            .copied()
            .chain(std::iter::repeat(Input::Opaque));
        let mut seen = BTreeSet::new();
        let each = columns.iter().zip(edges).zip(inputs);
        each.map(|((name, edge), input)| {
            let fields = fields(name, input)?;
            if !seen.insert(fields.first().cloned()) {
                let sentence = "a column becomes the pseudonyms of one edge; name it once";
                return Err(Error::new(Kind::Usage, sentence));
            }
            Ok(Column {
                fields,
                edge: edge.clone(),
                input,
            })
        })
        .collect()
    }

    /// The name of the column that becomes pseudonyms.
    pub(super) fn name(&self) -> &str {
        self.fields.first().map_or("", String::as_str)
    }

    /// What these fields are, ready to be sent; an identifier that the service would refuse by its
    /// form is not sent.
    pub(super) fn identifier(&self, fields: &[Option<&[u8]>]) -> Result<v1::Identifier, Error> {
        let texts = fields.iter().map(|field| {
            let field = field.filter(|bytes| !bytes.is_empty());
            let field = field.ok_or_else(|| invalid("the identifier is missing"))?;
            let wrong = |_unread| invalid("the identifier is not UTF-8");
            str::from_utf8(field).map_err(wrong)
        });
        let texts = texts.collect::<Result<Vec<_>, _>>()?;
        let typed = match (self.input, texts.as_slice()) {
            (Input::Opaque, [text]) => {
                Identifier::opaque(Zeroizing::new((*text).to_owned()))?;
                Typed::Opaque((*text).to_owned())
            }
            (Input::Pseudonym, [text]) => {
                Identifier::pseudonym(text)?;
                Typed::Pseudonym((*text).to_owned())
            }
            (Input::Opaque | Input::Pseudonym, _) => return Err(invalid("it has too many fields")),
        };
        Ok(v1::Identifier {
            identifier: Some(typed),
        })
    }
}

/// The names of the fields that make an identifier of this type.
fn fields(column: &str, input: Input) -> Result<Vec<String>, Error> {
    match input {
        Input::Opaque | Input::Pseudonym => Ok(vec![column.to_owned()]),
    }
}

fn invalid(sentence: &str) -> Error {
    Error::new(Kind::Invalid, sentence)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn each_column_has_its_own_edge_and_type() {
        let all = Column::all(
            &texts(&["A", "B"]),
            &texts(&["x", "y"]),
            &[Input::Pseudonym, Input::Opaque],
        );
        let all = all.unwrap();
        let seen = all.iter().map(|c| (c.name(), c.edge.as_str(), c.input));
        let expected = [("A", "x", Input::Pseudonym), ("B", "y", Input::Opaque)];
        assert_eq!(seen.collect::<Vec<_>>(), expected);
        for (columns, edges, inputs) in [
            (vec!["A", "B"], vec!["x"], vec![]),
            (vec!["A", "B"], vec!["x", "y"], vec![Input::Opaque]),
            (vec!["A", "A"], vec!["x", "y"], vec![]),
        ] {
            let refused = Column::all(&texts(&columns), &texts(&edges), &inputs).unwrap_err();
            assert_eq!(refused.kind(), Kind::Usage);
        }
    }

    #[test]
    fn what_is_none_of_its_type_is_told_without_the_value() {
        let column = |input| Column {
            fields: texts(&["ID"]),
            edge: "x".to_owned(),
            input,
        };
        let wrong: [&[Option<&[u8]>]; 4] = [
            &[None],
            &[Some(b"")],
            &[Some(b"\xff\xfe")],
            &[Some(" secret".as_bytes())],
        ];
        for fields in wrong {
            let told = column(Input::Opaque).identifier(fields).unwrap_err();
            assert_eq!(told.kind(), Kind::Invalid);
            assert!(!told.to_string().contains("secret"), "{told}");
        }
        let secret: &[Option<&[u8]>] = &[Some(b"secret")];
        column(Input::Opaque).identifier(secret).unwrap();
        let told = column(Input::Pseudonym).identifier(secret).unwrap_err();
        assert!(!told.to_string().contains("secret"), "{told}");
    }
}
