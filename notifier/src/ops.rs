//! What the notifier needs of the machine.

use crate::state::{next, Refused, Step};
use core::mem::offset_of;
use handoff_abi::control::{ControlPage, StopWord};
use shared_page::Section;

/// The words of the control page that both sides share.
pub trait ControlWords {
    /// The stop word. Acquires.
    ///
    /// # Errors
    /// [`Refused::Page`].
    fn stop_word(&self) -> Result<u64, Refused>;
    /// Swaps the stop word. Acquires and releases. The inner error is what it was instead.
    ///
    /// # Errors
    /// [`Refused::Page`].
    fn swap_stop_word(&self, current: u64, new: u64) -> Result<Result<u64, u64>, Refused>;
    /// Number of notices sent. Acquires.
    ///
    /// # Errors
    /// [`Refused::Page`].
    fn notice_sent(&self) -> Result<u64, Refused>;
    /// Sets the number of notices sent. Releases.
    ///
    /// # Errors
    /// [`Refused::Page`].
    fn set_notice_sent(&self, number: u64) -> Result<(), Refused>;
    /// Number of the newest notice that was seen.
    ///
    /// # Errors
    /// [`Refused::Page`].
    fn notice_seen(&self) -> Result<u64, Refused>;
    /// Sets the number of the newest notice that was seen. Releases.
    ///
    /// # Errors
    /// [`Refused::Page`].
    fn set_notice_seen(&self, number: u64) -> Result<(), Refused>;
    /// Counts an NMI without a new notice.
    ///
    /// # Errors
    /// [`Refused::Page`].
    fn count_spurious(&self) -> Result<(), Refused>;
}

const STOP_WORD: usize = offset_of!(ControlPage, stop_word);
const SENT: usize = offset_of!(ControlPage, notice_sent);
const SEEN: usize = offset_of!(ControlPage, notice_seen);
const SPURIOUS: usize = offset_of!(ControlPage, notice_spurious);

impl ControlWords for Section {
    fn stop_word(&self) -> Result<u64, Refused> {
        self.load_u64(STOP_WORD).map_err(|_| Refused::Page)
    }
    fn swap_stop_word(&self, current: u64, new: u64) -> Result<Result<u64, u64>, Refused> {
        self.compare_exchange_u64(STOP_WORD, current, new)
            .map_err(|_| Refused::Page)
    }
    fn notice_sent(&self) -> Result<u64, Refused> {
        self.load_u64(SENT).map_err(|_| Refused::Page)
    }
    fn set_notice_sent(&self, number: u64) -> Result<(), Refused> {
        self.store_u64(SENT, number).map_err(|_| Refused::Page)
    }
    fn notice_seen(&self) -> Result<u64, Refused> {
        self.load_u64(SEEN).map_err(|_| Refused::Page)
    }
    fn set_notice_seen(&self, number: u64) -> Result<(), Refused> {
        self.store_u64(SEEN, number).map_err(|_| Refused::Page)
    }
    fn count_spurious(&self) -> Result<(), Refused> {
        let count = self.load_u64(SPURIOUS).map_err(|_| Refused::Page)?;
        self.store_u64(SPURIOUS, count.wrapping_add(1))
            .map_err(|_| Refused::Page)
    }
}

/// Takes one step: reads the word, computes the next, swaps.
///
/// # Errors
/// [`Refused`]; [`Refused::Raced`] if the other side was faster.
pub fn step(words: &impl ControlWords, sequence: u64, step: Step) -> Result<StopWord, Refused> {
    step_from(words, words.stop_word()?, sequence, step)
}

/// As [`step`], from the word that the caller read: what it decided by is what is swapped.
///
/// # Errors
/// As for [`step`].
pub(crate) fn step_from(
    words: &impl ControlWords,
    current: u64,
    sequence: u64,
    step: Step,
) -> Result<StopWord, Refused> {
    let target = next(StopWord::from_bits(current), sequence, step)?;
    match words.swap_stop_word(current, target.to_bits())? {
        Ok(_) => Ok(target),
        Err(found) => Err(Refused::Raced(StopWord::from_bits(found))),
    }
}
