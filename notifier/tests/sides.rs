//! Each side's functions, step by step, over a real control page and over words that fail.
#![allow(clippy::unwrap_used, clippy::panic)]

use handoff_abi::control::{ControlPage, StopState, StopWord};
use handoff_abi::region;
use notifier::ops::ControlWords;
use notifier::second::Nmi;
use notifier::state::{next, owner, Owner, Refused, Step};
use notifier::{first, second};
use shared_page::Section;
use std::cell::RefCell;
use std::mem::offset_of;

/// A control page in memory of its own, which is never given back.
#[allow(unsafe_code, reason = "makes the memory that a section needs")]
fn page() -> Section {
    let layout = std::alloc::Layout::from_size_align(region::REGION_SIZE, 4096).unwrap();
    // SAFETY: the layout is not of size zero.
    let memory = unsafe { std::alloc::alloc_zeroed(layout) };
    // SAFETY: page-aligned, as long as a region, leaked, and nobody else has it.
    let page = unsafe { Section::new(memory, region::REGION_SIZE, region::CONTROL) }.unwrap();
    page.publish(0, &ControlPage::new(1)).unwrap();
    page
}

fn word(sequence: u64, state: StopState) -> StopWord {
    StopWord { sequence, state }
}

fn read(page: &Section) -> StopWord {
    StopWord::from_bits(page.stop_word().unwrap())
}

fn write(page: &Section, word: StopWord) {
    page.store_u64(offset_of!(ControlPage, stop_word), word.to_bits())
        .unwrap();
}

#[test]
fn a_handover() {
    let page = page();
    assert_eq!(first::next_sequence(&page), Ok(1));
    assert_eq!(second::on_nmi(&page), Ok(Nmi::Other));
    first::stop(&page, 1).unwrap();
    assert_eq!(read(&page), word(1, StopState::STOPPED));
    assert_eq!(second::on_nmi(&page), Ok(Nmi::Notice));
    assert_eq!(second::on_nmi(&page), Ok(Nmi::Other));
    assert_eq!(second::take(&page), Ok(1));
    assert_eq!(read(&page), word(1, StopState::TAKEN));
    second::commit(&page, 1).unwrap();
    assert_eq!(read(&page), word(1, StopState::COMMITTED));
    let control: ControlPage = page.snapshot(0).unwrap();
    assert_eq!((control.notice_sent, control.notice_seen), (1, 1));
    assert_eq!(control.notice_spurious, 2);
    let committed = Refused::State(word(1, StopState::COMMITTED));
    assert_eq!(first::abort(&page, 1), Err(committed));
    assert_eq!(first::next_sequence(&page), Err(committed));
    assert_eq!(second::take(&page), Err(committed));
    assert_eq!(second::give_back(&page, 1), Err(committed));
}

#[test]
fn a_stop_that_comes_to_nothing_and_the_next() {
    let page = page();
    first::stop(&page, 1).unwrap();
    first::abort(&page, 1).unwrap();
    let aborted = Refused::State(word(1, StopState::ABORTED));
    // The notice comes late.
    assert_eq!(second::on_nmi(&page), Ok(Nmi::Notice));
    assert_eq!(second::take(&page), Err(aborted));
    assert_eq!(second::commit(&page, 1), Err(aborted));
    assert_eq!(first::next_sequence(&page), Ok(2));
    first::stop(&page, 2).unwrap();
    assert_eq!(second::take(&page), Ok(2));
    let other = Refused::Sequence(word(2, StopState::TAKEN));
    assert_eq!(second::commit(&page, 1), Err(other));
    assert_eq!(second::give_back(&page, 1), Err(other));
    second::give_back(&page, 2).unwrap();
    assert_eq!(read(&page), word(2, StopState::ABORTED));
    assert_eq!(first::next_sequence(&page), Ok(3));
}

#[test]
fn a_cpu_that_is_late_uses_the_number_up() {
    let page = page();
    first::abort(&page, 1).unwrap();
    assert_eq!(read(&page), word(1, StopState::ABORTED));
    assert_eq!(first::next_sequence(&page), Ok(2));
    assert!(matches!(first::stop(&page, 1), Err(Refused::Sequence(_))));
    assert!(matches!(first::stop(&page, 3), Err(Refused::Sequence(_))));
    first::stop(&page, 2).unwrap();
}

#[test]
fn an_unknown_state_is_nobodys() {
    let page = page();
    let unknown = word(1, StopState(77));
    write(&page, unknown);
    let refused = Refused::Unknown(unknown);
    assert_eq!(owner(unknown.state), None);
    assert_eq!(first::stop(&page, 2), Err(refused));
    assert_eq!(first::abort(&page, 1), Err(refused));
    assert_eq!(second::take(&page), Err(refused));
    assert_eq!(second::commit(&page, 1), Err(refused));
    assert_eq!(second::give_back(&page, 1), Err(refused));
    assert_eq!(first::next_sequence(&page), Err(Refused::State(unknown)));
    assert_eq!(read(&page), unknown);
}

#[test]
fn the_number_wraps() {
    let page = page();
    let last = u64::MAX >> 8;
    write(&page, word(last, StopState::ABORTED));
    let sequence = first::next_sequence(&page).unwrap();
    first::stop(&page, sequence).unwrap();
    assert_eq!(read(&page).state, StopState::STOPPED);
    assert_eq!(read(&page).sequence, 0);
}

