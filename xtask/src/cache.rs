//! The cache folder: everything that is fetched or built once and used again.
//!
//! Two runs may share it. What guards it is two rules: a finished folder is
//! moved into place by one `rename`, so it exists whole or not at all, and who
//! builds one holds the lock of its name, so nobody builds it twice.
//!
//! ```text
//! apt/       private apt: configuration, lists, downloaded packages
//! kernels/   one unpacked kernel a folder, named by its release
//! tools/     programs the host lacks, with their libraries
//! locks/     one lock file a name
//! tmp/       work in progress; leftovers of killed runs are harmless
//! ```

use std::env;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};

use crate::progress;

/// The cache's root folder. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

/// Holds a lock of the cache until dropped, also across processes.
#[must_use = "the lock is released when this is dropped"]
pub struct Lock {
    _file: File,
}

impl Cache {
    /// Opens the cache, creating it if there is none: `$BATON_CACHE`, else
    /// `$XDG_CACHE_HOME/baton`, else `~/.cache/baton`.
    pub fn open() -> Result<Self> {
        let set = |name: &str| {
            env::var_os(name)
                .filter(|v| !v.is_empty())
                .map(PathBuf::from)
        };
        let root = match (set("BATON_CACHE"), set("XDG_CACHE_HOME"), set("HOME")) {
            (Some(root), ..) => root,
            (_, Some(base), _) => base.join("baton"),
            (_, _, Some(home)) => home.join(".cache/baton"),
            _ => bail!("no place for the cache: set BATON_CACHE to a folder (HOME is not set)"),
        };
        Self::at(&root)
    }

    /// Opens the cache in a given folder, creating it if there is none.
    pub fn at(root: &Path) -> Result<Self> {
        for folder in ["locks", "tmp"] {
            let folder = root.join(folder);
            fs::create_dir_all(&folder).with_context(|| {
                format!(
                    "cannot create {}; set BATON_CACHE to a folder you own",
                    folder.display()
                )
            })?;
        }
        let root = root
            .canonicalize()
            .with_context(|| format!("cannot resolve the cache folder {}", root.display()))?;
        Ok(Self { root })
    }

    /// A path inside the cache. It need not exist.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.join(relative)
    }

    /// Takes the lock of `name`, waiting for whoever holds it.
    ///
    /// Not re-entrant: a thread that holds a name must not ask for it again.
    pub fn lock(&self, name: &str) -> Result<Lock> {
        let path = self.root.join("locks").join(file_name(name));
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .with_context(|| format!("cannot open the lock {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => return Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => {
                progress::step(
                    "Waiting",
                    format_args!("for another run to finish with {name}"),
                );
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
        file.lock()
            .with_context(|| format!("cannot lock {}", path.display()))?;
        Ok(Lock { _file: file })
    }

    /// The folder `relative`, built by `build` if it is not there yet.
    ///
    /// `build` gets an empty temporary folder in the same file system, which
    /// becomes the result when it succeeds and is removed when it fails. The
    /// folder's existence is the stamp: whoever finds it finds it complete.
    pub fn folder(
        &self,
        relative: &str,
        build: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let target = self.path(relative);
        if target.is_dir() {
            return Ok(target);
        }
        let _lock = self.lock(relative)?;
        if target.is_dir() {
            return Ok(target);
        }
        let work = self.scratch(relative)?;
        build(work.path())?;
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)
                .with_context(|| format!("cannot create {}", parent.display()))?;
        }
        fs::rename(work.path(), &target)
            .with_context(|| format!("cannot move a finished build to {}", target.display()))?;
        Ok(target)
    }

    /// An empty temporary folder in the cache's file system, removed on drop.
    pub fn scratch(&self, label: &str) -> Result<Scratch> {
        let base = format!("{}.{}", file_name(label), std::process::id());
        // A process makes few scratch folders of one label at a time.
        for attempt in 0..1000 {
            let path = self.root.join("tmp").join(format!("{base}.{attempt}"));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Scratch { path }),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot create {}", path.display()))
                }
            }
        }
        bail!(
            "{} is full of leftovers; remove it",
            self.root.join("tmp").display()
        )
    }
}

/// A temporary folder that is removed on drop, unless it was moved away.
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // It is gone if it became a finished folder; else a leftover is harmless.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A label as a single file name.
fn file_name(label: &str) -> String {
    label.replace(['/', ' '], "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> Cache {
        let root = env::temp_dir().join(format!("baton-cache-test-{}", std::process::id()));
        Cache::at(&root).unwrap()
    }

    #[test]
    fn a_failed_build_leaves_nothing_and_a_finished_one_is_not_repeated() {
        let cache = cache();
        assert!(cache.folder("a/b", |_| bail!("broken")).is_err());
        assert!(!cache.path("a/b").exists());
        let write = |dir: &Path| fs::write(dir.join("x"), "1").context("write");
        let done = cache.folder("a/b", write).unwrap();
        assert_eq!(done, cache.folder("a/b", |_| bail!("built twice")).unwrap());
        assert_eq!(fs::read_to_string(done.join("x")).unwrap(), "1");
        assert_eq!(fs::read_dir(cache.path("tmp")).unwrap().count(), 0);
        fs::remove_dir_all(cache.path("")).unwrap();
    }
}
