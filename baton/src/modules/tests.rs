use std::fs;
use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

const ELF: &[u8] = b"\x7fELF\x02\x01\x01";

fn write(root: &Path, path: &str, content: &[u8]) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn directory(files: &[(&str, &str)]) -> TempDir {
    let dir = TempDir::new().unwrap();
    for (path, content) in files {
        write(dir.path(), path, content.as_bytes());
    }
    dir
}

/// A module directory like that of a cloud kernel.
fn module_directory() -> TempDir {
    directory(&[
        (
            "modules.dep",
            "kernel/virtio_ring.ko:\n\
             kernel/virtio.ko: kernel/virtio_ring.ko\n\
             kernel/virtio_blk.ko.xz: kernel/virtio.ko kernel/virtio_ring.ko\n\
             kernel/net_failover.ko: kernel/failover.ko\n\
             kernel/failover.ko:\n\
             kernel/virtio_net.ko: kernel/net_failover.ko kernel/failover.ko kernel/virtio.ko \
             kernel/virtio_ring.ko\n\
             kernel/sd_mod.ko: kernel/scsi_mod.ko\n\
             kernel/scsi_mod.ko:\n\
             kernel/virtio_scsi.ko: kernel/scsi_mod.ko kernel/virtio.ko kernel/virtio_ring.ko\n\
             kernel/xfs.ko: kernel/libcrc32c.ko\n\
             kernel/libcrc32c.ko:\n\
             kernel/crc32c-intel.ko:\n\
             kernel/hot-swap.ko:\n\
             kernel/a.ko:\n\
             kernel/b.ko:\n\
             kernel/nls_ascii.ko:\n\
             kernel/vfat.ko:\n\
             kernel/shpchp.ko:\n",
        ),
        (
            "modules.alias",
            "# Aliases extracted from modules themselves.\n\
             alias virtio:d00000002v* virtio_blk\n\
             alias virtio:d00000001v* virtio_net\n\
             alias virtio:d00000008v* virtio_scsi\n\
             alias scsi:t-0x00* sd_mod\n\
             alias pci:v*d*sv*sd*bc06sc04i00* shpchp\n\
             alias fs-xfs xfs\n\
             alias fs-vfat vfat\n\
             alias crc32c crc32c_intel\n\
             alias usb:v0001d[0-4]**dc* hot_swap\n\
             alias of:N*T*C* a\n",
        ),
        (
            "modules.builtin",
            "kernel/virtio_pci.ko\nkernel/ext4.ko\nkernel/crc32c_generic.ko\nkernel/nvme.ko\n",
        ),
        (
            "modules.builtin.modinfo",
            "ext4.alias=fs-ext4\0ext4.softdep=pre: crc32c\0crc32c_generic.alias=crc32c\0\
             ext4.license=GPL\0",
        ),
        (
            "modules.softdep",
            "# Soft dependencies\n\
             softdep libcrc32c pre: crc32c\n\
             softdep xfs gcm ccm\n\
             softdep a pre: b nowhere post: hot-swap\n\
             softdep b pre: a\n",
        ),
    ])
}

