//! The kernel to be booted: its image, its drivers, its `baton.ko`.

use super::{Options, Point};
use crate::modules::{self, Tree, Wanted};
use crate::network::Roots;
use crate::system::{Backing, Source, SystemSnapshot};
use crate::{bzimage, module_file};
use std::path::Path;

const TOPIC: &str = "new kernel";

/// Everything about the kernel that `options` names.
pub fn points(options: &Options, roots: &Roots, lib: &Path) -> Vec<Point> {
    let Some(path) = &options.kernel else {
        return vec![Point::ok(
            TOPIC,
            "not looked at; name it with --kernel to have its drivers checked",
        )];
    };
    let release = match release_of(path) {
        Ok(release) => release,
        Err(error) => {
            return vec![Point::fail(
                TOPIC,
                format!("{}: {error:#}", path.display()),
                "name a bzImage, such as /boot/vmlinuz-RELEASE",
            )]
        }
    };
    let types = types(roots);
    vec![
        Point::ok(TOPIC, release.clone()),
        drivers(&roots.sys, &lib.join(&release), &types),
        module(lib, &release, options.module.as_deref()),
    ]
}

fn release_of(path: &Path) -> anyhow::Result<String> {
    let bytes = std::fs::read(path)?;
    Ok(bzimage::parse(&bytes)?.release)
}

/// Types of the file systems on disks; none if the mounts cannot be read.
pub fn types(roots: &Roots) -> Vec<String> {
    let Ok(system) = SystemSnapshot::take_from(roots) else {
        return Vec::new();
    };
    let on_disk = system
        .mounts
        .iter()
        .filter(|mount| matches!(mount.backing, Source::Device(Backing::Disk(_))));
    let mut types: Vec<String> = on_disk.map(|mount| mount.fs_type.clone()).collect();
    types.sort();
    types.dedup();
    types
}

/// Whether the module tree `root` has a driver for every disk, network card and file system.
fn drivers(sys: &Path, root: &Path, types: &[String]) -> Point {
    const TOPIC: &str = "drivers";
    let tree = match Tree::open(root) {
        Ok(tree) => tree,
        Err(error) => {
            return Point::fail(
                TOPIC,
                format!("{error:#}"),
                "install the new kernel's package completely",
            )
        }
    };
    let wanted = Wanted {
        sysfs: sys,
        file_systems: types,
        extra: &[],
    };
    match modules::needed_modules(&wanted, &tree) {
        Ok(needed) if needed.missing.is_empty() => Point::ok(
            TOPIC,
            format!("the new kernel has all; {} modules", needed.files.len()),
        ),
        Ok(needed) => {
            let list: Vec<String> = needed
                .missing
                .iter()
                .map(|missing| match &missing.driver {
                    Some(driver) => format!("{} ({driver} now)", missing.what),
                    None => missing.what.clone(),
                })
                .collect();
            Point::fail(
                TOPIC,
                format!("the new kernel has none for {}", list.join(", ")),
                "install the package with the kernel's further modules, or choose another kernel",
            )
        }
        Err(error) => Point::unknown(TOPIC, &error),
    }
}

/// Whether there is a `baton.ko` for the kernel `release`, and it is for that very one.
pub fn module(lib: &Path, release: &str, given: Option<&Path>) -> Point {
    const TOPIC: &str = "module";
    let root = lib.join(release);
    let advice = format!("build it: dkms autoinstall -k {release}");
    let found = given
        .map(Path::to_owned)
        .or_else(|| module_file::find(&root));
    let Some(path) = found else {
        return Point::fail(
            TOPIC,
            format!("there is no baton.ko for {release} in {}", root.display()),
            advice,
        );
    };
    match modules::read(&path) {
        Ok(bytes) if is_for(&bytes, release) => match abi_of(&bytes) {
            Some(handoff_abi::ABI_VERSION) => Point::ok(TOPIC, path.display().to_string()),
            other => Point::fail(
                TOPIC,
                format!(
                    "{} speaks {} of the handoff ABI, this command version {}",
                    path.display(),
                    other.map_or("no known version".to_owned(), |abi| format!(
                        "version {abi}"
                    )),
                    handoff_abi::ABI_VERSION
                ),
                format!("install both from one build: dkms autoinstall -k {release}"),
            ),
        },
        Ok(_) => Point::fail(
            TOPIC,
            format!("{} is not for {release}", path.display()),
            advice,
        ),
        Err(error) => Point::fail(TOPIC, format!("{error:#}"), advice),
    }
}

