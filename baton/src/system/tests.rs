//! Tests on a fake sysfs, on texts, and in a mount namespace.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use rustix::mount::MountFlags;

use super::identity::device_chain;
use super::mountinfo::{parse, unescape};
use super::options::{mount_flags, super_options};
use super::*;

struct Fake {
    dir: tempfile::TempDir,
}

impl Fake {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for sub in [
            "sys/dev/block",
            "sys/class/block",
            "dev",
            "proc/1",
            "proc/sys/kernel",
        ] {
            fs::create_dir_all(dir.path().join(sub)).unwrap();
        }
        Self { dir }
    }

    fn roots(&self) -> Roots {
        let root = fs::canonicalize(self.dir.path()).unwrap();
        Roots {
            proc: root.join("proc"),
            sys: root.join("sys"),
            dev: root.join("dev"),
        }
    }

    /// A block device: sysfs directory below `devices`, number, and files in the directory.
    fn block(&self, path: &str, number: &str, files: &[(&str, &str)]) {
        let sys = self.roots().sys;
        let directory = sys.join("devices").join(path);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("dev"), format!("{number}\n")).unwrap();
        for (name, text) in files {
            let file = directory.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, format!("{text}\n")).unwrap();
        }
        let name = identity::file_name(&directory);
        symlink(&directory, sys.join("dev/block").join(number)).unwrap();
        symlink(&directory, sys.join("class/block").join(&name)).unwrap();
        fs::write(self.roots().dev.join(name), "").unwrap();
    }

    fn identity(&self, major: u32, minor: u32) -> String {
        match backing_of(&self.roots().sys, major, minor).unwrap() {
            Backing::Disk(identity) => identity.to_string(),
            Backing::Unsupported(kind) => format!("unsupported {kind}"),
        }
    }
}

const VDA: &str = "pci0000:00/0000:00:03.0/virtio1/block/vda";

#[test]
fn places_of_disks() {
    let fake = Fake::new();
    fake.block(VDA, "254:0", &[]);
    fake.block(&format!("{VDA}/vda2"), "254:2", &[("partition", "2")]);
    let sata = "pci0000:00/0000:00:1f.2/ata3";
    fake.block(
        &format!("{sata}/host2/target2:0:0/2:0:0:0/block/sdb"),
        "8:16",
        &[],
    );
    let port = fake
        .roots()
        .sys
        .join("devices")
        .join(sata)
        .join("ata_port/ata3");
    fs::create_dir_all(&port).unwrap();
    fs::write(port.join("port_no"), "2\n").unwrap();
    fake.block(
        "pci0000:00/0000:00:05.0/virtio3/host7/target7:0:1/7:0:1:4/block/sda",
        "8:0",
        &[],
    );
    fake.block(
        "pci0000:00/0000:00:01.0/0000:01:00.0/nvme/nvme3/nvme3n1",
        "259:0",
        &[("nsid", "1")],
    );
    fake.block(
        "pci0000:00/0000:00:01.0/0000:01:00.0/nvme/nvme3/nvme3n1/nvme3n1p4",
        "259:4",
        &[("partition", "4")],
    );
    fake.block(
        "pci0000:00/0000:00:14.0/usb2/2-1/2-1.3/2-1.3:1.0/host9/target9:0:0/9:0:0:0/block/sdc",
        "8:32",
        &[],
    );
    fake.block(
        "pci0000:00/0000:00:1a.0/mmc_host/mmc0/mmc0:0001/block/mmcblk0/mmcblk0boot1",
        "179:8",
        &[],
    );
    fake.block("virtual/block/dm-0", "253:0", &[("dm/uuid", "LVM-abc")]);
    fake.block("virtual/block/loop3", "7:3", &[]);
    fake.block("virtual/block/md0", "9:0", &[]);
    fake.block(
        "platform/host4/session1/target4:0:0/4:0:0:1/block/sdd",
        "8:48",
        &[],
    );
    for (number, expected) in [
        ((254, 0), "0000:00:03.0"),
        ((254, 2), "0000:00:03.0/part:2"),
        ((8, 16), "0000:00:1f.2/ata:2/scsi:0:0:0"),
        ((8, 0), "0000:00:05.0/host:0/scsi:0:1:4"),
        ((259, 0), "0000:00:01.0/0000:01:00.0/nvme:1"),
        ((259, 4), "0000:00:01.0/0000:01:00.0/nvme:1/part:4"),
        (
            (8, 32),
            "0000:00:14.0/usb:1/usb:1.3/if:1.0/host:0/scsi:0:0:0",
        ),
        ((253, 0), "unsupported device-mapper LVM"),
        ((7, 3), "unsupported loop"),
        ((9, 0), "unsupported md"),
        ((8, 48), "unsupported iscsi"),
    ] {
        assert_eq!(fake.identity(number.0, number.1), expected);
    }
    assert!(fake.identity(179, 8).ends_with("hw:boot1"));
    assert!(backing_of(&fake.roots().sys, 1, 1).is_err());
}