fn names(resolution: Resolution) -> Vec<String> {
    match resolution {
        Resolution::Files(files) => files.iter().map(|f| file_name(f)).collect(),
        other => vec![format!("{other:?}")],
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn dependencies_come_first_and_once() {
    let dir = module_directory();
    let tree = Tree::open(dir.path()).unwrap();
    assert_eq!(
        names(tree.by_name("virtio_net")),
        [
            "virtio_ring.ko",
            "virtio.ko",
            "failover.ko",
            "net_failover.ko",
            "virtio_net.ko"
        ]
    );
    assert_eq!(
        names(tree.by_modalias("virtio:d00000002v00001AF4")),
        ["virtio_ring.ko", "virtio.ko", "virtio_blk.ko.xz"]
    );
    let Resolution::Files(files) = tree.by_name("virtio-ring") else {
        panic!("no files");
    };
    assert_eq!(files, [dir.path().join("kernel/virtio_ring.ko")]);
}

#[test]
fn soft_dependencies_are_wishes_and_may_be_circular() {
    let dir = module_directory();
    let tree = Tree::open(dir.path()).unwrap();
    assert_eq!(
        names(tree.by_name("xfs")),
        ["crc32c-intel.ko", "libcrc32c.ko", "xfs.ko"]
    );
    assert_eq!(names(tree.by_name("a")), ["b.ko", "a.ko", "hot-swap.ko"]);
    assert_eq!(names(tree.by_name("b")), ["a.ko", "hot-swap.ko", "b.ko"]);
    // Built in itself, its wish is a file.
    assert_eq!(names(tree.by_name("fs-ext4")), ["crc32c-intel.ko"]);
}

#[test]
fn built_in_and_missing_are_told_apart() {
    let dir = module_directory();
    let tree = Tree::open(dir.path()).unwrap();
    assert_eq!(tree.by_name("virtio-pci"), Resolution::BuiltIn);
    assert_eq!(tree.by_name("btrfs"), Resolution::Missing);
    assert_eq!(
        tree.by_modalias("virtio:d00000099v00001AF4"),
        Resolution::Missing
    );
}

#[test]
fn patterns_match_as_fnmatch_does() {
    let dir = module_directory();
    let tree = Tree::open(dir.path()).unwrap();
    assert_eq!(
        names(tree.by_modalias("usb:v0001d2xydc00")),
        ["hot-swap.ko"]
    );
    assert_eq!(tree.by_modalias("usb:v0001d5xydc00"), Resolution::Missing);
    assert_eq!(tree.by_modalias("scsi:t-0x0"), Resolution::Missing);
    assert_eq!(
        names(tree.by_modalias("of:Na/bT(null)Cx,y")),
        names(tree.by_name("a"))
    );
}

#[test]
fn a_directory_without_indices_is_an_error_with_advice() {
    let dir = TempDir::new().unwrap();
    let error = format!("{:#}", Tree::open(dir.path()).unwrap_err());
    assert!(
        error.contains("modules.dep") && error.contains("depmod"),
        "{error}"
    );
    let dir = directory(&[("modules.dep", "kernel/a.ko:\n")]);
    assert_eq!(
        names(Tree::open(dir.path()).unwrap().by_name("a")),
        ["a.ko"]
    );
}

#[test]
fn modules_are_read_whatever_they_are_compressed_with() {
    let module: Vec<u8> = [ELF, &b"module ".repeat(40)].concat();
    let xz = "fd377a585a0000016922de360200210110000000a8708e86e0011e00155d003f914584683d89b5ed56\
              0171ef636f004edafe00000000000096a7bc5d00012d9f020000007fba38813e300d8b02000000000\
              1595a";
    let zst = "28b52ffd641f00ad0000707f454c460201016d6f64756c652001000e528b122f73d00d";
    let unhex = |text: &str| -> Vec<u8> {
        let text: String = text.split_whitespace().collect();
        let pairs = (0..text.len()).step_by(2);
        pairs
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect()
    };
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gz, &module).unwrap();
    let files = [module.clone(), unhex(xz), unhex(zst), gz.finish().unwrap()];
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("m.ko");
    for file in &files {
        fs::write(&path, file).unwrap();
        assert_eq!(read(&path).unwrap(), module);
    }
    for file in &files[1..] {
        fs::write(&path, &file[..file.len() / 2]).unwrap();
        let error = format!("{:#}", read(&path).unwrap_err());
        assert!(error.contains("m.ko"), "{error}");
    }
    fs::write(&path, "text").unwrap();
    assert!(format!("{:#}", read(&path).unwrap_err()).contains("neither"));
    assert!(read(&dir.path().join("none.ko")).is_err());
}

/// A device of the fake sysfs.
fn device(sys: &Path, path: &str, modalias: &str, driver: Option<(&str, Option<&str>)>) {
    let dir = sys.join("devices").join(path);
    fs::create_dir_all(&dir).unwrap();
    if !modalias.is_empty() {
        fs::write(dir.join("modalias"), format!("{modalias}\n")).unwrap();
    }
    if let Some((driver, module)) = driver {
        let driver_dir = sys.join("bus/any/drivers").join(driver);
        fs::create_dir_all(&driver_dir).unwrap();
        symlink(&driver_dir, dir.join("driver")).unwrap();
        if let Some(module) = module {
            let module_dir = sys.join("module").join(module);
            fs::create_dir_all(&module_dir).unwrap();
            if !driver_dir.join("module").exists() {
                symlink(&module_dir, driver_dir.join("module")).unwrap();
            }
        }
    }
}

/// A disk or network card `name` of `class` that hangs on the device `path`.
fn attach(sys: &Path, class: &str, name: &str, path: &str) {
    let dir = sys.join("devices").join(path).join(class).join(name);
    fs::create_dir_all(&dir).unwrap();
    symlink(sys.join("devices").join(path), dir.join("device")).unwrap();
    let class = sys.join("class").join(class);
    fs::create_dir_all(&class).unwrap();
    symlink(dir, class.join(name)).unwrap();
}

fn needed(sys: &Path, tree: &Tree, file_systems: &[&str], extra: &[&str]) -> Needed {
    let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    let (file_systems, extra) = (own(file_systems), own(extra));
    let wanted = Wanted {
        sysfs: sys,
        file_systems: &file_systems,
        extra: &extra,
    };
    needed_modules(&wanted, tree).unwrap()
}

fn file_names(needed: &Needed) -> Vec<String> {
    needed.files.iter().map(|f| file_name(f)).collect()
}

const BRIDGE: &str = "pci0000:00/0000:00:01.0";

/// A machine with virtio disk and network card behind a PCI bridge.
fn machine() -> TempDir {
    let dir = TempDir::new().unwrap();
    let sys = dir.path();
    let pci = |n: u32| format!("{BRIDGE}/0000:01:0{n}.0");
    device(
        sys,
        BRIDGE,
        "pci:v1d1sv1sd1bc06sc04i00",
        Some(("pcieport", None)),
    );
    write(sys, &format!("devices/{BRIDGE}/class"), b"0x060400\n");
    let virtio_pci = Some(("virtio-pci", Some("virtio_pci")));
    for (n, kind, driver) in [(2, 2, "virtio_blk"), (3, 1, "virtio_net")] {
        device(
            sys,
            &pci(n),
            "pci:v00001AF4d00001042sv1sd1bc01sc00i00",
            virtio_pci,
        );
        let virtio = format!("{}/virtio{n}", pci(n));
        let modalias = format!("virtio:d0000000{kind}v00001AF4");
        device(sys, &virtio, &modalias, Some((driver, Some(driver))));
    }
    attach(sys, "block", "vda", &format!("{}/virtio2", pci(2)));
    attach(sys, "net", "eth0", &format!("{}/virtio3", pci(3)));
    fs::create_dir_all(sys.join("class/block/loop0")).unwrap();
    fs::create_dir_all(sys.join("class/net/lo")).unwrap();
    dir
}

#[test]
fn a_virtio_machine_gets_its_drivers() {
    let (modules, sys) = (module_directory(), machine());
    let tree = Tree::open(modules.path()).unwrap();
    let needed = needed(sys.path(), &tree, &["xfs", "ext4"], &["hot-swap"]);
    assert_eq!(needed.missing, []);
    assert_eq!(
        file_names(&needed),
        [
            "virtio_ring.ko",
            "virtio.ko",
            "virtio_blk.ko.xz",
            "failover.ko",
            "net_failover.ko",
            "virtio_net.ko",
            "crc32c-intel.ko",
            "libcrc32c.ko",
            "xfs.ko",
            "hot-swap.ko",
        ]
    );
}

#[test]
fn scsi_disks_and_multipath_nvme_are_followed_to_their_controllers() {
    let (modules, dir) = (module_directory(), TempDir::new().unwrap());
    let sys = dir.path();
    let virtio = "pci0000:00/0000:00:02.0/virtio0";
    let disk = format!("{virtio}/host0/target0:0:0/0:0:0:0");
    device(
        sys,
        virtio,
        "virtio:d00000008v00001AF4",
        Some(("virtio_scsi", None)),
    );
    device(sys, &disk, "scsi:t-0x00", Some(("sd", None)));
    attach(sys, "block", "sda", &disk);
    let optical = format!("{virtio}/host0/target0:0:1/0:0:1:0");
    device(sys, &optical, "scsi:t-0x05", Some(("sr", None)));
    attach(sys, "block", "sr0", &optical);
    device(
        sys,
        "pci0000:00/0000:00:03.0",
        "pci:v8086d1",
        Some(("nvme", None)),
    );
    attach(sys, "nvme", "nvme0", "pci0000:00/0000:00:03.0");
    device(sys, "virtual/nvme-subsystem/nvme-subsys0", "", None);
    attach(
        sys,
        "block",
        "nvme0n1",
        "virtual/nvme-subsystem/nvme-subsys0",
    );
    let tree = Tree::open(modules.path()).unwrap();
    let needed = needed(sys, &tree, &["vfat"], &[]);
    assert_eq!(needed.missing, []);
    assert_eq!(
        file_names(&needed),
        [
            "virtio_ring.ko",
            "virtio.ko",
            "scsi_mod.ko",
            "virtio_scsi.ko",
            "sd_mod.ko",
            "vfat.ko",
            "nls_ascii.ko",
        ]
    );
}

#[test]
fn a_device_without_a_driver_in_the_new_kernel_is_named() {
    let (modules, sys) = (module_directory(), machine());
    let ixgbe = Some(("ixgbe", Some("ixgbe")));
    device(
        sys.path(),
        "pci0000:00/0000:00:05.0",
        "pci:v00008086d000010FB",
        ixgbe,
    );
    attach(sys.path(), "net", "eth1", "pci0000:00/0000:00:05.0");
    device(
        sys.path(),
        "pci0000:00/0000:00:06.0",
        "pci:v00001111d00002222",
        None,
    );
    attach(sys.path(), "net", "eth2", "pci0000:00/0000:00:06.0");
    let tree = Tree::open(modules.path()).unwrap();
    let needed = needed(sys.path(), &tree, &["btrfs"], &["nothing"]);
    let texts: Vec<_> = needed.missing.iter().map(Missing::to_string).collect();
    assert_eq!(texts.len(), 3, "{texts:?}");
    for part in ["0000:00:05.0", "run by ixgbe now", "pci:v00008086d000010FB"] {
        assert!(texts[0].contains(part), "{texts:?}");
    }
    assert!(texts[1].contains("file system btrfs"));
    assert!(texts[2].contains("module nothing"));
}

/// The machine the test runs on against the module directories that `BATON_TEST_MODULES` names,
/// separated by colons.
#[test]
fn real_module_directories_are_read() {
    let Ok(paths) = std::env::var("BATON_TEST_MODULES") else {
        eprintln!("SKIPPED: BATON_TEST_MODULES is not set");
        return;
    };
    for path in paths.split(':') {
        let tree = Tree::open(Path::new(path)).unwrap();
        let needed = needed(
            Path::new("/sys"),
            &tree,
            &["ext4", "xfs", "vfat"],
            &["virtio_net", "virtio_pci", "sd_mod", "nvme"],
        );
        println!("{path}: {:?}", file_names(&needed));
        for missing in &needed.missing {
            println!("  {missing}");
        }
        for file in &needed.files {
            assert!(read(file).unwrap().starts_with(ELF), "{}", file.display());
        }
    }
}
