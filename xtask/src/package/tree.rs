//! The files of the package.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};

use super::{call, licenses, VERSION};
use crate::{module, rustobj};

/// Fixed files: where, mode, content. `@VERSION@` is replaced in each.
const FILES: [(&str, u32, &str); 8] = [
    ("DEBIAN/postinst", 0o755, include_str!("files/postinst")),
    ("DEBIAN/prerm", 0o755, include_str!("files/prerm")),
    ("etc/default/baton", 0o644, include_str!("files/default")),
    (
        "etc/kernel/postinst.d/zz-baton",
        0o755,
        include_str!("files/zz-baton"),
    ),
    (
        "etc/kernel/header_postinst.d/zz-baton",
        0o755,
        include_str!("files/zz-baton"),
    ),
    (
        "usr/lib/systemd/system/baton-load@.service",
        0o644,
        include_str!("files/baton-load@.service"),
    ),
    (
        "usr/share/doc/baton/README.Debian",
        0o644,
        include_str!("files/README.Debian"),
    ),
    (
        "usr/share/doc/baton/copyright",
        0o644,
        include_str!("files/copyright"),
    ),
];
const DOCS: &str = "usr/share/doc/baton";
const MANUAL: &str = "usr/share/man/man8";
/// Shells: what `baton generate` calls them, the name it gives the file, and where it goes.
const SHELLS: [(&str, &str, &str); 3] = [
    (
        "bash",
        "baton.bash",
        "usr/share/bash-completion/completions/baton",
    ),
    ("zsh", "_baton", "usr/share/zsh/vendor-completions/_baton"),
    (
        "fish",
        "baton.fish",
        "usr/share/fish/vendor_completions.d/baton.fish",
    ),
];

/// Where the module's source is, below the root.
pub fn source_dir() -> PathBuf {
    PathBuf::from(format!("usr/src/baton-{VERSION}"))
}

/// Lays the package out in the folder `root`.
pub fn lay_out(root: &Path, baton: &Path, object: &Path) -> Result<()> {
    for (path, mode, text) in FILES {
        put(&root.join(path), mode, fill(text).as_bytes())?;
    }
    copy(baton, &root.join("usr/sbin/baton"), 0o755)?;
    source(&root.join(source_dir()), object)?;
    manual(root, baton)?;
    documents(&root.join(DOCS))?;
    let conffiles: String = FILES
        .iter()
        .filter(|(path, ..)| path.starts_with("etc/"))
        .map(|(path, ..)| format!("/{path}\n"))
        .collect();
    put(&root.join("DEBIAN/conffiles"), 0o644, conffiles.as_bytes())?;
    let size = kibibytes(root)?.to_string();
    let control = fill(include_str!("files/control")).replace("@SIZE@", &size);
    put(&root.join("DEBIAN/control"), 0o644, control.as_bytes())?;
    checksums(root)
}

fn fill(text: &str) -> String {
    text.replace("@VERSION@", VERSION)
}

/// What DKMS builds the module from.
fn source(dir: &Path, object: &Path) -> Result<()> {
    for (name, bytes) in module::inputs(&rustobj::workspace().join("kernel-glue"), object)? {
        put(&dir.join(name), 0o644, &bytes)?;
    }
    let conf = fill(include_str!("files/dkms.conf"));
    put(&dir.join("dkms.conf"), 0o644, conf.as_bytes())
}

/// Manual and completions, which the command makes itself.
fn manual(root: &Path, baton: &Path) -> Result<()> {
    let work = root.with_extension("generated");
    fs::create_dir_all(&work)?;
    let generate = |what: &str| call(Command::new(baton).args(["generate", what]).arg(&work));
    generate("man")?;
    for entry in fs::read_dir(&work)? {
        let path = entry?.path();
        let name = path.file_name().context("a page without a name")?;
        let name = format!("{}.gz", name.to_string_lossy());
        compressed(&root.join(MANUAL).join(name), &fs::read(&path)?)?;
    }
    for (shell, name, place) in SHELLS {
        generate(shell)?;
        copy(&work.join(name), &root.join(place), 0o644)?;
    }
    Ok(())
}

/// The project's documents, and the licences of what is linked in.
fn documents(dir: &Path) -> Result<()> {
    let workspace = rustobj::workspace();
    let listing = fs::read_dir(workspace.join("docs")).into_iter().flatten();
    let own = listing.filter_map(|entry| Some(entry.ok()?.path()));
    for path in own.chain([workspace.join("README.md")]) {
        let is_text = path.extension().is_some_and(|end| end == "md");
        if let (true, true, Some(name)) = (is_text, path.is_file(), path.file_name()) {
            copy(&path, &dir.join(name), 0o644)?;
        }
    }
    let changelog = fill(include_str!("files/changelog"));
    compressed(&dir.join("changelog.gz"), changelog.as_bytes())?;
    let third_party = licenses::collect()?;
    compressed(&dir.join("third-party.gz"), third_party.as_bytes())
}

/// Without a time stamp or name, so that equal contents are equal files.
fn compressed(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut encoder = GzBuilder::new().write(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    put(path, 0o644, &encoder.finish()?)
}

fn copy(from: &Path, to: &Path, mode: u32) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    put(to, mode, &bytes)
}

fn put(path: &Path, mode: u32, bytes: &[u8]) -> Result<()> {
    let write = || {
        fs::create_dir_all(path.parent().unwrap_or(path))?;
        fs::write(path, bytes)?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

fn kibibytes(root: &Path) -> Result<u64> {
    let said = call(
        Command::new("du")
            .args(["-sk", "--apparent-size"])
            .arg(root),
    )?;
    let said = String::from_utf8_lossy(&said).into_owned();
    let number = said.split_whitespace().next().unwrap_or_default();
    number
        .parse()
        .with_context(|| format!("du said {:?}", said.trim()))
}

/// What `dpkg --verify` compares with.
fn checksums(root: &Path) -> Result<()> {
    let said = call(
        Command::new("sh")
            .args([
                "-ec",
                "find usr -type f -print0 | sort -z | xargs -0 md5sum",
            ])
            .current_dir(root),
    )?;
    put(&root.join("DEBIAN/md5sums"), 0o644, &said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_to_fill_in() {
        for (path, _, text) in FILES {
            assert!(!fill(text).contains("@VERSION@"), "{path}");
        }
        let conf = fill(include_str!("files/dkms.conf"));
        assert!(conf.contains(VERSION) && !conf.contains('@'));
    }

    #[test]
    fn the_scripts_are_shell() {
        for (path, mode, text) in FILES {
            if mode == 0o755 {
                let status = Command::new("sh").args(["-n", "-c", text]).status();
                assert!(status.is_ok_and(|status| status.success()), "{path}");
            }
        }
    }
}
