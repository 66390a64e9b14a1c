//! The verdict, for people and for programs.

use std::fmt;

use serde::Serialize;

/// How many problems of each list are printed.
const PRINTED: usize = 40;

/// What is wrong with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It should exist and does not.
    Missing,
    /// It was removed or renamed and exists.
    Resurrected,
    /// Nobody ever made it.
    Unknown,
    /// It is another type of thing.
    Type,
    /// The machine could not read it.
    Unreadable,
    /// Its size.
    Size,
    /// Its content.
    Content,
    /// Its permission bits.
    Mode,
    /// Its owner or group.
    Owner,
    /// Its modification time.
    Mtime,
    /// Its change time.
    Ctime,
    /// The number of its names, or with which names it shares an inode.
    Links,
    /// The target of a symbolic link.
    Target,
    /// Its extended attributes.
    Xattrs,
}

/// One thing that is not as it was promised.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    /// Where, below the workload's directory.
    pub path: String,
    /// What kind.
    pub what: Kind,
    /// What was promised, and by which operation.
    pub expected: String,
    /// What is there.
    pub found: String,
}

/// What became of an operation that was announced and not acknowledged.
#[derive(Clone, Debug, Serialize)]
pub struct InFlight {
    /// Whose it was.
    pub writer: u32,
    /// Its number.
    pub seq: u64,
    /// What it was.
    pub op: String,
    /// The permitted state that fits best.
    pub outcome: &'static str,
}

/// The verdict of the oracle.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Writers that took part.
    pub writers: u64,
    /// Names compared.
    pub files: u64,
    /// Bytes of content compared.
    pub bytes: u64,
    /// Operations whose effect is promised.
    pub acked_ops: u64,
    /// Operations whose effect is permitted.
    pub in_flight_ops: u64,
    /// Operations that the file system cannot do.
    pub refused_ops: u64,
    /// What became of the operations in flight.
    pub in_flight: Vec<InFlight>,
    /// Promises broken.
    pub losses: Vec<Problem>,
    /// What should not exist.
    pub extras: Vec<Problem>,
    /// Why this report proves nothing, if it does not.
    pub invalid: Vec<String>,
    /// Names whose change time is not the writer's; a loss only on demand.
    pub ctime_differs: u64,
    /// Names whose inode number is not the writer's; allowed.
    pub inode_differs: u64,
}

impl Report {
    /// Whether all promises are kept, and this is certain.
    #[must_use]
    pub const fn ok(&self) -> bool {
        self.losses.is_empty()
            && self.extras.is_empty()
            && self.invalid.is_empty()
            && self.acked_ops > 0
    }

    /// The problems of one kind.
    #[must_use]
    pub fn count(&self, kind: Kind) -> usize {
        self.losses
            .iter()
            .chain(&self.extras)
            .filter(|problem| problem.what == kind)
            .count()
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "missing",
            Self::Resurrected => "back although removed",
            Self::Unknown => "never made by anyone",
            Self::Type => "wrong type",
            Self::Unreadable => "unreadable",
            Self::Size => "wrong size",
            Self::Content => "wrong content",
            Self::Mode => "wrong mode",
            Self::Owner => "wrong owner",
            Self::Mtime => "wrong modification time",
            Self::Ctime => "wrong change time",
            Self::Links => "wrong links",
            Self::Target => "wrong link target",
            Self::Xattrs => "wrong attributes",
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            what,
            expected,
            found,
        } = self;
        // A name may have line breaks.
        let path = path.replace('\n', "\\n");
        write!(f, "{path}: {what}: expected {expected}; found {found}")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: {} losses, {} extras; {} names and {} bytes compared, {} operations of {} \
             writers acknowledged, {} in flight, {} refused",
            if self.ok() { "INTACT" } else { "NOT INTACT" },
            self.losses.len(),
            self.extras.len(),
            self.files,
            self.bytes,
            self.acked_ops,
            self.writers,
            self.in_flight_ops,
            self.refused_ops,
        )?;
        if self.acked_ops == 0 {
            writeln!(f, "  proves nothing: no operation was acknowledged")?;
        }
        for reason in &self.invalid {
            writeln!(f, "  proves nothing: {reason}")?;
        }
        for (title, problems) in [("loss", &self.losses), ("extra", &self.extras)] {
            for problem in problems.iter().take(PRINTED) {
                writeln!(f, "  {title}: {problem}")?;
            }
            if let Some(more) = problems.len().checked_sub(PRINTED).filter(|more| *more > 0) {
                writeln!(f, "  {title}: and {more} more")?;
            }
        }
        for InFlight {
            writer,
            seq,
            op,
            outcome,
        } in &self.in_flight
        {
            writeln!(
                f,
                "  in flight: writer {writer} operation {seq} {outcome}: {op}"
            )?;
        }
        Ok(())
    }
}