/// The kernel refuses a module whose `vermagic` does not begin with its release.
fn is_for(module: &[u8], release: &str) -> bool {
    let wanted = format!("vermagic={release} ");
    module
        .windows(wanted.len())
        .any(|window| window == wanted.as_bytes())
}

/// The version that the module's `modinfo` gives (`MODULE_INFO` in `kernel-glue/main.c`): an
/// integer as C writes it.
fn abi_of(module: &[u8]) -> Option<u32> {
    const KEY: &[u8] = b"\0baton_abi=";
    let at = module.windows(KEY.len()).position(|window| window == KEY)?;
    let text = module
        .get(at + KEY.len()..)?
        .split(|&byte| byte == 0)
        .next()?;
    std::str::from_utf8(text)
        .ok()?
        .trim_end_matches('u')
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::Tree as Fake;
    use crate::check::Verdict;

    fn lib() -> Fake {
        let lib = Fake::new();
        lib.file("6.1/modules.dep", "kernel/fs/ext4.ko:\n");
        lib.file("6.1/kernel/fs/ext4.ko", "");
        lib
    }

    #[test]
    fn drivers_are_looked_for() {
        let (lib, sys) = (lib(), Fake::new());
        sys.file("class/block/x", "");
        let find = |release: &str, fs: &str| {
            drivers(sys.path(), &lib.path().join(release), &[fs.to_owned()])
        };
        assert_eq!(find("6.1", "ext4").verdict, Verdict::Ok);
        let xfs = find("6.1", "xfs");
        assert_eq!(xfs.verdict, Verdict::Fail);
        assert!(xfs.found.contains("xfs"));
        assert_eq!(find("6.2", "ext4").verdict, Verdict::Fail);
    }

    #[test]
    fn the_module_must_be_that_of_the_kernel() {
        let lib = lib();
        let verdict = |release| module(lib.path(), release, None).verdict;
        assert_eq!(verdict("6.1"), Verdict::Fail);
        let build = |abi| format!("\x7fELF\0vermagic=6.1 SMP\0baton_abi={abi}\0");
        let ours = handoff_abi::ABI_VERSION;
        lib.file("6.1/extra/baton.ko", &build(format!("{ours}u")));
        assert_eq!(verdict("6.1"), Verdict::Ok);
        for other in [format!("{}u", ours + 1), String::new(), "x".to_owned()] {
            lib.file("6.1/extra/baton.ko", &build(other));
            assert_eq!(verdict("6.1"), Verdict::Fail);
        }
        lib.file("6.1/extra/baton.ko", "\x7fELF\0vermagic=6.1 SMP\0");
        assert_eq!(
            verdict("6.1"),
            Verdict::Fail,
            "a build before there was a version"
        );
        lib.file("6.1/extra/baton.ko", "\x7fELF\0vermagic=6.12 SMP\0");
        assert_eq!(verdict("6.1"), Verdict::Fail);
    }

    #[test]
    fn without_a_kernel_nothing_is_refused() {
        let options = Options {
            kernel: None,
            module: None,
            memory: 1,
            cpu: None,
        };
        let none = points(&options, &Roots::default(), Path::new("/nowhere"));
        assert!(none.iter().all(|point| point.verdict == Verdict::Ok));
        let missing = Options {
            kernel: Some("/nowhere/vmlinuz".into()),
            ..options
        };
        let points = points(&missing, &Roots::default(), Path::new("/nowhere"));
        assert_eq!(points[0].verdict, Verdict::Fail);
    }
}
