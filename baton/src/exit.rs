//! How the command ends, for scripts: its exit codes, and the errors that stand for them.

use std::fmt;

/// It did what was asked.
pub const SUCCESS: u8 = 0;
/// It failed; the message says why.
pub const FAILURE: u8 = 1;
/// This machine, as it is, cannot do it (`load`, `check`).
pub const CANNOT: u8 = 2;
/// The update was begun and called off; this kernel goes on (`update`).
pub const CALLED_OFF: u8 = 3;

/// The codes in words, for the manual.
pub const TEXTS: &[(u8, &str)] = &[
    (SUCCESS, "Success."),
    (FAILURE, "It failed; the message says why."),
    (
        CANNOT,
        "This machine, as it is, cannot be updated (load, check); the points that have to change \
         are listed.",
    ),
    (
        CALLED_OFF,
        "The update was begun and called off (update); the running kernel goes on and nothing was \
         lost.",
    ),
];

/// The error behind [`CANNOT`].
#[derive(Debug)]
pub struct Cannot(pub String);

/// The error behind [`CALLED_OFF`].
#[derive(Debug)]
pub struct CalledOff(pub String);

impl fmt::Display for Cannot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for CalledOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Cannot {}
impl std::error::Error for CalledOff {}

/// The exit code for an error: that of the first marker in its chain.
#[must_use]
pub fn code(error: &anyhow::Error) -> u8 {
    if error.downcast_ref::<Cannot>().is_some() {
        CANNOT
    } else if error.downcast_ref::<CalledOff>().is_some() {
        CALLED_OFF
    } else {
        FAILURE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn markers_are_found_below_context() {
        let cannot = Err::<(), _>(Cannot("x".to_owned())).context("more");
        assert_eq!(cannot.map_err(|error| code(&error)), Err(CANNOT));
        assert_eq!(code(&CalledOff("x".to_owned()).into()), CALLED_OFF);
        assert_eq!(code(&anyhow::anyhow!("x")), FAILURE);
    }
}
