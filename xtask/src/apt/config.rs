//! The private apt's files: one configuration, one source list a view.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{ensure, Context, Result};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

const SUITES: [&str; 10] = [
    "bullseye",
    "bullseye-security",
    "bookworm",
    "bookworm-updates",
    "bookworm-security",
    "bookworm-backports",
    "trixie",
    "trixie-updates",
    "trixie-security",
    "trixie-backports",
];

/// Host settings that say how to reach a mirror, and are therefore kept.
const HOST_SETTINGS: [&str; 6] = [
    "Acquire::http",
    "Acquire::https",
    "Acquire::Check-Date",
    "Acquire::Check-Valid-Until",
    "Acquire::ForceIPv4",
    "Acquire::ForceIPv6",
];

/// Which suites a question is put to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// Every suite: where kernels and headers are looked for.
    All,
    /// Debian 12 and its backports: a consistent set to run programs from.
    Bookworm,
    /// Debian 13 and its backports: likewise.
    Trixie,
}

impl View {
    const EACH: [Self; 3] = [Self::All, Self::Bookworm, Self::Trixie];

    /// The stem of the view's file names.
    pub(super) fn file_name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
        }
    }

    fn holds(self, suite: &str) -> bool {
        self == Self::All || suite.starts_with(self.file_name())
    }
}

/// Creates the private apt's folders and files below `root`.
pub(super) fn write(root: &Path) -> Result<()> {
    ensure!(
        Path::new(KEYRING).exists(),
        "{KEYRING} is missing: install the package debian-archive-keyring"
    );
    for folder in ["state/lists/partial", "archives/partial", "cache", "empty"] {
        fs::create_dir_all(root.join(folder))?;
    }
    // No package is installed here, whatever the host has.
    replace(&root.join("status"), "")?;
    for view in View::EACH {
        replace(
            &root.join(format!("{}.list", view.file_name())),
            &sources(view),
        )?;
    }
    replace(&root.join("apt.conf"), &settings(root)?)
}

fn sources(view: View) -> String {
    let mirror = |name, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
    let main = mirror("BATON_DEBIAN_MIRROR", "http://deb.debian.org/debian");
    let security = mirror(
        "BATON_DEBIAN_SECURITY_MIRROR",
        "http://deb.debian.org/debian-security",
    );
    let line = |suite: &&str| {
        let mirror = if suite.ends_with("-security") {
            &security
        } else {
            &main
        };
        format!("deb [arch=amd64 signed-by={KEYRING}] {mirror} {suite} main\n")
    };
    SUITES
        .iter()
        .filter(|suite| view.holds(suite))
        .map(line)
        .collect()
}

fn settings(root: &Path) -> Result<String> {
    let dump = Command::new("apt-config")
        .arg("dump")
        .env_remove("APT_CONFIG")
        .output()
        .context("cannot run apt-config")?;
    let dump = String::from_utf8_lossy(&dump.stdout);
    let mut text = String::from("// Written anew at each run.\n");
    let kept = |line: &&str| {
        HOST_SETTINGS
            .iter()
            .any(|setting| line.starts_with(setting))
    };
    for line in dump.lines().filter(kept) {
        writeln!(text, "{line}")?;
    }
    let root = root.display();
    write!(
        text,
        r#"APT::Architecture "amd64";
APT::Architectures "amd64";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "0";
Acquire::GzipIndexes "false";
Dir::State "{root}/state";
Dir::State::status "{root}/status";
Dir::Cache "{root}/cache";
Dir::Cache::archives "{root}/archives";
Dir::Cache::srcpkgcache "";
Dir::Etc "{root}/empty";
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::Etc::netrc "/etc/apt/auth.conf";
Dir::Etc::netrcparts "/etc/apt/auth.conf.d";
Dir::Log "{root}/log";
"#
    )?;
    Ok(text)
}

/// Writes a file if its content differs: apt takes a newer source list for a
/// reason to build its package index again.
fn replace(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
