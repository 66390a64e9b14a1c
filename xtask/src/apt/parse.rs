//! What apt's programs print, as values.

use std::fmt;
use std::process::Output;

/// One version of a package in one suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The package's name.
    pub package: String,
    /// Its Debian version, epoch included.
    pub version: String,
    /// The suite, such as `trixie-backports`.
    pub suite: String,
}

/// One alternative of a `Depends:` clause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// The name depended upon.
    pub package: String,
    /// Operator and version, such as `("=", "6.1.170-3")`.
    pub version: Option<(String, String)>,
}

/// A line of `apt-get --print-uris download`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Remote {
    /// The file's name, with the version's epoch as `%3a`.
    pub(super) name: String,
    pub(super) bytes: u64,
}

impl Remote {
    /// `'URI' NAME SIZE HASH`; anything else is no file.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let rest = line.strip_prefix('\'')?;
        let (_uri, rest) = rest.split_once("' ")?;
        let mut words = rest.split(' ');
        let name = words.next()?.to_owned();
        let bytes = words.next()?.parse().ok()?;
        name.ends_with(".deb").then_some(Self { name, bytes })
    }

    /// Whether this is the file of the package in `name` or `name=version`.
    pub(super) fn is_of(&self, spec: &str) -> bool {
        let name = spec.split('=').next();
        name.is_some() && self.name.split('_').next() == name
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.trim_end_matches(".deb");
        write!(
            f,
            "{name} ({}.{} MB)",
            self.bytes / 1_000_000,
            self.bytes / 100_000 % 10
        )
    }
}

/// `package | version | URI suite/component arch Packages`.
pub(super) fn madison_line(line: &str) -> Option<Candidate> {
    let mut columns = line.split(" | ").map(str::trim);
    let package = columns.next()?.to_owned();
    let version = columns.next()?.to_owned();
    let (suite, _component) = columns.next()?.split(' ').nth(1)?.rsplit_once('/')?;
    Some(Candidate {
        package,
        version,
        suite: suite.to_owned(),
    })
}

/// `Inst package (version origin [arch])` of a simulated installation.
pub(super) fn planned_install(line: &str) -> Option<String> {
    let (package, rest) = line.strip_prefix("Inst ")?.split_once(' ')?;
    let version = rest.split_once('(')?.1.split(' ').next()?;
    Some(format!("{package}={version}"))
}

/// `a (>= 1) | b` of a dependency field.
pub(super) fn alternatives(clause: &str) -> Vec<Dependency> {
    let one = |text: &str| {
        let text = text.trim();
        let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
        let version = rest
            .trim_start_matches('(')
            .trim_end_matches(')')
            .split_once(' ')
            .map(|(operator, version)| (operator.to_owned(), version.to_owned()));
        let package = name.split(':').next().unwrap_or(name).to_owned();
        Dependency { package, version }
    };
    clause.split('|').map(one).collect()
}

/// Whether trying again may help, by what apt says of the failure.
pub(super) fn is_transient(message: &str) -> bool {
    const SIGNS: [&str; 9] = [
        "Temporary failure",
        "Could not resolve",
        "Could not connect",
        "Unable to connect",
        "Connection",
        "timed out",
        "Hash Sum mismatch",
        "503  ",
        "502  ",
    ];
    SIGNS.iter().any(|sign| message.contains(sign))
}

/// What a program said last: its error lines if it marks them, else the last
/// lines of any kind.
pub(super) fn last_lines(output: &Output) -> String {
    const LINES: usize = 3;
    let text = String::from_utf8_lossy(&output.stderr);
    let marked: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("E: "))
        .collect();
    let lines = if marked.is_empty() {
        text.lines().collect()
    } else {
        marked
    };
    let skipped = lines.len().saturating_sub(LINES);
    let tail: Vec<&str> = lines.into_iter().skip(skipped).collect();
    if tail.is_empty() {
        return format!("{} and no message", output.status);
    }
    tail.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_apt_prints() {
        let line = "pkg |  6.1.170-3 | http://deb.debian.org/debian bookworm/main amd64 Packages";
        let candidate = madison_line(line).unwrap();
        assert_eq!(candidate.version, "6.1.170-3");
        assert_eq!(candidate.suite, "bookworm");

        let line = "'http://x/b_1%3a1.37_amd64.deb' b_1%3a1.37_amd64.deb 955316 SHA256:59";
        let remote = Remote::parse(line).unwrap();
        assert!(remote.is_of("b=1:1.37") && remote.is_of("b") && !remote.is_of("bb"));
        assert_eq!(remote.to_string(), "b_1%3a1.37_amd64 (0.9 MB)");
        assert_eq!(Remote::parse("Reading package lists..."), None);

        let line = "Inst libelf1 (0.192-4 Debian Backports:stable [amd64]) []";
        assert_eq!(planned_install(line).as_deref(), Some("libelf1=0.192-4"));
    }

    #[test]
    fn reads_dependencies() {
        let clause = alternatives("linux-image-a (= 1-2) | make:any");
        assert_eq!(clause[0].package, "linux-image-a");
        assert_eq!(clause[0].version, Some(("=".into(), "1-2".into())));
        assert_eq!(
            clause[1],
            Dependency {
                package: "make".into(),
                version: None
            }
        );
    }
}