#[test]
fn nvme_with_several_controllers_is_found_through_its_subsystem() {
    let fake = Fake::new();
    let sys = fake.roots().sys;
    let subsystem = "virtual/nvme-subsystem/nvme-subsys0";
    fake.block(&format!("{subsystem}/nvme0n2"), "259:0", &[("nsid", "2")]);
    let controller = sys.join("devices/pci0000:00/0000:00:04.0/nvme/nvme0");
    fs::create_dir_all(&controller).unwrap();
    symlink(
        &controller,
        sys.join("devices").join(subsystem).join("nvme0"),
    )
    .unwrap();
    assert_eq!(fake.identity(259, 0), "0000:00:04.0/nvme:2");
}

#[test]
fn a_disk_is_found_under_another_name() {
    let fake = Fake::new();
    fake.block(&format!("{VDA}/vda2"), "254:2", &[("partition", "2")]);
    let Backing::Disk(identity) = backing_of(&fake.roots().sys, 254, 2).unwrap() else {
        panic!("not a disk");
    };
    let next = Fake::new();
    next.block("pci0000:00/0000:00:02.0/virtio0/block/vda", "252:0", &[]);
    let vdb = "pci0000:00/0000:00:03.0/virtio4/block/vdb";
    next.block(vdb, "252:16", &[]);
    assert_eq!(find_block_device(&next.roots().sys, &identity), None);
    next.block(&format!("{vdb}/vdb2"), "252:18", &[("partition", "2")]);
    let found = find_block_device(&next.roots().sys, &identity).unwrap();
    assert_eq!(found.name, "vdb2");
    assert_eq!((found.major, found.minor), (252, 18));
    let deadline = Instant::now() + Duration::from_secs(1);
    let waited = block_device_wait(&identity, &next.roots(), deadline).unwrap();
    assert_eq!(waited, found);
    let absent = DeviceIdentity::from_text("0000:00:1f.0");
    let deadline = Instant::now() + Duration::from_millis(50);
    assert!(block_device_wait(&absent, &next.roots(), deadline).is_err());
}

#[test]
fn places_of_nics_have_no_kernel_numbers() {
    let path = Path::new("/sys/devices/pci0000:00/0000:00:1c.0/0000:02:00.0/virtio9");
    assert_eq!(device_chain(path), ["0000:00:1c.0", "0000:02:00.0"]);
}

const MOUNTINFO: &str = "\
1 1 0:2 / / rw - rootfs rootfs rw
20 1 254:2 / / rw,relatime shared:1 - ext4 /dev/vda2 rw,errors=remount-ro
21 20 0:21 / /proc rw,nosuid shared:12 - proc proc rw
22 20 0:22 / /tmp rw,nosuid,nodev - tmpfs tmpfs rw,size=1024k
23 22 254:2 /srv/with\\040space /tmp/a\\040b ro,noatime - ext4 /dev/vda2 rw,errors=remount-ro
24 20 254:3 / /mnt/inner rw,relatime - xfs /dev/vda3 rw,attr2
25 20 254:3 / /mnt rw,relatime - xfs /dev/vda3 rw,attr2
26 20 0:40 / /nfs rw - nfs4 host:/x rw
27 26 254:2 /y /nfs/y rw - ext4 /dev/vda2 rw
28 20 0:41 /@home /home rw - btrfs /dev/vdb rw,subvolid=256,subvol=/@home,compress=zstd:3
29 20 253:0 / /lvm rw - ext4 /dev/mapper/x rw
30 20 0:42 / /fuse rw - fuse.sshfs host: rw
";

