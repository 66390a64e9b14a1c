//! A sink that remembers everything.

use std::collections::BTreeMap;

use migrator::files::{FileInfo, FileSummary, LostFile, Reason, Segment, Sink, SinkError};

use super::FakeMemory;

#[derive(Default, Debug)]
pub struct File {
    pub size: u64,
    pub path: Vec<u8>,
    pub uncommitted: bool,
    pub writes: Vec<(u64, Vec<Segment>)>,
    pub summary: Option<FileSummary>,
}

impl File {
    /// Offset and content of everything written, merged.
    pub fn content(&self, memory: &FakeMemory) -> BTreeMap<u64, Vec<u8>> {
        let mut all: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
        for (offset, segments) in &self.writes {
            let bytes: Vec<u8> = segments
                .iter()
                .flat_map(|s| memory.bytes(s.pa.raw(), s.len as usize).to_vec())
                .collect();
            match all.last_entry() {
                Some(mut last) if last.key() + last.get().len() as u64 == *offset => {
                    last.get_mut().extend(bytes);
                }
                _ => drop(all.insert(*offset, bytes)),
            }
        }
        all
    }
}

#[derive(Default, Debug)]
pub struct Recorder {
    pub files: BTreeMap<u64, File>,
    pub lost: Vec<(Option<u64>, Vec<u8>, Reason)>,
    pub fail_begin: Option<u64>,
    pub fail_write: Option<u64>,
    pub calls: u64,
    pub open: Option<u64>,
}

impl Sink for Recorder {
    fn begin_file(&mut self, info: &FileInfo<'_>) -> Result<(), SinkError> {
        self.calls += 1;
        assert!(self.open.is_none(), "a file was neither ended nor lost");
        self.open = Some(info.ino);
        if self.fail_begin == Some(info.ino) {
            return Err(SinkError(28));
        }
        let file = self.files.entry(info.ino).or_default();
        file.size = info.size;
        file.path = info.path.as_bytes().to_vec();
        file.uncommitted = info.uncommitted;
        Ok(())
    }

    fn write(&mut self, offset: u64, segments: &[Segment]) -> Result<(), SinkError> {
        self.calls += 1;
        let ino = self.open.expect("write without begin_file");
        assert!(!segments.is_empty() && segments.len() <= migrator::files::MAX_SEGMENTS);
        if self.fail_write == Some(ino) {
            return Err(SinkError(5));
        }
        self.files
            .get_mut(&ino)
            .unwrap()
            .writes
            .push((offset, segments.to_vec()));
        Ok(())
    }

    fn end_file(&mut self, summary: &FileSummary) -> Result<(), SinkError> {
        self.calls += 1;
        let ino = self.open.take().expect("end_file without begin_file");
        self.files.get_mut(&ino).unwrap().summary = Some(*summary);
        Ok(())
    }

    fn lost(&mut self, file: &LostFile<'_>, reason: Reason) {
        self.calls += 1;
        self.open = None;
        self.lost
            .push((file.ino, file.path.as_bytes().to_vec(), reason));
    }
}
