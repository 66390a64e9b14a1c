//! Progress lines for people: one line a step on standard error, so that
//! standard output stays free for what a command was asked to print.

use std::fmt::Display;
use std::time::Instant;

/// Says what is being done, in the style of Cargo: a verb and its object.
pub fn step(verb: &str, detail: impl Display) {
    eprintln!("{verb:>12} {detail}");
}

/// Says that something is not as it should be, though the work goes on.
pub fn warn(detail: impl Display) {
    eprintln!("{:>12} {detail}", "Warning");
}

/// Says why a command failed: what was tried, then each reason below it.
pub fn error(error: &anyhow::Error) {
    eprintln!("{:>12} {error}", "Error");
    for cause in error.chain().skip(1) {
        eprintln!("{:>12} {cause}", "because");
    }
}

/// A step whose duration is worth telling.
pub struct Timed {
    detail: String,
    since: Instant,
}

/// Announces a step and starts its clock; [`Timed::done`] tells the time.
pub fn timed(verb: &str, detail: impl Display) -> Timed {
    let detail = detail.to_string();
    step(verb, &detail);
    Timed {
        detail,
        since: Instant::now(),
    }
}

impl Timed {
    /// Says that the step is finished and how long it took.
    pub fn done(self) {
        step(
            "Done",
            format_args!(
                "{} in {:.1} s",
                self.detail,
                self.since.elapsed().as_secs_f64()
            ),
        );
    }
}
