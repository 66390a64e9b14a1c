//! Faults of content, and what an unfinished write may leave.

use super::*;

#[test]
fn faults_of_content_are_seen() {
    let run = Run::killed("append,overwrite,mmap,truncate,sparse", 1500, 3);
    assert_ok(&run.check());
    let mut tried = 0;
    for suffix in ["log.0", "allocated", "holes", "size.1", "-sparse/size.0"] {
        let Some(path) = run.file(suffix) else {
            continue;
        };
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let size = file.metadata().unwrap().len();
        if size == 0 {
            continue;
        }
        tried += 1;
        let at = Rng::new(size, 1).below(size);
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        assert_seen(&run, &[Kind::Content], || {
            file.write_all_at(&[byte[0] ^ 1], at).unwrap()
        });
        file.write_all_at(&byte, at).unwrap();
        let mut last = [0];
        file.read_exact_at(&mut last, size - 1).unwrap();
        assert_seen(&run, &[Kind::Size], || file.set_len(size - 1).unwrap());
        file.write_all_at(&last, size - 1).unwrap();
        assert_seen(&run, &[Kind::Size], || file.set_len(size + 1).unwrap());
        file.set_len(size).unwrap();
    }
    assert!(tried > 0);
    // Only the times are left wrong, so content and sizes have been restored.
    let report = run.check();
    assert!(
        report
            .losses
            .iter()
            .all(|loss| matches!(loss.what, Kind::Mtime | Kind::Ctime)),
        "{report}"
    );
}

#[test]
fn a_lost_write_is_called_stale_or_zeros() {
    let mut run = Run::killed("overwrite", 300, 4);
    let log = run.log.writers.get_mut(&0).unwrap();
    log.in_flight = None;
    let before = run.scratch.manifest();
    // Claim a further write that the disk never saw.
    let mut acked = log.acked.last().unwrap().clone();
    let path = acked.op.paths()[0].to_owned();
    acked.op = Op::Write {
        path,
        off: 5000,
        len: 20_000,
        via: Via::Buffered,
        sync: false,
    };
    acked.ack.seq += 1;
    acked.ack.stats.clear();
    log.acked.push(acked);
    let report = check(&run.log, &before, &Options::default());
    let found = &report
        .losses
        .iter()
        .find(|loss| loss.what == Kind::Content)
        .unwrap()
        .found;
    assert!(
        found.contains("stale") || found.contains("zeros"),
        "{found}"
    );
}

/// A write in flight may be there up to any byte, and in no other way.
#[test]
fn a_write_in_flight_may_be_a_prefix_only() {
    let mut run = Run::killed("overwrite,append", 600, 5);
    for writer in [0, 1] {
        // Take back the last acknowledged write: it is all there, as permitted.
        let log = run.log.writers.get_mut(&writer).unwrap();
        while !matches!(log.acked.last().unwrap().op, Op::Write { len: 9000.., .. }) {
            log.acked.pop();
        }
    }
    // Rewind the disk to match: replay what is kept, without the popped tail.
    let rewound = Scratch::new();
    for writer in [0, 1] {
        let log = run.log.writers.get_mut(&writer).unwrap();
        let mut performer = workload::perform::Performer::new(&rewound.0);
        let last = log.acked.len() - 1;
        for (seq, acked) in (0..).zip(&log.acked[..last]) {
            let key = baton_guest::content::key(log.hello.seed, writer, seq);
            performer.perform(&acked.op, key).unwrap();
        }
        log.in_flight = log.acked.pop().map(|acked| acked.op);
        for acked in &mut log.acked {
            acked.ack.stats.clear();
        }
        let Some(Op::Write { path, off, len, .. }) = &log.in_flight else {
            panic!()
        };
        let (path, off, len) = (rewound.0.join(path), *off, *len);
        let log = run.log.writers[&writer].clone();
        let data = baton_guest::content::bytes(
            baton_guest::content::key(log.hello.seed, writer, last as u64),
            len,
        );
        let verdict = || {
            let log = AckLog {
                writers: [(writer, log.clone())].into(),
                breaches: Vec::new(),
            };
            let mut manifest = rewound.manifest();
            manifest
                .entries
                .retain(|path, _| path.starts_with(&log.writers[&writer].hello.dir));
            check(&log, &manifest, &Options::default())
        };
        let file = File::options().write(true).read(true).open(&path).unwrap();
        let size = file.metadata().unwrap().len();
        let mut old = vec![0; (size.saturating_sub(off)).min(len) as usize];
        file.read_exact_at(&mut old, off).unwrap();
        for cut in [0, 1, 4095, 5000, len - 1, len] {
            file.write_all_at(&data[..cut as usize], off).unwrap();
            assert_ok(&verdict());
        }
        // A gap in it, or a foreign byte, is not a prefix.
        file.write_all_at(&[data[100] ^ 1], off + 100).unwrap();
        assert_eq!(verdict().count(Kind::Content), 1);
        file.write_all_at(&data[100..101], off + 100).unwrap();
        assert_ok(&verdict());
        file.write_all_at(&[!data[8999]], off + 8999).unwrap();
        assert_eq!(verdict().count(Kind::Content), 1);
    }
}
