//! Faults of names and metadata.

use super::*;

#[test]
fn faults_of_names_are_seen() {
    let run = Run::killed("names,names,small", 2500, 9);
    assert_ok(&run.check());
    let root = &run.scratch.0;
    let victim = root.join(
        run.log.writers[&2]
            .acked
            .iter()
            .rev()
            .find_map(|acked| match &acked.op {
                Op::Create {
                    path, len: 100.., ..
                } => Some(baton_guest::text::decode(path)),
                _ => None,
            })
            .unwrap(),
    );
    let meta = fs::metadata(&victim).unwrap();
    let content = fs::read(&victim).unwrap();
    let restore_times = || {
        File::options()
            .write(true)
            .open(&victim)
            .unwrap()
            .set_modified(meta.modified().unwrap())
            .unwrap();
    };

    let mode = |mode| fs::set_permissions(&victim, Permissions::from_mode(mode)).unwrap();
    assert_seen(&run, &[Kind::Mode], || mode(0o604));
    mode(meta.mode());

    let touch = || File::options().write(true).open(&victim).unwrap();
    assert_seen(&run, &[Kind::Mtime], || {
        touch().set_modified(SystemTime::UNIX_EPOCH).unwrap()
    });
    restore_times();

    if meta.uid() == 0 {
        assert_seen(&run, &[Kind::Owner], || {
            std::os::unix::fs::chown(&victim, Some(1), None).unwrap()
        });
        std::os::unix::fs::chown(&victim, Some(0), None).unwrap();
    }

    let second = root.join(&run.log.writers[&2].hello.dir).join("second");
    assert_seen(&run, &[Kind::Unknown, Kind::Links], || {
        fs::hard_link(&victim, &second).unwrap()
    });
    fs::remove_file(second).unwrap();

    assert_seen(&run, &[Kind::Unknown], || {
        fs::write(root.join("stranger"), "x").unwrap()
    });
    fs::remove_file(root.join("stranger")).unwrap();

    let here: Vec<PathBuf> = run
        .scratch
        .manifest()
        .entries
        .keys()
        .map(|path| root.join(baton_guest::text::decode(path)))
        .collect();
    let gone = run.log.writers[&0]
        .acked
        .iter()
        .find_map(|acked| match &acked.op {
            Op::Unlink { path, .. } => Some(root.join(path)),
            _ => None,
        });
    let gone = gone.unwrap();
    assert!(!here.contains(&gone));
    if gone.parent().unwrap().exists() {
        assert_seen(&run, &[Kind::Resurrected], || {
            fs::write(&gone, "old").unwrap()
        });
        fs::remove_file(gone).unwrap();
    }

    // Same bytes, mode, owner and modification time, but a new file: only the
    // change time may tell, and by default that is not a loss.
    let other = victim.with_file_name("other");
    fs::write(&other, content).unwrap();
    fs::rename(other, &victim).unwrap();
    mode(meta.mode());
    restore_times();
    let report = check(&run.log, &run.scratch.manifest(), &Options::default());
    let only_parent = report.losses.iter().all(|loss| loss.what == Kind::Mtime);
    assert!(only_parent && report.extras.is_empty(), "{report}");
    assert!(
        report.ctime_differs > 0 && report.inode_differs > 0,
        "{report:?}"
    );

    assert_seen(&run, &[Kind::Missing], || fs::remove_file(&victim).unwrap());
}
