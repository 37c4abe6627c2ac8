//! A column whose identifiers become pseudonyms.

use super::typed::typed;
use crate::noun::edge::Input;
use kms_client::{Error, Kind, v1};
use std::collections::BTreeSet;

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

    /// What a field is called where it is at fault.
    fn told(&self, number: usize) -> String {
        match self.fields.get(number).filter(|_| self.fields.len() > 1) {
            Some(name) => format!("the identifier's {name:?}"),
            None => "the identifier".to_owned(),
        }
    }

    /// What these fields are, ready to be sent; an identifier that the service would refuse by its
    /// form is not sent.
    pub(super) fn identifier(&self, fields: &[Option<&[u8]>]) -> Result<v1::Identifier, Error> {
        let texts = fields.iter().enumerate().map(|(number, field)| {
            let field = field.filter(|bytes| !bytes.is_empty());
            let field =
                field.ok_or_else(|| invalid(&format!("{} is missing", self.told(number))))?;
            let wrong = |_unread| invalid(&format!("{} is not UTF-8", self.told(number)));
            str::from_utf8(field).map_err(wrong)
        });
        let texts = texts.collect::<Result<Vec<_>, _>>()?;
        typed(self.input, &texts).map(|(_identifier, sent)| sent)
    }
}

/// The names of the fields that make an identifier of this type.
pub(super) fn fields(column: &str, input: Input) -> Result<Vec<String>, Error> {
    match input {
        Input::Opaque | Input::Pseudonym => Ok(vec![column.to_owned()]),
        Input::Nir => {
            let fields: Vec<String> = column.split(',').map(str::to_owned).collect();
            if fields.len() == 3 && !fields.iter().any(String::is_empty) {
                return Ok(fields);
            }
            let sentence = format!(
                "a column of type nir is three, as NIR,BIRTH-DATE,SEX: {column:?} names {}",
                fields.len()
            );
            Err(Error::new(Kind::Usage, sentence))
        }
    }
}

fn invalid(sentence: &str) -> Error {
    Error::new(Kind::Invalid, sentence)
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]
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
        let nir = |column: &str| Column::all(&texts(&[column]), &texts(&["x"]), &[Input::Nir]);
        assert_eq!(nir("NIR,BIRTH,SEX").unwrap()[0].name(), "NIR");
        for wrong in ["NIR", "NIR,BIRTH", "NIR,,SEX", "NIR,BIRTH,SEX,AGE"] {
            assert_eq!(nir(wrong).unwrap_err().kind(), Kind::Usage);
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
        let national = Column::all(&texts(&["A,B,C"]), &texts(&["x"]), &[Input::Nir]).unwrap();
        let fields = |fields: [&'static str; 3]| fields.map(|field| Some(field.as_bytes()));
        let whole = fields(["255082A16802597", "1955-08-03", "2"]);
        national[0].identifier(&whole).unwrap();
        for (wrong, told) in [
            (
                ["255082A16802597", "", "2"],
                "the identifier's \"B\" is missing",
            ),
            (
                ["255082A16802598", "1955-08-03", "2"],
                "does not fit its number",
            ),
        ] {
            let refused = national[0]
                .identifier(&fields(wrong))
                .unwrap_err()
                .to_string();
            assert!(refused.contains(told), "{refused}");
        }
        let told = column(Input::Pseudonym).identifier(secret).unwrap_err();
        assert!(!told.to_string().contains("secret"), "{told}");
    }
}