fn sample() -> (Fake, SystemSnapshot) {
    let fake = Fake::new();
    fake.block(VDA, "254:0", &[]);
    fake.block(&format!("{VDA}/vda2"), "254:2", &[("partition", "2")]);
    fake.block(&format!("{VDA}/vda3"), "254:3", &[("partition", "3")]);
    fake.block("pci0000:00/0000:00:07.0/virtio2/block/vdb", "254:16", &[]);
    fake.block("virtual/block/dm-0", "253:0", &[("dm/uuid", "LVM-abc")]);
    let proc = fake.roots().proc;
    fs::write(proc.join("1/mountinfo"), MOUNTINFO).unwrap();
    let swaps =
        "Filename\tType\tSize\tUsed\tPriority\n/dev/vda3 partition 9 0 -2\n/swap file 9 0 5\n";
    fs::write(proc.join("swaps"), swaps).unwrap();
    for (name, text) in [
        ("hostname", "box"),
        ("domainname", "(none)"),
        ("osrelease", "6.1"),
    ] {
        fs::write(proc.join("sys/kernel").join(name), format!("{text}\n")).unwrap();
    }
    let snapshot = SystemSnapshot::take_from(&fake.roots()).unwrap();
    (fake, snapshot)
}

#[test]
fn a_snapshot_knows_what_is_behind_each_mount() {
    let (fake, snapshot) = sample();
    assert_eq!(snapshot.hostname, "box");
    assert_eq!(snapshot.root().unwrap().id, 20);
    let backing = |id: u32| &snapshot.mounts.iter().find(|m| m.id == id).unwrap().backing;
    let disk = |text: &str| Source::Device(Backing::Disk(DeviceIdentity::from_text(text)));
    assert_eq!(backing(20), &disk("0000:00:03.0/part:2"));
    assert_eq!(backing(28), &disk("0000:00:07.0"), "btrfs by its source");
    assert_eq!(backing(21), &Source::Kernel);
    assert_eq!(backing(22), &Source::Memory);
    let lvm = Backing::Unsupported("device-mapper LVM".to_owned());
    assert_eq!(backing(29), &Source::Device(lvm));
    let network = Source::Unsupported("network file system nfs4".to_owned());
    assert_eq!(backing(26), &network);
    assert_eq!(backing(30), &Source::Unsupported("fuse.sshfs".to_owned()));
    assert_eq!(snapshot.disks().len(), 3);
    assert_eq!(snapshot.swaps.len(), 2);
    assert_eq!(snapshot.swaps[0].priority, -2);
    let swap = Backing::Disk(DeviceIdentity::from_text("0000:00:03.0/part:3"));
    assert_eq!(snapshot.swaps[0].backing, Some(swap));
    assert_eq!(snapshot.swaps[1].backing, None);
    let bytes = snapshot.to_bytes().unwrap();
    assert_eq!(SystemSnapshot::from_bytes(&bytes).unwrap(), snapshot);
    snapshot.restore_names(&fake.roots()).unwrap();
    let name = fs::read_to_string(fake.roots().proc.join("sys/kernel/hostname"));
    assert_eq!(name.unwrap(), "box");
}

#[test]
fn a_plan_mounts_parents_first_and_hidden_mounts_before_what_hides_them() {
    let (_fake, snapshot) = sample();
    let plan = mount_plan(&snapshot);
    let position = |id: u32| plan.iter().position(|item| item.mount.id == id).unwrap();
    assert_eq!(plan.len(), 11, "all but the initial root");
    assert_eq!(position(20), 0);
    assert!(position(22) < position(23));
    assert!(position(24) < position(25), "/mnt hides /mnt/inner");
    let class = |id: u32| &plan[position(id)].class;
    assert_eq!(class(20), &Class::Root);
    assert_eq!(class(23), &Class::Disk);
    assert_eq!(class(21), &Class::Kernel);
    assert!(plan[position(21)].by_init && !plan[position(22)].by_init);
    assert_eq!(class(22), &Class::Memory);
    let below = Class::Unsupported("/nfs below it is unsupported".to_owned());
    assert_eq!(class(27), &below);
    assert_eq!(plan[position(23)].mount.mount_point, "/tmp/a b");
    assert_eq!(plan[position(23)].mount.root, "/srv/with space");
}

#[test]
fn mountinfo_that_is_malformed_is_refused() {
    assert_eq!(unescape("a\\040b\\134\\011"), "a b\\\t");
    assert_eq!(unescape("tail\\04"), "tail\\04");
    for line in ["1 2 3", "1 2 8:1 / / rw", "x 2 8:1 / / rw - ext4 a rw"] {
        assert!(parse(line, |_| Source::Kernel).is_err(), "{line}");
    }
}

