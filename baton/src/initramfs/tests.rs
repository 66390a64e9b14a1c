use std::io::Read;

use cpio::newc::Reader;

use super::*;

struct Entry {
    name: String,
    mode: u32,
    rdev: (u32, u32),
    bytes: Vec<u8>,
}

fn entries(mut archive: &[u8]) -> Vec<Entry> {
    let mut all = Vec::new();
    loop {
        let mut reader = Reader::new(archive).unwrap();
        if reader.entry().is_trailer() {
            return all;
        }
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        let entry = reader.entry();
        all.push(Entry {
            name: entry.name().to_owned(),
            mode: entry.mode(),
            rdev: (entry.rdev_major(), entry.rdev_minor()),
            bytes,
        });
        archive = reader.finish().unwrap();
    }
}

fn module(name: &str) -> Module {
    Module {
        file_name: name.to_owned(),
        bytes: name.as_bytes().to_owned(),
    }
}

fn extra(path: &str) -> ExtraFile {
    ExtraFile {
        path: path.to_owned(),
        mode: 0o640,
        bytes: b"extra".to_vec(),
    }
}

fn contents<'a>(modules: &'a [Module], extra: &'a [ExtraFile]) -> Contents<'a> {
    Contents {
        agent: b"agent",
        modules,
        baton_ko: b"baton",
        extra,
        operators: None,
        gzip: false,
    }
}

#[test]
fn all_parts_are_there_and_parents_precede() {
    let modules = [module("virtio.ko"), module("ext4.ko")];
    let files = [extra("/lib/firmware/card/a.bin")];
    let all = entries(&build(&contents(&modules, &files)).unwrap());
    let find = |name: &str| all.iter().find(|e| e.name == name).unwrap();
    assert_eq!(
        (find("init").mode, &*find("init").bytes),
        (0o100755, &b"agent"[..])
    );
    assert_eq!(
        (find("dev/console").mode, find("dev/console").rdev),
        (0o020600, (5, 1))
    );
    assert_eq!(find("dev/null").rdev, (1, 3));
    for name in [
        "dev",
        "proc",
        "sys",
        "run",
        "root",
        "lib/firmware/card",
        "baton/modules",
    ] {
        assert_eq!(find(name).mode, 0o040755, "{name}");
    }
    assert_eq!(find("lib/firmware/card/a.bin").mode, 0o100640);
    let list = String::from_utf8(find("etc/baton/modules").bytes.clone()).unwrap();
    let listed: Vec<_> = list
        .lines()
        .map(|path| path.trim_start_matches('/'))
        .collect();
    assert_eq!(
        listed,
        [
            "baton/modules/virtio.ko",
            "baton/modules/ext4.ko",
            "baton/modules/baton.ko"
        ]
    );
    for (path, bytes) in listed.iter().zip([&b"virtio.ko"[..], b"ext4.ko", b"baton"]) {
        assert_eq!(find(path).bytes, bytes);
    }
    for (at, entry) in all.iter().enumerate() {
        if let Some((parent, _)) = entry.name.rsplit_once('/') {
            assert!(all[..at].iter().any(|e| e.name == parent), "{}", entry.name);
        }
        assert_eq!(all.iter().filter(|e| e.name == entry.name).count(), 1);
    }
}

#[test]
fn the_operators_archive_comes_first_and_its_links_stay() {
    let files = [extra("/lib/firmware/a.bin")];
    let mut contents = contents(&[], &files);
    contents.operators = Some(b"070701operator");
    let archive = build(&contents).unwrap();
    assert!(archive.starts_with(b"070701operator\x00\x00070701"));
    let all = entries(&archive[16..]);
    assert!(all.iter().all(|e| e.name != "lib"));
    assert!(all.iter().any(|e| e.name == "lib/firmware"));
}

#[test]
fn gzip_holds_the_same() {
    let mut contents = contents(&[], &[]);
    let plain = build(&contents).unwrap();
    contents.gzip = true;
    contents.operators = Some(b"1234");
    let packed = build(&contents).unwrap();
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&packed[4..])
        .read_to_end(&mut unpacked)
        .unwrap();
    assert_eq!(unpacked, plain);
}

#[test]
fn bad_and_double_paths_are_refused() {
    for path in ["relative", "/", "/a//b", "/a/../b", "/a/", ""] {
        let files = [extra(path)];
        let error = build(&contents(&[], &files)).unwrap_err().to_string();
        assert!(error.contains("cannot be a path"), "{path}: {error}");
    }
    let files = [extra("/init")];
    assert!(build(&contents(&[], &files))
        .unwrap_err()
        .to_string()
        .contains("twice"));
    let modules = [module("baton.ko")];
    assert!(build(&contents(&modules, &[]))
        .unwrap_err()
        .to_string()
        .contains("twice"));
    let modules = [module("kernel/a.ko")];
    assert!(build(&contents(&modules, &[])).is_err());
}
