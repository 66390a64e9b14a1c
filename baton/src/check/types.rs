//! The running kernel's type information: what the migrator reads it by.

use super::Point;
use crate::device::Device;
use crate::{btf, describe, iomem};
use anyhow::Result;
use handoff_abi::ioctl::InfoArgs;
use std::path::Path;

const TOPIC: &str = "BTF";

/// Whether this kernel's structures are known: by its descriptor if the module is loaded, which
/// compares it with the headers the module was built with, else by its BTF alone.
pub fn descriptor(sys: &Path, module: Option<(&Device, &InfoArgs)>) -> Point {
    let vmlinux = match std::fs::read(sys.join("kernel/btf/vmlinux")) {
        Ok(bytes) => bytes,
        Err(error) => {
            return Point::fail(
                TOPIC,
                format!("the running kernel does not describe its structures ({error})"),
                "it must be built with CONFIG_DEBUG_INFO_BTF; boot such a kernel once",
            )
        }
    };
    let (result, how) = match module {
        Some((device, info)) => (
            full(device, info),
            "this kernel's structures are known and are those of baton.ko",
        ),
        None => (
            btf::resolve(&vmlinux, &[]).map(drop),
            "this kernel's structures are known",
        ),
    };
    match result {
        Ok(()) => Point::ok(TOPIC, how),
        Err(error) => Point::fail(
            TOPIC,
            format!("{error:#}"),
            "this version cannot migrate from this kernel; boot another once",
        ),
    }
}

fn full(device: &Device, info: &InfoArgs) -> Result<()> {
    let memory = iomem::parse(&std::fs::read_to_string("/proc/iomem")?)?;
    describe::descriptor(device, info, &memory, 1).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::Tree;
    use crate::check::Verdict;

    #[test]
    fn btf_must_be_there_and_be_btf() {
        let tree = Tree::new();
        let none = descriptor(tree.path(), None);
        assert_eq!(none.verdict, Verdict::Fail);
        assert!(none.found.contains("does not describe"));
        tree.bytes("kernel/btf/vmlinux", &[1, 2, 3]);
        assert_eq!(descriptor(tree.path(), None).verdict, Verdict::Fail);
    }
}
