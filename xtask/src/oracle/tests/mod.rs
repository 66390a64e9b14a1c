//! The oracle on this machine: a real workload on a real file system, killed at
//! a random instant; then one fault at a time, each of which must be seen.

use std::fs::{self, File, Permissions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use baton_guest::content::Rng;
use baton_guest::record::{Op, Via};
use baton_guest::{manifest, workload};
use clap::Parser;

use super::*;

mod content;
mod machine;
mod names;

/// Tells the child that it is the workload, and how to run it.
const CHILD: &str = "BATON_ORACLE_CHILD";

#[derive(Parser)]
struct ChildOptions {
    #[command(flatten)]
    options: workload::Options,
}

/// Not a test by itself: the process that [`Run`] starts and kills.
#[test]
fn workload_child() {
    let Ok(arguments) = std::env::var(CHILD) else {
        return;
    };
    let options = ChildOptions::parse_from(arguments.split('\n')).options;
    workload::run(&options).unwrap();
}

/// A directory of its own, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("oracle.{}.{serial}", std::process::id()));
        drop(fs::remove_dir_all(&path));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn manifest(&self) -> Manifest {
        let mut text = Vec::new();
        manifest::write(&self.0, &mut text).unwrap();
        Manifest::parse(&text).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// A workload that has been killed, and what it left.
struct Run {
    scratch: Scratch,
    log: AckLog,
}

impl Run {
    /// Runs writers of `kinds` until there are `ops` acknowledgements, some of
    /// each, and a bit more, then kills them.
    fn killed(kinds: &str, ops: u64, seed: u64) -> Self {
        let scratch = Scratch::new();
        let server = AckServer::start().unwrap();
        let ack = format!("127.0.0.1:{}", server.port());
        let arguments = [
            "workload",
            "--dir",
            scratch.0.to_str().unwrap(),
            "--ack",
            &ack,
            "--seed",
            &seed.to_string(),
            "--writers",
            kinds,
            "--cache",
            "6000000",
            "--pause-us",
            "0",
        ]
        .join("\n");
        let mut child = Command::new("/proc/self/exe")
            .args(["--exact", "oracle::tests::workload_child"])
            .env(CHILD, arguments)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let reached = server.wait(Duration::from_secs(30), |log| {
            let all = log.writers.len() == kinds.split(',').count();
            let each = log.writers.values().all(|writer| writer.acked.len() >= 20);
            all && each && log.acked_ops() >= ops
        });
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap();
        thread::sleep(Duration::from_micros(
            u64::from(now.subsec_nanos()) % 20_000,
        ));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(
            reached,
            "the workload is too slow or has failed: {:?}",
            server.snapshot().writers
        );
        // All that the dead process sent is on its way through the loopback.
        thread::sleep(Duration::from_millis(50));
        Self {
            scratch,
            log: server.freeze(),
        }
    }

    fn check(&self) -> Report {
        check(
            &self.log,
            &self.scratch.manifest(),
            &Options { ctime: true },
        )
    }

    /// A file by the end of its path, that no operation in flight touches.
    fn file(&self, suffix: &str) -> Option<PathBuf> {
        let in_flight = self
            .log
            .writers
            .values()
            .filter_map(|log| log.in_flight.as_ref());
        let touched: Vec<&str> = in_flight.flat_map(Op::paths).collect();
        let manifest = self.scratch.manifest();
        let fits = |path: &&String| path.ends_with(suffix) && !touched.contains(&path.as_str());
        manifest
            .entries
            .keys()
            .find(fits)
            .map(|path| self.scratch.0.join(path))
    }
}

fn assert_ok(report: &Report) {
    assert!(report.ok(), "{report}");
}

/// After `fault`, exactly the problems `expected` must be reported, and maybe
/// the times that the fault itself changed.
fn assert_seen(run: &Run, expected: &[Kind], fault: impl FnOnce()) {
    fault();
    let report = run.check();
    for kind in expected {
        assert!(report.count(*kind) > 0, "{kind} not seen: {report}");
    }
    let all = report.losses.iter().chain(&report.extras);
    for problem in all {
        let allowed = matches!(problem.what, Kind::Mtime | Kind::Ctime);
        assert!(allowed || expected.contains(&problem.what), "{problem}");
    }
    assert!(!report.ok());
}

#[test]
fn a_killed_workload_is_intact_at_every_instant() {
    for seed in 0..3 {
        let run = Run::killed(&workload::KINDS.join(","), 700 + 500 * seed, seed);
        let report = run.check();
        assert_ok(&report);
        assert_eq!(report.writers, workload::KINDS.len() as u64);
        assert!(report.bytes > 1_000_000);
    }
}

#[test]
fn a_log_or_manifest_in_doubt_proves_nothing() {
    let run = Run::killed("small", 100, 6);
    let manifest = run.scratch.manifest();
    assert!(!check(&AckLog::default(), &manifest, &Options::default()).ok());
    let mut log = run.log.clone();
    log.writers.get_mut(&0).unwrap().failed = Some("no space".to_owned());
    assert!(!check(&log, &manifest, &Options::default()).ok());
    let mut log = run.log.clone();
    log.writers.get_mut(&0).unwrap().acked.remove(50);
    assert!(!check(&log, &manifest, &Options::default()).ok());
    let mut text = Vec::new();
    manifest::write(&run.scratch.0, &mut text).unwrap();
    let cut = text.iter().rposition(|byte| *byte == b'{').unwrap();
    assert!(Manifest::parse(&text[..cut]).is_err());
}
