//! `cargo xtask kernels`: fetch kernels and say where they are.

use anyhow::Result;

use crate::apt::Apt;
use crate::cache::Cache;
use crate::kernels;

/// The kernels that the project is tested on.
const DEFAULT: [&str; 4] = ["5.10", "6.1", "6.12", "7.3"];

/// Arguments of `kernels`.
#[derive(clap::Args)]
pub struct Args {
    /// Series (6.12), releases (6.1.0-47) or paths; by default the tested series
    specs: Vec<String>,
    /// Only list what the suites hold, of the series given or of all
    #[arg(long)]
    list: bool,
    /// Fetch the header packages, too
    #[arg(long, conflicts_with = "list")]
    headers: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    let cache = Cache::open()?;
    let apt = Apt::open(&cache)?;
    if args.list {
        return list(&apt, &args.specs);
    }
    let default = DEFAULT.map(str::to_owned);
    let specs = if args.specs.is_empty() {
        &default[..]
    } else {
        &args.specs
    };
    for spec in specs {
        let kernel = kernels::resolve(&cache, &apt, spec)?;
        println!("{}", kernel.release);
        println!("  vmlinuz  {}", kernel.vmlinuz.display());
        println!("  modules  {}", kernel.modules.display());
        if args.headers {
            for deb in kernels::headers(&apt, &kernel)? {
                println!("  headers  {}", deb.display());
            }
        }
    }
    Ok(())
}

fn list(apt: &Apt, specs: &[String]) -> Result<()> {
    for image in kernels::list(apt)? {
        let release = image.package.trim_start_matches("linux-image-");
        if specs.is_empty() || specs.iter().any(|spec| release.starts_with(spec.as_str())) {
            println!("{release:<36} {:<28} {}", image.version, image.suite);
        }
    }
    Ok(())
}
