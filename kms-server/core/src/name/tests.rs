use super::*;
use proptest::prelude::*;

proptest! {
    #[test]
    fn whatever_parses_is_written_back_as_it_was(text in "[a-z0-9/_ -]{0,40}|(spaces|domains)/[a-z0-9-]{1,5}(/(keys|edges)/[a-z0-9-]{1,5}(/versions/[0-9]{1,3})?)?") {
        if let Ok(name) = text.parse::<SpaceName>() { prop_assert_eq!(name.to_string(), text.clone()); }
        if let Ok(name) = text.parse::<DomainName>() { prop_assert_eq!(name.to_string(), text.clone()); }
        if let Ok(name) = text.parse::<EdgeName>() { prop_assert_eq!(name.to_string(), text.clone()); }
        if let Ok(name) = text.parse::<KeyName>() { prop_assert_eq!(name.to_string(), text.clone()); }
        if let Ok(name) = text.parse::<VersionName>() { prop_assert_eq!(name.to_string(), text.clone()); }
    }
}

#[test]
fn names_have_one_form() {
    assert!("spaces/a/keys/b/versions/1".parse::<VersionName>().is_ok());
    for wrong in [
        "spaces/a/keys/b/versions/01",
        "spaces/a/keys/b/versions/+1",
        "spaces/a/keys/b/versions/0",
        "spaces/a/keys/b/versions/",
        "spaces/A/keys/b/versions/1",
    ] {
        assert!(wrong.parse::<VersionName>().is_err(), "{wrong}");
    }
    for wrong in [
        "spaces/",
        "spaces/-a",
        "spaces/a-",
        "spaces/1a",
        "spaces/a/b",
        "a",
        "spaces/a b",
    ] {
        assert!(wrong.parse::<SpaceName>().is_err(), "{wrong}");
    }
    let edge: EdgeName = "spaces/warehouse/edges/link".parse().unwrap();
    assert_eq!(
        edge.key().unwrap().to_string(),
        "spaces/warehouse/keys/edge-link"
    );
}
