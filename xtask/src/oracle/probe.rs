//! How long a service was away, as seen from outside.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use baton_guest::daemon::status::Status;
use serde::Serialize;

/// Longest reply that is read.
const REPLY_MAX: u64 = 4096;

/// How to probe. While the service is away each lane is busy for `timeout`, so
/// the resolution then is `timeout / lanes`.
#[derive(Clone, Copy, Debug)]
pub struct ProbeConfig {
    /// Time between the starts of probes while the service answers.
    pub interval: Duration,
    /// Limit of a probe, from connecting to the complete reply.
    pub timeout: Duration,
    /// Probes under way at the same time, at most.
    pub lanes: u32,
}

impl Default for ProbeConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_millis(5),
            // Each probe in vain is a connection that the machine, once it is back, has to see
            // through before it gets to the living ones: not too many of them.
            timeout: Duration::from_millis(1000),
            lanes: 32,
        }
    }
}

/// One complete reply.
#[derive(Clone, Debug, Serialize)]
pub struct Reply {
    /// When the probe began, since the start of probing.
    pub asked_us: u64,
    /// When the reply was complete.
    pub answered_us: u64,
    /// What it said.
    pub status: Status,
}

/// The kernel that answered changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Switch {
    /// Release of the kernel before.
    pub from: String,
    /// Release of the kernel after.
    pub to: String,
    /// Boot identity after.
    pub boot_id: String,
    /// Last reply of the one before, since the start of probing.
    pub last_ms: f64,
    /// First reply of the one after.
    pub first_ms: f64,
    /// The time between: the outage.
    pub outage_ms: f64,
}

/// What the probes found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Outage {
    /// Each change of kernel, in order.
    pub switches: Vec<Switch>,
    /// Longest time between two replies in a row, whoever gave them.
    pub longest_gap_ms: f64,
    /// Half of the times between replies are shorter.
    pub median_gap_ms: f64,
    /// Complete replies.
    pub replies: u64,
    /// Probes that got none in time.
    pub failures: u64,
}

/// Probes in the background. A probe counts only when its reply is complete:
/// QEMU accepts connections for a machine that is dead.
#[derive(Debug)]
pub struct ServiceProbe {
    shared: Arc<Shared>,
    lanes: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    address: SocketAddr,
    config: ProbeConfig,
    start: Instant,
    /// A flag alone; what it ends is joined before results are read.
    stop: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: Duration,
    replies: Vec<Reply>,
    failures: u64,
}

impl ServiceProbe {
    /// Starts probing the status service at `address`.
    #[must_use]
    pub fn start(address: SocketAddr, config: ProbeConfig) -> Self {
        let shared = Arc::new(Shared {
            address,
            config,
            start: Instant::now(),
            stop: AtomicBool::new(false),
            state: Mutex::default(),
        });
        let lane = |_| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.lane())
        };
        let lanes = (0..config.lanes).map(lane).collect();
        Self { shared, lanes }
    }

    /// What has been found so far.
    #[must_use]
    pub fn outage(&self) -> Outage {
        let state = self.shared.lock();
        evaluate(state.replies.clone(), state.failures)
    }

    /// The replies so far, in the order of their completion.
    #[must_use]
    pub fn replies(&self) -> Vec<Reply> {
        let mut replies = self.shared.lock().replies.clone();
        replies.sort_by_key(|reply| reply.answered_us);
        replies
    }

    /// Ends probing; takes up to the timeout.
    #[must_use]
    pub fn stop(mut self) -> Outage {
        self.shared.stop.store(true, Ordering::Relaxed);
        for lane in self.lanes.drain(..) {
            // A lane that panicked has recorded nothing false.
            drop(lane.join());
        }
        self.outage()
    }
}

