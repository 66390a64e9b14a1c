//! Reading a module file, compressed or not.

use std::io::Read;
use std::path::Path;

use anyhow::{bail, Context, Result};

const ELF: &[u8] = b"\x7fELF";
const GZIP: &[u8] = &[0x1f, 0x8b];
const XZ: &[u8] = b"\xfd7zXZ\0";
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// The module in the file `path` as an ELF object. What it is compressed with is told from its
/// first bytes, not from its name.
///
/// # Errors
/// The file cannot be read or decompressed, or is no module.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    decompress(bytes).with_context(|| {
        format!(
            "{} is not a kernel module that baton can read; install the kernel's package again",
            path.display()
        )
    })
}

/// `bytes` as an ELF object.
fn decompress(bytes: Vec<u8>) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    if bytes.starts_with(ELF) {
        return Ok(bytes);
    } else if bytes.starts_with(GZIP) {
        flate2::read::MultiGzDecoder::new(bytes.as_slice())
            .read_to_end(&mut out)
            .context("the gzip data is damaged")?;
    } else if bytes.starts_with(XZ) {
        lzma_rs::xz_decompress(&mut bytes.as_slice(), &mut out)
            .map_err(|error| anyhow::anyhow!("the xz data is damaged: {error:?}"))?;
    } else if bytes.starts_with(ZSTD) {
        ruzstd::decoding::StreamingDecoder::new(bytes.as_slice())
            .map_err(|error| anyhow::anyhow!("the zstd data is damaged: {error}"))?
            .read_to_end(&mut out)
            .context("the zstd data is damaged")?;
    } else {
        bail!("it is neither an ELF object nor compressed with gzip, xz or zstd");
    }
    if !out.starts_with(ELF) {
        bail!("what is compressed in it is not an ELF object");
    }
    Ok(out)
}
