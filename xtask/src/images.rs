//! `cargo xtask images`: memory images of stopped machines, for `tests/images`.
//!
//! One folder a kernel in `target/images`, see the documentation of `baton-images`. An image is
//! made again when the kernel, a program that ran in the machine, or the machine itself changes.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{ensure, Context, Result};
use baton_images::image;

use crate::apt::Apt;
use crate::cache::Cache;
use crate::kernels::{self, Kernel};
use crate::module::build_module;
use crate::userland::{self, Userland};
use crate::{progress, rustobj};

mod disks;
mod machine;

/// The kernels whose memory is kept unless others are named.
const DEFAULT: [&str; 4] = ["5.10", "6.1", "6.12", "7.3"];

/// Arguments of `images`.
#[derive(clap::Args)]
pub struct Args {
    /// Series (6.12), releases (6.1.0-47) or paths; by default the tested series
    specs: Vec<String>,
    /// Then run the tests over these images
    #[arg(long)]
    check: bool,
    /// Make images anew that are current
    #[arg(long)]
    force: bool,
}

/// Runs the command: prints the folder of each image.
pub fn run(args: &Args) -> Result<()> {
    let default = DEFAULT.map(str::to_owned);
    let specs = match args.specs.is_empty() {
        true => &default[..],
        false => &args.specs,
    };
    let folders = make_all(specs, args.force)?;
    for folder in &folders {
        println!("{}", folder.display());
    }
    if args.check {
        check(&folders)?;
    }
    Ok(())
}

/// Makes the images of the default kernels and runs all tests over them: a step of the tests.
pub fn make_and_check() -> Result<()> {
    check(&make_all(&DEFAULT.map(str::to_owned), false)?)
}

/// What all images are made with.
struct Tools {
    cache: Cache,
    apt: Apt,
    programs: Userland,
    scene: PathBuf,
}

/// The images of kernels, made if they are not current.
pub fn make_all(specs: &[String], force: bool) -> Result<Vec<PathBuf>> {
    let cache = Cache::open()?;
    let apt = Apt::open(&cache)?;
    let programs = userland::build()?;
    let scene = build_scene(&programs)?;
    let tools = Tools {
        cache,
        apt,
        programs,
        scene,
    };
    let mut folders = Vec::new();
    for spec in specs {
        let kernel = kernels::resolve(&tools.cache, &tools.apt, spec)?;
        let made = make_one(&tools, &kernel, force);
        folders.push(made.with_context(|| format!("cannot make an image of {}", kernel.release))?);
    }
    Ok(folders)
}

/// The program that makes the files, built like the others.
fn build_scene(programs: &Userland) -> Result<PathBuf> {
    let out = programs.baton.parent().context("no target folder")?;
    let target = rustobj::workspace().join("target/static");
    let triple = out.parent().and_then(Path::file_name);
    let status = userland::cargo()
        .args(["build", "--quiet", "--release", "--target"])
        .arg(triple.context("no target")?)
        .args(["--package", "baton-images", "--bin", "baton-scene"])
        .arg("--target-dir")
        .arg(target)
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .env("CARGO_PROFILE_RELEASE_STRIP", "symbols")
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "baton-scene does not build, see above");
    Ok(out.join("baton-scene"))
}

fn make_one(tools: &Tools, kernel: &Kernel, force: bool) -> Result<PathBuf> {
    let module = build_module(&tools.cache, &tools.apt, kernel)?;
    let _lock = tools.cache.lock(&format!("image {}", kernel.release))?;
    let root = rustobj::workspace().join("target/images");
    let folder = root.join(&kernel.release);
    let stamp = stamp(tools, kernel, &module)?;
    let current = fs::read_to_string(folder.join(image::STAMP)).is_ok_and(|old| old == stamp);
    if current && !force {
        return Ok(folder);
    }
    let timer = progress::timed("Making", format_args!("the image of {}", kernel.release));
    let work = root.join(format!("{}.new", kernel.release));
    if work.exists() {
        fs::remove_dir_all(&work).with_context(|| format!("cannot empty {}", work.display()))?;
    }
    fs::create_dir_all(&work).with_context(|| format!("cannot create {}", work.display()))?;
    machine::make(tools, kernel, &module, &work)
        .with_context(|| format!("the logs are in {}", work.display()))?;
    fs::write(work.join(image::STAMP), stamp).context("cannot write the stamp")?;
    if folder.exists() {
        fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot replace {}", folder.display()))?;
    }
    fs::rename(&work, &folder).with_context(|| format!("cannot make {}", folder.display()))?;
    timer.done();
    Ok(folder)
}

/// All that an image depends on: the ABI is in the programs.
fn stamp(tools: &Tools, kernel: &Kernel, module: &Path) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    let Userland { baton, guest } = &tools.programs;
    for file in [baton, guest, &tools.scene, module] {
        let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        bytes.hash(&mut hasher);
    }
    machine::VERSION.hash(&mut hasher);
    let (release, version) = (&kernel.release, kernel.version.as_deref());
    let version = version.unwrap_or("local");
    Ok(format!("{release} {version} {:016x}\n", hasher.finish()))
}

/// Runs the tests of `tests/images`, which must find these images.
fn check(folders: &[PathBuf]) -> Result<()> {
    let names = folders.iter().filter_map(|folder| folder.file_name());
    let required: Vec<_> = names.map(|name| name.to_string_lossy()).collect();
    let status = userland::cargo()
        .args(["test", "--release", "--package", "baton-images"])
        .args(["--", "--nocapture"])
        .env(image::REQUIRED, required.join(" "))
        .env(image::FOLDER, rustobj::workspace().join("target/images"))
        .status()
        .context("cannot run cargo")?;
    ensure!(
        status.success(),
        "the tests over the memory images fail, see above"
    );
    Ok(())
}
