//! The steps. To add one, add its line to [`all`].

/// One step.
pub struct Step {
    /// What `--only` takes.
    pub name: &'static str,
    /// What it is about.
    pub what: &'static str,
    /// What it does.
    pub work: Work,
}

/// What a step does.
pub enum Work {
    /// Cargo, with arguments and environment, in a folder of the workspace.
    Cargo {
        folder: &'static str,
        arguments: &'static [&'static str],
        environment: &'static [(&'static str, &'static str)],
    },
    /// The committed header is that of the ABI.
    Header,
    /// `baton.ko` builds without warnings.
    Module { kernel: &'static str },
    /// The oracle judges a real machine rightly, without any update.
    Oracle { kernel: &'static str },
    /// What is refused before another kernel is started.
    Faults {
        from: &'static str,
        to: &'static str,
    },
    /// The migrator reads the memory of stopped kernels rightly.
    Images,
    /// An update, with the migration or, as a control, without.
    Handover {
        from: &'static str,
        to: &'static str,
        control: bool,
    },
}

/// The staticlib of the module: a workspace of its own.
const FFI: &str = "kernel-glue/ffi";

/// Every step, in order.
pub fn all() -> Vec<Step> {
    let step = |name, what, work| Step { name, what, work };
    let cargo = |folder, arguments| Work::Cargo {
        folder,
        arguments,
        environment: &[],
    };
    let handover = |from, to, control| Work::Handover { from, to, control };
    vec![
        step(
            "fmt",
            "the form of the sources",
            cargo("", &["fmt", "--all", "--check"]),
        ),
        step(
            "fmt-ffi",
            "the form of the module's Rust",
            cargo(FFI, &["fmt", "--check"]),
        ),
        step(
            "header",
            "kernel-glue/handoff.h is that of handoff-abi",
            Work::Header,
        ),
        step(
            "clippy",
            "lints, in all targets",
            cargo(
                "",
                &[
                    "clippy",
                    "--workspace",
                    "--all-targets",
                    "--",
                    "-D",
                    "warnings",
                ],
            ),
        ),
        step(
            "clippy-ffi",
            "lints of the module's Rust",
            cargo(FFI, &["clippy", "--all-targets", "--", "-D", "warnings"]),
        ),
        step(
            "doc",
            "the documentation builds, and its links lead somewhere",
            Work::Cargo {
                folder: "",
                arguments: &["doc", "--workspace", "--no-deps"],
                environment: &[("RUSTDOCFLAGS", "-D warnings")],
            },
        ),
        step(
            "unit",
            "the tests that need no machine",
            cargo("", &["test", "--workspace"]),
        ),
        step(
            "unit-ffi",
            "the same of the module's Rust",
            cargo(FFI, &["test"]),
        ),
        step(
            "module-5.10",
            "baton.ko for 5.10",
            Work::Module { kernel: "5.10" },
        ),
        step(
            "module-6.1",
            "baton.ko for 6.1",
            Work::Module { kernel: "6.1" },
        ),
        step(
            "module-6.12",
            "baton.ko for 6.12",
            Work::Module { kernel: "6.12" },
        ),
        step(
            "module-7.3",
            "baton.ko for 7.3",
            Work::Module { kernel: "7.3" },
        ),
        step(
            "oracle",
            "the oracle finds a live machine intact and a power cut's losses",
            Work::Oracle { kernel: "6.1" },
        ),
        step(
            "faults",
            "bad input is refused by name, and the machine goes on",
            Work::Faults {
                from: "6.1",
                to: "7.3",
            },
        ),
        step(
            "images",
            "the migrator over real memory of 5.10, 6.1, 6.12 and 7.3",
            Work::Images,
        ),
        step(
            "handover-6.1-7.3",
            "a working machine goes from 6.1 to 7.3",
            handover("6.1", "7.3", false),
        ),
        step(
            "control-6.1-7.3",
            "the same without migration loses data",
            handover("6.1", "7.3", true),
        ),
        step(
            "handover-5.10-6.12",
            "a working machine goes from 5.10 to 6.12",
            handover("5.10", "6.12", false),
        ),
    ]
}
