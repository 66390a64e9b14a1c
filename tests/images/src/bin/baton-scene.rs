//! Runs in the machine whose memory is to be kept: makes files, lists them, says `ready`, and
//! stays, since some of them are open or mapped.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use baton_images::{manifest, scene};
use clap::Parser;

/// Make files in the page cache and list what they hold.
#[derive(Parser)]
struct Args {
    /// MOUNT:MIB: every kind of file in MOUNT/scene, the streamed one MIB long
    #[arg(long)]
    varied: Vec<String>,
    /// MOUNT:MIB: files of together MIB in MOUNT/fill
    #[arg(long)]
    filled: Vec<String>,
    /// MOUNT:MIB: the same, written page by page in turns
    #[arg(long)]
    mixed: Vec<String>,
    /// MOUNT:MIB: a file of MIB with new content in place of what is on the disk
    #[arg(long)]
    rewritten: Vec<String>,
    /// Where the list goes
    #[arg(long)]
    manifest: PathBuf,
}

/// A maker of scenes.
type Make = fn(&Path, &Path, u64) -> Result<scene::Scene>;

fn main() -> Result<()> {
    let args = Args::parse();
    let mut scenes = Vec::new();
    let kinds: [(&[String], &str, Make); 4] = [
        (&args.varied, "scene", scene::varied),
        (&args.filled, "fill", scene::filled),
        (&args.mixed, "fill", scene::mixed),
        (&args.rewritten, "fill", scene::rewritten),
    ];
    for (places, folder, make) in kinds {
        for place in places {
            let (mount, mib) = parse(place)?;
            scenes.push(make(mount, &mount.join(folder), mib).context(place.clone())?);
        }
    }
    let files: Vec<_> = scenes
        .iter()
        .flat_map(|scene| scene.files.clone())
        .collect();
    let mut out = BufWriter::new(File::create(&args.manifest)?);
    manifest::write(&files, &mut out)?;
    drop(out);
    println!("ready");
    loop {
        std::thread::park();
    }
}

fn parse(place: &str) -> Result<(&Path, u64)> {
    let (mount, mib) = place.split_once(':').context("not of the form MOUNT:MIB")?;
    Ok((Path::new(mount), mib.parse()?))
}
