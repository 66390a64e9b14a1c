//! Rights, and what keeps even root from replacing a kernel.

use super::Point;
use std::path::Path;

/// Where the firmware keeps whether Secure Boot is on.
const SECURE_BOOT: &str = "firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";

/// Whether the operator is root.
pub fn root(is_root: bool) -> Point {
    match is_root {
        true => Point::ok("root", "yes"),
        false => Point::fail("root", "not root", "run it as root (sudo baton …)"),
    }
}

/// Everything that forbids replacing the kernel; the same rules that kexec obeys.
pub fn kernel_lock(sys: &Path, proc: &Path) -> Vec<Point> {
    vec![
        lockdown(&read(&sys.join("kernel/security/lockdown"))),
        kexec_disabled(&read(&proc.join("sys/kernel/kexec_load_disabled"))),
        secure_boot(
            std::fs::read(sys.join(SECURE_BOOT)).ok().as_deref(),
            &read(&sys.join("module/module/parameters/sig_enforce")),
        ),
    ]
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// `none [integrity] confidentiality`; empty if the kernel does not show it.
fn lockdown(text: &str) -> Point {
    let chosen = text
        .split_whitespace()
        .find_map(|word| word.strip_prefix('[')?.strip_suffix(']'));
    match chosen {
        Some(mode @ ("integrity" | "confidentiality")) => Point::fail(
            "lockdown",
            format!("the kernel is locked down ({mode}): not even root may replace it"),
            "turn Secure Boot off, or boot without lockdown=",
        ),
        Some(mode) => Point::ok("lockdown", mode),
        None => Point::ok("lockdown", "the kernel shows none"),
    }
}

/// `kernel.kexec_load_disabled`: who set it does not want the kernel replaced.
fn kexec_disabled(text: &str) -> Point {
    match text.trim() {
        "1" => Point::fail(
            "policy",
            "kernel.kexec_load_disabled is 1: the administrator forbids replacing the kernel",
            "it cannot be cleared; boot without the sysctl",
        ),
        _ => Point::ok("policy", "replacing the kernel is not forbidden"),
    }
}

/// The EFI variable: four bytes of attributes and one of value.
fn secure_boot(variable: Option<&[u8]>, sig_enforce: &str) -> Point {
    let on = variable.and_then(|bytes| bytes.get(4)) == Some(&1);
    if sig_enforce.trim() == "Y" {
        return Point::warn(
            "signatures",
            "this kernel loads signed modules only",
            "sign baton.ko with a key the kernel knows (MOK), or boot without module.sig_enforce",
        );
    }
    match (on, variable) {
        (true, _) => Point::warn(
            "Secure Boot",
            "on; the new kernel's signature is not verified by Baton",
            "verify the image yourself (sbverify)",
        ),
        (false, Some(_)) => Point::ok("Secure Boot", "off"),
        (false, None) => Point::ok("Secure Boot", "the firmware has none"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;

    #[test]
    fn lockdown_fails_in_both_modes() {
        for (text, verdict) in [
            ("[none] integrity confidentiality\n", Verdict::Ok),
            ("none [integrity] confidentiality\n", Verdict::Fail),
            ("none integrity [confidentiality]\n", Verdict::Fail),
            ("", Verdict::Ok),
        ] {
            assert_eq!(lockdown(text).verdict, verdict, "{text}");
        }
    }

    #[test]
    fn policies() {
        assert_eq!(kexec_disabled("1\n").verdict, Verdict::Fail);
        assert_eq!(kexec_disabled("0\n").verdict, Verdict::Ok);
        assert_eq!(kexec_disabled("").verdict, Verdict::Ok);
        assert_eq!(root(false).verdict, Verdict::Fail);
        assert_eq!(
            secure_boot(Some(&[6, 0, 0, 0, 1]), "N").verdict,
            Verdict::Warn
        );
        assert_eq!(
            secure_boot(Some(&[6, 0, 0, 0, 0]), "N").verdict,
            Verdict::Ok
        );
        assert_eq!(secure_boot(Some(&[6]), "").verdict, Verdict::Ok);
        assert_eq!(secure_boot(None, "Y\n").verdict, Verdict::Warn);
    }
}
