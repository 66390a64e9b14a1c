//! Measures migrations over memory images. The last line is `ratio N`: that of the largest.

use std::path::PathBuf;

use anyhow::{ensure, Context, Result};
use baton_images::image::Image;
use baton_images::speed;
use clap::Parser;

/// Measure migrations against memcpy.
#[derive(Parser)]
struct Args {
    /// Folders of images
    #[arg(required = true)]
    images: Vec<PathBuf>,
}

fn main() -> Result<()> {
    ensure!(
        !cfg!(debug_assertions),
        "a debug build says nothing about speed: use --release"
    );
    let mut largest = None;
    for folder in Args::parse().images {
        let image = Image::load(&folder)?;
        println!("{}", image.release);
        for mount in image.mounts() {
            let filled = mount.starts_with("/fill");
            if !filled && !mount.starts_with("/mixed") {
                continue;
            }
            let speed = speed::measure(&image, &mount)?;
            println!("  {speed}");
            // Of several images, the slowest.
            let key = (speed.bytes >> 20, speed.ratio());
            if filled && largest.is_none_or(|old| key > old) {
                largest = Some(key);
            }
        }
    }
    let (_, ratio) = largest.context("there is nothing to measure")?;
    println!("ratio {ratio:.2}");
    Ok(())
}
