//! An image: memory, region and manifest of one kernel.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{ensure, Context, Result};
use handoff_abi::filesystem::FilesystemEntry;
use migrator::descriptor::Descriptor;

use crate::manifest::{self, FileEntry};
use crate::memory::MemoryImage;
use crate::ranges;
use crate::region::{self, Region};

/// Environment variable: the releases that there must be images of, separated by blanks.
pub const REQUIRED: &str = "BATON_IMAGES_REQUIRED";
/// Environment variable: the folder with the images, if it is another.
pub const FOLDER: &str = "BATON_IMAGES";

/// File names in an image's folder.
pub const MEMORY: &str = "memory";
/// Where memory is in that.
pub const RANGES: &str = "ranges";
/// The handoff region.
pub const REGION: &str = "region";
/// What the files held.
pub const MANIFEST: &str = "manifest.jsonl";
/// What the image was made from; written last.
pub const STAMP: &str = "stamp";

/// One kernel's image.
pub struct Image {
    /// Release of the kernel.
    pub release: String,
    /// Its memory.
    pub memory: MemoryImage,
    /// Its offset table and file systems.
    pub region: Region,
    /// Its files.
    pub files: Vec<FileEntry>,
}

/// The folder with the images.
#[must_use]
pub fn folder() -> PathBuf {
    env::var_os(FOLDER).map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/images"),
        PathBuf::from,
    )
}

/// Folders of all images that are there, by release.
///
/// # Errors
/// One that [`REQUIRED`] names is not there.
pub fn folders() -> Result<Vec<PathBuf>> {
    let root = folder();
    let mut found: Vec<PathBuf> = fs::read_dir(&root)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join(STAMP).is_file())
        .collect();
    found.sort();
    if let Ok(required) = env::var(REQUIRED) {
        found.clear();
        for release in required.split_whitespace() {
            let path = root.join(release);
            ensure!(
                path.join(STAMP).is_file(),
                "there is no memory image of {release} in {}: run `cargo xtask images`",
                root.display()
            );
            found.push(path);
        }
        ensure!(!found.is_empty(), "{REQUIRED} names no release");
    }
    Ok(found)
}

impl Image {
    /// Opens the image in `folder`; its memory is mapped.
    ///
    /// # Errors
    /// A part of it is missing or is none.
    pub fn open(folder: &Path) -> Result<Self> {
        Self::with(folder, MemoryImage::map)
    }

    /// The same with the memory read into large pages.
    ///
    /// # Errors
    /// A part of it is missing or is none.
    pub fn load(folder: &Path) -> Result<Self> {
        Self::with(folder, MemoryImage::load)
    }

    fn with(
        folder: &Path,
        open: impl FnOnce(&Path, Vec<ranges::Range>) -> Result<MemoryImage>,
    ) -> Result<Self> {
        let text = fs::read_to_string(folder.join(RANGES));
        let text = text.with_context(|| format!("no {RANGES} in {}", folder.display()))?;
        let name = folder.file_name().unwrap_or_default();
        Ok(Self {
            release: name.to_string_lossy().into_owned(),
            memory: open(&folder.join(MEMORY), ranges::from_text(&text)?)?,
            region: Region::load(&folder.join(REGION))?,
            files: manifest::load(&folder.join(MANIFEST))?,
        })
    }

    /// The offset table, checked.
    ///
    /// # Errors
    /// The migrator refuses it.
    pub fn descriptor(&self) -> Result<Descriptor<'_>> {
        Descriptor::new(&self.region.descriptor)
            .map_err(|error| anyhow::anyhow!("the descriptor of {}: {error}", self.release))
    }

    /// The file system mounted at `mount`.
    ///
    /// # Errors
    /// There is none.
    pub fn filesystem(&self, mount: &str) -> Result<&FilesystemEntry> {
        let mut all = self.region.filesystems.iter();
        all.find(|entry| region::text(&entry.mount_point) == mount)
            .with_context(|| format!("{} has no file system at {mount}", self.release))
    }

    /// Mount points of all file systems.
    #[must_use]
    pub fn mounts(&self) -> Vec<String> {
        let all = self.region.filesystems.iter();
        all.map(|entry| region::text(&entry.mount_point)).collect()
    }

    /// Files of the manifest on the file system mounted at `mount`.
    pub fn files_on<'a>(&'a self, mount: &'a str) -> impl Iterator<Item = &'a FileEntry> {
        self.files.iter().filter(move |file| file.mount == mount)
    }
}
