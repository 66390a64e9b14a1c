//! What the writers said, as far as it reached the host.

use std::collections::BTreeMap;

use baton_guest::record::{Ack, Hello, Op, Record};
use serde::Serialize;

/// An operation that is known to be done.
#[derive(Clone, Debug, Serialize)]
pub struct Acked {
    /// What was done.
    pub op: Op,
    /// What the writer reported.
    pub ack: Ack,
    /// When the acknowledgement arrived, since the server's start.
    pub at_us: u64,
}

/// The log of one writer. Operation `n` is `acked[n]`.
#[derive(Clone, Debug, Serialize)]
pub struct WriterLog {
    /// Who it is.
    pub hello: Hello,
    /// Operations done, in order.
    pub acked: Vec<Acked>,
    /// An operation announced and not acknowledged.
    pub in_flight: Option<Op>,
    /// The writer has built up what it should.
    pub filled: bool,
    /// The writer has done all that it should.
    pub done: bool,
    /// The writer gave up, and why.
    pub failed: Option<String>,
}

/// The logs of all writers of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AckLog {
    /// By writer number.
    pub writers: BTreeMap<u32, WriterLog>,
    /// Breaches of the protocol, in words. A log with any proves nothing.
    pub breaches: Vec<String>,
}

impl AckLog {
    /// Adds a writer.
    pub(super) fn join(&mut self, hello: Hello) {
        let writer = hello.writer;
        let log = WriterLog {
            hello,
            acked: Vec::new(),
            in_flight: None,
            filled: false,
            done: false,
            failed: None,
        };
        if self.writers.insert(writer, log).is_some() {
            self.breaches
                .push(format!("two writers have the number {writer}"));
        }
    }

    /// Adds a record of a writer that has joined; returns the number of the
    /// operation that may now begin.
    pub(super) fn add(&mut self, writer: u32, record: Record, at_us: u64) -> Option<u64> {
        let Some(log) = self.writers.get_mut(&writer) else {
            self.breaches.push(format!("writer {writer} is unknown"));
            return None;
        };
        match log.add(record, at_us) {
            Ok(go_ahead) => go_ahead,
            Err(breach) => {
                self.breaches.push(format!("writer {writer}: {breach}"));
                None
            }
        }
    }

    /// Whether at least `count` writers are there and all have built up what
    /// they were asked to.
    #[must_use]
    pub fn filled(&self, count: usize) -> bool {
        self.writers.len() >= count && self.writers.values().all(|log| log.filled)
    }

    /// Operations acknowledged.
    #[must_use]
    pub fn acked_ops(&self) -> u64 {
        self.writers
            .values()
            .map(|log| log.acked.len() as u64)
            .sum()
    }
}

impl WriterLog {
    fn add(&mut self, record: Record, at_us: u64) -> Result<Option<u64>, String> {
        let next = self.acked.len() as u64;
        match record {
            Record::Hello(_) => return Err("hello twice".to_owned()),
            Record::Intent { seq, op } => {
                if seq != next || self.in_flight.is_some() {
                    return Err(format!("operation {seq} announced while {next} is due"));
                }
                self.in_flight = Some(op);
                return Ok(Some(seq));
            }
            Record::Ack(ack) => match self.in_flight.take() {
                Some(op) if ack.seq == next => self.acked.push(Acked { op, ack, at_us }),
                _ => return Err(format!("operation {} acknowledged out of turn", ack.seq)),
            },
            Record::CacheFilled => self.filled = true,
            Record::Done => self.done = true,
            Record::Failed { error } => self.failed = Some(error),
        }
        Ok(None)
    }
}