#[test]
fn every_step_from_every_state() {
    use StopState as S;
    let states = [S::RUNNING, S::STOPPED, S::TAKEN, S::ABORTED, S::COMMITTED];
    let steps = [
        Step::Stop,
        Step::Take,
        Step::Abort,
        Step::GiveBack,
        Step::Commit,
    ];
    for state in states {
        for step in steps {
            for sequence in [3, 4, 5, 6] {
                let result = next(word(4, state), sequence, step);
                let target = match (step, state, sequence) {
                    (Step::Stop, S::RUNNING | S::ABORTED, 5) => Some(S::STOPPED),
                    (Step::Abort, S::RUNNING | S::ABORTED, 5) => Some(S::ABORTED),
                    (Step::Take, S::STOPPED, 4) => Some(S::TAKEN),
                    (Step::Abort, S::STOPPED | S::TAKEN, 4) => Some(S::ABORTED),
                    (Step::GiveBack, S::TAKEN, 4) => Some(S::ABORTED),
                    (Step::Commit, S::TAKEN, 4) => Some(S::COMMITTED),
                    _ => None,
                };
                let expected = target.map(|target| word(sequence, target));
                assert_eq!(
                    result.ok(),
                    expected,
                    "{step:?} of {sequence} from {state:?}"
                );
            }
        }
    }
    assert_eq!(owner(S::TAKEN), Some(Owner::Nobody));
}

/// Words that do as a script says; each operation takes the next line.
#[derive(Default)]
struct Script {
    loads: RefCell<Vec<Result<u64, Refused>>>,
    swaps: RefCell<Vec<Result<u64, u64>>>,
    stores: RefCell<Vec<u64>>,
}

impl Script {
    fn load(&self) -> Result<u64, Refused> {
        self.loads.borrow_mut().remove(0)
    }

    fn store(&self, value: u64) -> Result<(), Refused> {
        self.stores.borrow_mut().push(value);
        Ok(())
    }
}

impl ControlWords for Script {
    fn stop_word(&self) -> Result<u64, Refused> {
        self.load()
    }
    fn swap_stop_word(&self, _: u64, new: u64) -> Result<Result<u64, u64>, Refused> {
        let result = self.swaps.borrow_mut().remove(0);
        if result.is_ok() {
            self.store(new)?;
        }
        Ok(result)
    }
    fn notice_sent(&self) -> Result<u64, Refused> {
        self.load()
    }
    fn set_notice_sent(&self, number: u64) -> Result<(), Refused> {
        self.store(number)
    }
    fn notice_seen(&self) -> Result<u64, Refused> {
        self.load()
    }
    fn set_notice_seen(&self, number: u64) -> Result<(), Refused> {
        self.store(number)
    }
    fn count_spurious(&self) -> Result<(), Refused> {
        self.store(u64::MAX)
    }
}

/// Loads in this order, swaps in that.
fn script(loads: &[Result<u64, Refused>], swaps: &[Result<u64, u64>]) -> Script {
    Script {
        loads: RefCell::new(loads.to_vec()),
        swaps: RefCell::new(swaps.to_vec()),
        stores: RefCell::default(),
    }
}

#[test]
fn an_abort_that_meets_a_take_tries_once_more() {
    let stopped = word(1, StopState::STOPPED).to_bits();
    let taken = word(1, StopState::TAKEN).to_bits();
    let words = script(&[Ok(stopped), Ok(taken)], &[Err(taken), Ok(taken)]);
    assert_eq!(first::abort(&words, 1), Ok(()));
    assert_eq!(
        words.stores.into_inner(),
        [word(1, StopState::ABORTED).to_bits()]
    );

    let committed = word(1, StopState::COMMITTED);
    let words = script(
        &[Ok(stopped), Ok(taken)],
        &[Err(taken), Err(committed.to_bits())],
    );
    assert_eq!(first::abort(&words, 1), Err(Refused::Raced(committed)));

    let words = script(&[Ok(taken)], &[Err(committed.to_bits())]);
    assert_eq!(first::abort(&words, 1), Err(Refused::Raced(committed)));
    assert!(words.stores.into_inner().is_empty());
}

#[test]
fn a_take_swaps_what_it_decided_by() {
    // It reads stop 1; meanwhile that is called off, and stop 2 is published.
    let again = word(2, StopState::STOPPED);
    let words = script(
        &[Ok(word(1, StopState::STOPPED).to_bits())],
        &[Err(again.to_bits())],
    );
    assert_eq!(second::take(&words), Err(Refused::Raced(again)));
}

#[test]
fn a_page_that_cannot_be_read_stops_every_step() {
    let broken = || script(&[Err(Refused::Page)], &[]);
    assert_eq!(first::next_sequence(&broken()), Err(Refused::Page));
    assert_eq!(first::stop(&broken(), 1), Err(Refused::Page));
    assert_eq!(first::abort(&broken(), 1), Err(Refused::Page));
    assert_eq!(second::on_nmi(&broken()), Err(Refused::Page));
    assert_eq!(second::take(&broken()), Err(Refused::Page));
    assert_eq!(second::commit(&broken(), 1), Err(Refused::Page));
    assert_eq!(second::give_back(&broken(), 1), Err(Refused::Page));
}

#[test]
fn a_stop_that_is_refused_counts_no_notice() {
    let words = script(&[Ok(word(1, StopState::COMMITTED).to_bits())], &[]);
    assert!(first::stop(&words, 2).is_err());
    assert!(words.stores.into_inner().is_empty());
}
