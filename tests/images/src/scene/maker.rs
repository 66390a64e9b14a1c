//! What all makers of files need.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use baton_guest::content;
use memmap2::MmapMut;

use crate::manifest::{State, BLOCK};

/// A file that was made.
#[derive(Debug)]
pub struct Made {
    /// Its names, as a program would open them; those it no longer has, if it was deleted.
    pub names: Vec<PathBuf>,
    /// What is on the disk.
    pub state: State,
    /// Blocks that are in memory only, if they are not all that are there.
    pub dirty: Option<Vec<u64>>,
    /// Its content, if reading it would change how it is in the cache.
    pub content: Option<BTreeMap<u64, Vec<u8>>>,
    /// Open, if it has no name.
    pub held: Option<File>,
    key: u64,
}

impl Made {
    /// Writes `len` bytes of the file's own content at `offset`.
    pub fn write(&mut self, file: &File, offset: u64, len: u64) -> Result<()> {
        let mut bytes = vec![0; usize::try_from(len)?];
        content::fill(self.key, offset, &mut bytes);
        file.write_all_at(&bytes, offset)
            .with_context(|| format!("cannot write to {:?}", self.names))
    }

    /// Lets what is written from now on be other content.
    pub const fn change_content(&mut self) {
        self.key = self.key.wrapping_add(1);
    }

    /// The file's own content at `offset`.
    pub fn fill(&self, offset: u64, to: &mut [u8]) {
        content::fill(self.key, offset, to);
    }
}

/// Makes files in one folder.
#[derive(Debug)]
pub struct Maker {
    /// Where the file system is mounted.
    pub mount: PathBuf,
    /// The folder.
    pub dir: PathBuf,
    /// All files.
    pub made: Vec<Made>,
    /// Mappings that stay.
    pub mappings: Vec<MmapMut>,
}

impl Maker {
    /// Creates the folder.
    pub fn new(mount: &Path, dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        Ok(Self {
            mount: mount.to_owned(),
            dir: dir.to_owned(),
            made: Vec::new(),
            mappings: Vec::new(),
        })
    }

    /// Creates a file; it has to be [added](Self::add) when it is finished.
    pub fn create(&self, name: impl AsRef<Path>) -> Result<(File, Made)> {
        let path = self.dir.join(name);
        let open = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path);
        let file = open.with_context(|| format!("cannot create {}", path.display()))?;
        // No two files have the same content anywhere.
        let key = content::hash(path.as_os_str().as_bytes());
        let made = Made {
            names: vec![path],
            state: State::Dirty,
            dirty: None,
            content: None,
            held: None,
            key,
        };
        Ok((file, made))
    }

    /// Creates a file with `len` bytes and adds it.
    pub fn file(&mut self, name: impl AsRef<Path>, len: u64) -> Result<()> {
        let (file, mut made) = self.create(name)?;
        made.write(&file, 0, len)?;
        self.add(made);
        Ok(())
    }

    /// Adds a finished file.
    pub fn add(&mut self, made: Made) {
        self.made.push(made);
    }
}

/// Byte offset of a block.
pub const fn at(block: u64) -> u64 {
    block * BLOCK
}