#[test]
fn options_become_flags_and_data() {
    let flags = mount_flags("ro,nosuid,nodev,noexec,noatime,nodiratime");
    let expected = MountFlags::RDONLY
        | MountFlags::NOSUID
        | MountFlags::NODEV
        | MountFlags::NOEXEC
        | MountFlags::NOATIME
        | MountFlags::NODIRATIME;
    assert_eq!(flags, expected);
    assert_eq!(mount_flags("rw,relatime"), MountFlags::RELATIME);
    assert_eq!(mount_flags("rw"), MountFlags::STRICTATIME);
    let texts = |fs_type: &str, options: &str| -> Vec<String> {
        let all = super_options(fs_type, options);
        all.iter().map(options::SuperOption::text).collect()
    };
    assert_eq!(
        texts("ext4", "rw,seclabel,sync,errors=remount-ro"),
        ["sync", "errors=remount-ro"]
    );
    assert_eq!(
        texts("btrfs", "rw,ssd,subvolid=256,subvol=/@"),
        ["ssd", "subvolid=5"]
    );
    assert_eq!(texts("tmpfs", "ro,size=4k"), ["ro", "size=4k"]);
}

/// A tmpfs stands for the disk of a plan: one superblock, its root and a directory of it shown at
/// two places, a refused option.
#[test]
#[allow(
    deprecated,
    reason = "a thread of its own shares no memory that this could confuse"
)]
fn mounts_are_made_in_a_namespace() {
    let body = || {
        use rustix::mount::{mount_change, MountPropagationFlags};
        use rustix::thread::{unshare, UnshareFlags};
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        if unshare(UnshareFlags::NEWNS | UnshareFlags::FS).is_err()
            || mount_change("/", private).is_err()
        {
            eprintln!("SKIPPED: no permission to make a mount namespace");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let (root, staging) = (dir.path().join("root"), dir.path().join("staging"));
        fs::create_dir(&root).unwrap();
        fs::create_dir(&staging).unwrap();
        let text = "\
20 1 0:50 / / rw,relatime - tmpfs one rw,size=64k,no_such_option=1
21 20 0:51 / /data rw,nosuid,noatime - tmpfs two rw,size=32k,mode=700
22 20 0:50 /data /again ro,nodev - tmpfs one rw,size=64k
23 20 0:52 / /nfs rw - nfs4 host:/ rw
";
        let mounts = parse(text, |mount| match mount.fs_type.as_str() {
            "tmpfs" => Source::Memory,
            other => Source::Unsupported(other.to_owned()),
        });
        let snapshot = SystemSnapshot {
            mounts: mounts.unwrap(),
            ..sample().1
        };
        let mut plan = mount_plan(&snapshot);
        for item in &mut plan {
            // As if it were a disk, of which parts may be shown.
            if item.mount.id == 22 {
                item.class = Class::Disk;
            }
        }
        let outcomes = perform(&plan, &root, &staging, &Roots::default());
        let at = |point: &str| outcomes.iter().find(|o| o.mount_point == point).unwrap();
        assert!(at("/").result.is_ok(), "{:?}", at("/").result);
        assert_eq!(at("/").refused_options.len(), 1);
        assert!(at("/").refused_options[0].contains("no_such_option"));
        assert!(at("/data").result.is_ok(), "{:?}", at("/data").result);
        let again = &at("/again").result;
        assert!(again.is_ok(), "{again:?}");
        assert!(at("/nfs").result.is_err());
        let now = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        let now = parse(&now, |_| Source::Memory).unwrap();
        let found = |point: &str| {
            let path = format!("{}{point}", root.display());
            now.iter().find(|mount| mount.mount_point == path).unwrap()
        };
        assert_eq!(found("").options, "rw,relatime");
        assert_eq!(found("/data").options, "rw,nosuid,noatime");
        assert_eq!(found("/again").options, "ro,nodev");
        assert_eq!(found("/again").root, "/data");
        assert_eq!(found("/again").device, found("").device);
        assert!(found("/data").super_options.contains("size=32k"));
        let staging = staging.display().to_string();
        assert!(now.iter().all(|mount| mount.mount_point != staging));
        share(&plan, &root).unwrap();
    };
    std::thread::spawn(body).join().unwrap();
}
