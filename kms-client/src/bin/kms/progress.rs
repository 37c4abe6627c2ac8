//! Progress of long work, on a terminal only.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal, Read};
use std::time::Duration;

/// A bar over bytes; without a known total, a counter.
pub(crate) fn bytes(total: Option<u64>) -> ProgressBar {
    let known = "{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
    let open = "{spinner} {bytes}, {bytes_per_sec}";
    bar(total, if total.is_some() { known } else { open })
}

/// A bar over lines, of which some are done.
pub(crate) fn lines(total: u64, done: u64) -> ProgressBar {
    let bar = bar(
        Some(total),
        "{bar:30} {human_pos} of {human_len} lines, {per_sec:.0}, {eta} left",
    );
    bar.set_position(done);
    bar.reset_eta();
    bar
}

/// A bar over steps, with a word on the current one.
pub(crate) fn steps(total: usize) -> ProgressBar {
    bar(
        u64::try_from(total).ok(),
        "{bar:30} {pos} of {len}  {wide_msg}",
    )
}

/// A line that says what is waited for.
pub(crate) fn waiting() -> ProgressBar {
    let bar = bar(None, "{spinner} {wide_msg}");
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Counts what is read.
#[derive(Debug)]
pub(crate) struct Counted<R> {
    pub(crate) inner: R,
    pub(crate) bar: ProgressBar,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.bar.inc(u64::try_from(length).unwrap_or(u64::MAX));
        Ok(length)
    }
}

fn bar(total: Option<u64>, template: &str) -> ProgressBar {
    let target = if io::stderr().is_terminal() {
        ProgressDrawTarget::stderr_with_hz(10)
    } else {
        ProgressDrawTarget::hidden()
    };
    let style = ProgressStyle::with_template(template)
        .unwrap_or_else(|_unreadable| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(total, target).with_style(style)
}