impl Drop for ServiceProbe {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Probes at the times that no other lane has taken.
    fn lane(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            let now = self.start.elapsed();
            let due = {
                let mut state = self.lock();
                let due = state.next.max(now);
                state.next = due + self.config.interval;
                due
            };
            thread::sleep(due.saturating_sub(now));
            let asked = self.start.elapsed();
            let status = self.probe();
            let answered = self.start.elapsed();
            let mut state = self.lock();
            match status {
                Some(status) => {
                    let (asked_us, answered_us) = (micros(asked), micros(answered));
                    state.replies.push(Reply {
                        asked_us,
                        answered_us,
                        status,
                    });
                }
                None => state.failures += 1,
            }
            drop(state);
            // A refused connection fails at once: do not spin.
            if answered - asked < self.config.interval {
                thread::sleep(self.config.interval - (answered - asked));
            }
        }
    }

    /// One probe.
    fn probe(&self) -> Option<Status> {
        let limit = Instant::now() + self.config.timeout;
        let stream = TcpStream::connect_timeout(&self.address, self.config.timeout).ok()?;
        let rest = limit
            .checked_duration_since(Instant::now())
            .filter(|rest| !rest.is_zero())?;
        stream.set_read_timeout(Some(rest)).ok()?;
        let mut line = Vec::new();
        BufReader::new(stream.take(REPLY_MAX))
            .read_until(b'\n', &mut line)
            .ok()?;
        line.ends_with(b"\n")
            .then(|| serde_json::from_slice(&line).ok())
            .flatten()
    }
}

fn micros(time: Duration) -> u64 {
    time.as_micros().try_into().unwrap_or(u64::MAX)
}

/// Finds the gaps. A reply of an earlier kernel that comes late is left out: it
/// is not a switch back.
fn evaluate(mut replies: Vec<Reply>, failures: u64) -> Outage {
    replies.sort_by_key(|reply| reply.answered_us);
    let mut outage = Outage {
        replies: replies.len() as u64,
        failures,
        ..Outage::default()
    };
    let mut kernels: Vec<(String, String)> = Vec::new();
    replies.retain(|reply| {
        let kernel = (reply.status.release.clone(), reply.status.boot_id.clone());
        let current = kernels.last() == Some(&kernel);
        let new = !kernels.contains(&kernel);
        if new {
            kernels.push(kernel);
        }
        current || new
    });
    let mut gaps = Vec::new();
    for pair in replies.windows(2) {
        let [before, after] = pair else { continue };
        let gap = (after.answered_us - before.answered_us) as f64 / 1000.0;
        gaps.push(gap);
        outage.longest_gap_ms = outage.longest_gap_ms.max(gap);
        let (old, new) = (&before.status, &after.status);
        if old.boot_id != new.boot_id || old.release != new.release {
            outage.switches.push(Switch {
                from: old.release.clone(),
                to: new.release.clone(),
                boot_id: new.boot_id.clone(),
                last_ms: before.answered_us as f64 / 1000.0,
                first_ms: after.answered_us as f64 / 1000.0,
                outage_ms: gap,
            });
        }
    }
    gaps.sort_by(f64::total_cmp);
    outage.median_gap_ms = gaps.get(gaps.len() / 2).copied().unwrap_or(0.0);
    outage
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(answered_us: u64, kernel: &str) -> Reply {
        let (release, boot_id) = (kernel.to_owned(), format!("id of {kernel}"));
        let status = Status {
            release,
            boot_id,
            count: 0,
            pid: 1,
        };
        Reply {
            asked_us: answered_us,
            answered_us,
            status,
        }
    }

    #[test]
    fn the_outage_is_the_gap_at_the_switch() {
        let replies = vec![
            reply(1000, "a"),
            reply(9000, "a"),
            reply(605_000, "b"),
            reply(10_000, "a"),
            reply(606_000, "a"),
            reply(607_000, "b"),
        ];
        let outage = evaluate(replies, 3);
        assert_eq!(outage.switches.len(), 1);
        assert!((outage.switches[0].outage_ms - 595.0).abs() < 1e-9);
        assert!((outage.longest_gap_ms - 595.0).abs() < 1e-9);
        assert_eq!((outage.replies, outage.failures), (6, 3));
    }
}
