//! What differs, for people who must agree to it.

use console::{Style, style};
use similar::{ChangeTag, TextDiff};

/// Two texts as a unified diff, in colour on a terminal; empty when they are the same. What a
/// terminal would not show, or would obey, is written out.
pub(crate) fn unified((from, before): (&str, &str), (to, after): (&str, &str)) -> String {
    let diff = TextDiff::from_lines(before, after);
    let mut out = String::new();
    if before == after {
        return out;
    }
    let mut line = |text: &str, look: Style| {
        out.push_str(&look.apply_to(visible(text)).to_string());
        out.push('\n');
    };
    line(&format!("--- {from}"), Style::new().bold());
    line(&format!("+++ {to}"), Style::new().bold());
    for hunk in diff.unified_diff().context_radius(3).iter_hunks() {
        line(&hunk.header().to_string(), Style::new().cyan());
        for change in hunk.iter_changes() {
            let (sign, look) = match change.tag() {
                ChangeTag::Equal => (' ', Style::new()),
                ChangeTag::Delete => ('-', Style::new().red()),
                ChangeTag::Insert => ('+', Style::new().green()),
            };
            let text = change.value().trim_end_matches('\n');
            line(&format!("{sign}{text}"), look);
            if change.missing_newline() {
                line("\\ no newline at the end", Style::new().dim());
            }
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// One field, before and after; of what is new, only after.
pub(crate) fn field(name: &str, before: Option<&str>, after: &str) -> String {
    let shown = |text: &str, look: Style| match text {
        "" => style("(none)").dim().to_string(),
        text => look.apply_to(visible(text)).to_string(),
    };
    let after = shown(after, Style::new().green());
    match before {
        Some(before) => format!("{name}: {} -> {after}", shown(before, Style::new().red())),
        None => format!("{name}: {after}"),
    }
}

/// The text with what a terminal would obey written out: control characters (CR, ESC and their
/// kind), and those that turn or hide text (Unicode's bidirectional controls, zero-width letters,
/// line separators). Whoever reads it sees what it is.
pub(crate) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        let hides = matches!(
            letter,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        );
        if letter == '\t' || !(letter.is_control() || hides) {
            out.push(letter);
        } else {
            out.extend(letter.escape_unicode());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_shows_what_changed_and_a_little_around_it() {
        let before = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\n";
        let after = "a\nb\nc\nd\ne\nF\ng\nh\ni\nj\nk";
        console::set_colors_enabled(false);
        insta::assert_snapshot!(unified(("in force", before), ("policy.cedar", after)));
        assert_eq!(unified(("x", before), ("y", before)), "");
    }

    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        console::set_colors_enabled(false);
        let after = "permit(p);\u{1b}[2K\rforbid(p);\n\u{202e}tsurt\n";
        let shown = unified(("a", ""), ("b", after));
        // A carriage return ends a line, and is shown.
        let obeyed = "+permit(p);\\u{1b}[2K\\u{d}\n+forbid(p);";
        assert!(shown.contains(obeyed), "{shown}");
        assert!(shown.contains("+\\u{202e}tsurt"), "{shown}");
        assert_eq!(visible("Léon\tБ 漢 é"), "Léon\tБ 漢 é");
        assert_eq!(
            field("title", Some(""), "x\u{7}"),
            "title: (none) -> x\\u{7}"
        );
        assert_eq!(field("title", None, "x"), "title: x");
    }
}
