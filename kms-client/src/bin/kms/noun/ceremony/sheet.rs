//! A sheet for one holder, to be printed: plain text, 72 columns wide, so that every printer does.

use super::minutes::{Holder, Minutes};
use kms_core::component::Component;
use zeroize::Zeroizing;

/// The sheet of this holder.
pub(super) fn sheet(
    minutes: &Minutes,
    holder: &Holder,
    component: &Component,
) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(ROOM));
    let Minutes {
        title,
        set,
        threshold,
        made,
        holders,
        ..
    } = minutes;
    let (number, of) = (holder.number, holders.len());
    let head = format!(
        "KEY COMPONENT {number} OF {of}                                     CONFIDENTIAL

Key                {title}
Holder             {}
Made               {made}
Makes the key      any {threshold} of {of} components

Check of the key        {set}
Check of this component {}
    Both may be read aloud and are in the minutes. What follows may not.

",
        holder.name, holder.check
    );
    text.push_str(&head);
    for line in component.lines().lines() {
        text.push_str("        ");
        text.push_str(line);
        text.push_str("\n\n");
    }
    text.push_str(
        "Each line is sixteen characters and, after a wider space, four that
check it. There is no I, L, O or U: what looks like 1 or 0 is. To use it,
type the lines as `kms ceremony combine` asks for them; case and spaces do
not matter.

Keep it sealed, apart from the other holders' and from any copy. If you
have lost it, or somebody has seen it, tell the security officer today.

Received, sealed in envelope no. ____________   on __________________

Holder ______________________   Witness ______________________
",
    );
    text
}

/// More than a sheet is long: what grows leaves copies behind.
const ROOM: usize = 4_096;
