//! National identifiers at a supplier: three columns each, in CSV and in Parquet.

use parquet::data_type::{ByteArray, ByteArrayType, Int32Type};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::record::RowAccessor;
use parquet::schema::parser::parse_message_type;
use softhsm_tests::supplier::{REGISTER_CLI, supplier};
use std::fs;
use std::path::Path;
use std::sync::Arc;

#[test]
fn a_row_that_lacks_a_field_or_holds_no_final_number_has_no_pseudonym() {
    let kms = supplier();
    let directory = kms.directory().to_owned();
    let text = "SEX,NAME,NIR,BORN
2,a,255081416802538,1955-08-03
2,b,255081416802538,1855-08-03
2,c,255082A16802597,1955-08-03
2,d,255081416802538,1955-08-03
2,e,255081416802539,1955-08-03
,f,255081416802538,1955-08-03
2,g,255081416802538,
2,h,2550814168025,1955-08-03
2,i,755081416802538,1955-08-03
";
    fs::write(directory.join("people.csv"), text).unwrap();
    let registrar = kms.cli("registrar");
    let map = |file: &str| {
        let column = [
            "--column",
            "NIR,BORN,SEX",
            "--edge",
            REGISTER_CLI,
            "--input",
            "nir",
        ];
        registrar.run(["pseudonym", "map", file].iter().chain(&column))
    };
    let told = map("people.csv")
        .fails(13)
        .saying("5 of 9 lines are rejected");
    assert!(!told.stderr.contains("2550814"), "{told}");
    let out = fs::read_to_string(directory.join("people.pseudonymised.csv")).unwrap();
    let rows: Vec<Vec<&str>> = out
        .lines()
        .skip(1)
        .map(|l| l.split(',').collect())
        .collect();
    assert_eq!(rows.len(), 4, "{out}");
    let made: Vec<&str> = rows.iter().map(|row| row[2]).collect();
    assert!(made.iter().all(|text| text.starts_with("h1-l1link-v1-1")));
    assert!(
        made[0] == made[3] && made[0] != made[1] && made[0] != made[2],
        "{made:?}"
    );
    assert_eq!(
        (rows[0][0], rows[0][1], rows[0][3]),
        ("2", "a", "1955-08-03")
    );
    let listed = directory.join("people.pseudonymised.csv.rejected.csv");
    let listed = fs::read_to_string(listed).unwrap();
    for (line, words) in [
        ("6,NIR,", "does not fit its number"),
        ("7,NIR,", "\"\"SEX\"\" is missing"),
        ("8,NIR,", "\"\"BORN\"\" is missing"),
        ("9,NIR,", "15 characters"),
        ("10,NIR,", "provisional"),
    ] {
        let told = listed.lines().find(|told| told.starts_with(line)).unwrap();
        assert!(told.contains(words), "{told}");
    }
    assert!(!listed.contains("2550814"), "{listed}");

    // The same people in Parquet, where a birth date is a date and a sex a number.
    write(&directory.join("people.parquet"));
    map("people.parquet").succeeds();
    let out = fs::File::open(directory.join("people.pseudonymised.parquet")).unwrap();
    let reader = SerializedFileReader::new(out).unwrap();
    let rows = reader.get_row_iter(None).unwrap();
    let again: Vec<String> = rows
        .map(|row| row.unwrap().get_string(0).unwrap().clone())
        .collect();
    assert_eq!(again, made[..3]);
}

/// The first three people.
fn write(path: &Path) {
    let schema = "message people {
        required binary NIR (STRING); optional int32 BORN (DATE); required int32 SEX;
    }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let file = fs::File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let numbers = ["255081416802538", "255081416802538", "255082A16802597"].map(ByteArray::from);
    let mut column = group.next_column().unwrap().unwrap();
    column
        .typed::<ByteArrayType>()
        .write_batch(&numbers, None, None)
        .unwrap();
    column.close().unwrap();
    // Days from 1970-01-01 to 3 August 1955 and 1855: a century has 36,524 of them here.
    let born = [-5_265, -5_265 - 36_524, -5_265];
    for (values, levels) in [(born, Some([1; 3])), ([2; 3], None)] {
        let mut column = group.next_column().unwrap().unwrap();
        column
            .typed::<Int32Type>()
            .write_batch(&values, levels.as_ref().map(<[i16; 3]>::as_slice), None)
            .unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
}
