//! What a migration costs beside a copy of the same bytes.
//!
//! The sink copies what it is given to a buffer, so a migration is the walk and the copy. It is
//! compared with one `memcpy` of the same bytes in one piece, and with a copy of the same frames
//! without the walk. All memory is in large pages and was touched before; the three take turns,
//! and of each the fastest counts, for the rest is what else the host did.

use std::fmt;
use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};
use memmap2::{Advice, MmapMut};
use migrator::budget::Budget;
use migrator::files::{
    migrate_files, FileInfo, FileSummary, LostFile, Reason, Segment, Sink, SinkError,
};
use migrator::view::View;

use crate::image::Image;
use crate::memory::MemoryImage;

/// How often each is measured.
const ROUNDS: u32 = 25;

/// Times of one file system.
#[derive(Clone, Debug)]
pub struct Speed {
    /// Where it is mounted.
    pub mount: String,
    /// Bytes that were migrated.
    pub bytes: usize,
    /// Runs of memory that were handed over.
    pub segments: usize,
    /// Walk and copy.
    pub migrate: Duration,
    /// Copy of the same frames.
    pub frames: Duration,
    /// Copy of as many bytes in one piece.
    pub memcpy: Duration,
}

impl Speed {
    /// Time of a migration in units of a `memcpy`.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        self.migrate.as_secs_f64() / self.memcpy.as_secs_f64()
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        write!(
            f,
            "{:<9} {:>4} MiB in {:>5} runs: migrate {:>7.3} ms, its frames {:>7.3} ms, memcpy \
             {:>7.3} ms, ratio {:.2}",
            self.mount,
            self.bytes >> 20,
            self.segments,
            ms(self.migrate),
            ms(self.frames),
            ms(self.memcpy),
            self.ratio()
        )
    }
}

/// Copies what it is given, one after the other.
struct CopySink<'a> {
    memory: &'a MemoryImage,
    to: &'a mut [u8],
    at: usize,
    failed: bool,
}

impl Sink for CopySink<'_> {
    fn begin_file(&mut self, _: &FileInfo<'_>) -> Result<(), SinkError> {
        Ok(())
    }

    fn write(&mut self, _: u64, segments: &[Segment]) -> Result<(), SinkError> {
        for segment in segments {
            let from = self.memory.slice(segment.pa, u64::from(segment.len));
            let end = self.at + segment.len as usize;
            match (from, self.to.get_mut(self.at..end)) {
                (Some(from), Some(to)) => to.copy_from_slice(from),
                _ => return Err(SinkError(27)),
            }
            self.at = end;
        }
        Ok(())
    }

    fn end_file(&mut self, _: &FileSummary) -> Result<(), SinkError> {
        Ok(())
    }

    fn lost(&mut self, _: &LostFile<'_>, _: Reason) {
        self.failed = true;
    }
}

/// Remembers what it is given.
#[derive(Default)]
struct ListSink {
    segments: Vec<Segment>,
}

impl Sink for ListSink {
    fn begin_file(&mut self, _: &FileInfo<'_>) -> Result<(), SinkError> {
        Ok(())
    }

    fn write(&mut self, _: u64, segments: &[Segment]) -> Result<(), SinkError> {
        self.segments.extend(segments);
        Ok(())
    }

    fn end_file(&mut self, _: &FileSummary) -> Result<(), SinkError> {
        Ok(())
    }

    fn lost(&mut self, _: &LostFile<'_>, _: Reason) {}
}

/// Measures the migration of the file system at `mount`; `image` must be
/// [loaded](Image::load).
///
/// # Errors
/// The file system cannot be migrated whole.
pub fn measure(image: &Image, mount: &str) -> Result<Speed> {
    let descriptor = image.descriptor()?;
    let budget = Budget::for_memory_of(&descriptor);
    let entry = image.filesystem(mount)?;
    // A view remembers translations: a migration begins without any.
    let view = || View::new(&image.memory, descriptor);
    let mut list = ListSink::default();
    migrate_files(&view(), entry, &mut list, &budget)
        .map_err(|error| anyhow::anyhow!("{mount}: {error}"))?;
    let bytes = list.segments.iter().map(|segment| segment.len as usize);
    let bytes: usize = bytes.sum();
    ensure!(bytes > 0, "{mount} has nothing to migrate");
    let (mut from, mut to) = (buffer(bytes)?, buffer(bytes)?);

    let mut times = [Duration::MAX; 3];
    for _ in 0..ROUNDS {
        let since = Instant::now();
        let view = view();
        let mut sink = CopySink {
            memory: &image.memory,
            to: &mut to,
            at: 0,
            failed: false,
        };
        let result = migrate_files(&view, entry, &mut sink, &budget);
        times[0] = times[0].min(since.elapsed());
        let whole = result.is_ok() && !sink.failed && sink.at == bytes;
        ensure!(whole, "{mount} is not migrated whole");
        // The very same bytes for the others.
        from.copy_from_slice(&to);

        let since = Instant::now();
        let mut at = 0;
        for segment in &list.segments {
            let len = segment.len as usize;
            let frames = image.memory.slice(segment.pa, u64::from(segment.len));
            to[at..at + len].copy_from_slice(frames.context("a frame that is no memory")?);
            at += len;
        }
        black_box(&mut to);
        times[1] = times[1].min(since.elapsed());

        let since = Instant::now();
        to.copy_from_slice(black_box(&from));
        black_box(&mut to);
        times[2] = times[2].min(since.elapsed());
    }
    let [migrate, frames, memcpy] = times;
    Ok(Speed {
        mount: mount.to_owned(),
        bytes,
        segments: list.segments.len(),
        migrate,
        frames,
        memcpy,
    })
}

/// Memory in large pages, touched.
fn buffer(bytes: usize) -> Result<MmapMut> {
    let mut buffer = MmapMut::map_anon(bytes).context("out of memory")?;
    // Only the speed depends on it.
    let _ = buffer.advise(Advice::HugePage);
    buffer.fill(1);
    Ok(buffer)
}
