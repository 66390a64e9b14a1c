//! `cargo xtask bench paper`: the three updates of the paper on this method, over synthetic images
//! with the structures of its kernels, beside its figures and `memcpy`.

use anyhow::{ensure, Context, Result};

use crate::userland;

/// Runs the command. The last line is `ratio N`.
pub fn run() -> Result<()> {
    let status = userland::cargo()
        .args(["bench", "--quiet", "--package", "migrator"])
        .args(["--bench", "paper"])
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "the measurement fails, see above");
    Ok(())
}
