//! What is printed is read back as it was, and a mistake is told by its line.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test says what it expects"
)]

use super::*;
use proptest::prelude::*;

fn component(share: [u8; SHARE], number: u8) -> Component {
    let set = Check::of_key(&[7; SHARE]);
    Component::new(3, number, set, &share).unwrap()
}

#[test]
fn the_form_is_pinned() {
    let share: [u8; SHARE] = std::array::from_fn(|at| u8::try_from(at).unwrap());
    let made = component(share, 2);
    insta::assert_snapshot!(format!("check {}\n{}", made.check(), *made.lines()));
    assert_eq!(format!("{made:?}"), "Component { redacted }");
}

proptest! {
    /// In whatever case, with whatever between the groups, with what looks alike for what it is.
    #[test]
    fn what_is_printed_is_read_back(share: [u8; SHARE], number in 1..=HOLDERS_MAX) {
        let made = component(share, number);
        let printed = made.lines();
        prop_assert_eq!(&Component::parse(&printed).unwrap(), &made);
        let typed = printed.to_lowercase().replace("  ", "-");
        prop_assert_eq!(&Component::parse(&typed).unwrap(), &made);
        let sheet = format!("Holder 1\n\n{}\n12: no line\n", *printed);
        prop_assert_eq!(&Component::parse(&sheet).unwrap(), &made);
        let alike: String = printed
            .lines()
            .map(|line| {
                let (number, line) = line.split_once(':').unwrap();
                format!("{number}:{}\n", line.replace('0', "o").replace('1', "l"))
            })
            .collect();
        prop_assert_eq!(&Component::parse(&alike).unwrap(), &made);
        let text = made.check().to_string();
        prop_assert_eq!(text.parse::<Check>().unwrap(), made.check());
    }

    /// Another character in its place, or two that changed places: the line is named.
    #[test]
    fn a_mistake_is_told_by_its_line(
        share: [u8; SHARE],
        line in 0..LINES,
        at in 0_usize..20,
        by in 1_usize..32,
    ) {
        const ALL: &str = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        let printed = component(share, 1).lines();
        let mut lines: Vec<String> = printed.lines().map(str::to_owned).collect();
        let places: Vec<usize> = lines[line]
            .char_indices()
            .skip(2)
            .filter(|(_, c)| ALL.contains(*c))
            .map(|(at, _)| at)
            .collect();
        let place = places[at % places.len()];
        let was = ALL.find(&lines[line][place..=place]).unwrap();
        let typed = (was + by) % ALL.len();
        lines[line].replace_range(place..=place, &ALL[typed..=typed]);
        let told = Component::parse(&lines.join("\n")).unwrap_err();
        let words = format!("line {} is not as it was printed", line + 1);
        prop_assert!(told.to_string().contains(&words), "{}", told);
    }

    /// Any text is refused, or is a component that is printed so.
    #[test]
    fn any_text_is_refused_or_printed_back(text in "([1-4]: ?[0-9A-Za-z -]{16,28}\n){0,5}|.{0,200}") {
        if let Ok(read) = Component::parse(&text) {
            prop_assert_eq!(Component::parse(&read.lines()).unwrap(), read);
        }
    }
}

#[test]
fn lines_in_each_others_place_are_told() {
    let printed = component([9; SHARE], 1).lines();
    let mut lines: Vec<String> = printed.lines().map(str::to_owned).collect();
    lines.swap(1, 2);
    let text = lines.join("\n");
    // Each with its number they may come in any order.
    assert!(Component::parse(&text).is_ok());
    let text = text
        .replace("2:", "x:")
        .replace("3:", "2:")
        .replace("x:", "3:");
    let told = Component::parse(&text).unwrap_err().to_string();
    assert!(told.contains("line 2 is not as it was printed"), "{told}");
    let told = Component::parse(&printed.replace("4:", "")).unwrap_err();
    assert!(told.to_string().contains("line 4 is missing"), "{told}");
}

#[test]
fn checks_tell_components_and_keys_apart() {
    let all = [
        component([1; SHARE], 1),
        component([1; SHARE], 2),
        component([2; SHARE], 1),
    ];
    let checks: Vec<Check> = all.iter().map(Component::check).collect();
    assert!(checks[0] != checks[1] && checks[0] != checks[2] && checks[1] != checks[2]);
    assert_ne!(Check::of_key(&[1; SHARE]), Check::of_key(&[2; SHARE]));
    for wrong in ["", "7HXM", "7HXM-08TU", "7hxm-08t0", "7HXM-08T0-0000"] {
        assert!(wrong.parse::<Check>().is_err(), "{wrong}");
    }
    for (threshold, number) in [(1, 1), (0, 1), (2, 0), (17, 1), (2, 17)] {
        assert!(Component::new(threshold, number, checks[0], &[0; SHARE]).is_err());
    }
}
