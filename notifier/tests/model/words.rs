//! The control page, one operation at a time.
//!
//! A call of one of the notifier's functions is a sequence of operations on the shared words, and
//! what it does next depends on nothing but their results. So a call that is under way *is* the
//! list of the results so far: to let it do one operation more, it is called anew, is given the
//! results it had, does the one operation, and is sent away with [`Refused::Page`] at the next.

use notifier::ops::ControlWords;
use notifier::state::Refused;
use std::cell::{Cell, RefCell};

/// The words that both sides see.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Shared {
    pub stop_word: u64,
    pub sent: u64,
    pub seen: u64,
}

/// What an operation gave.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Answer {
    Value(u64),
    Swap(Result<u64, u64>),
    Stored,
}

/// A call under way: the results of its operations so far.
pub type Log = Vec<Answer>;

/// What one operation more led to.
pub enum Outcome<T> {
    /// The call goes on.
    Pending,
    /// It returned.
    Returned(Result<T, Refused>),
}

pub struct Words<'a> {
    shared: RefCell<&'a mut Shared>,
    log: RefCell<&'a mut Log>,
    at: Cell<usize>,
    fresh: Cell<bool>,
    suspended: Cell<bool>,
}

/// Lets `call` do one operation more.
pub fn advance<T>(
    shared: &mut Shared,
    log: &mut Log,
    call: impl FnOnce(&Words<'_>) -> Result<T, Refused>,
) -> Outcome<T> {
    let words = Words {
        shared: RefCell::new(shared),
        log: RefCell::new(log),
        at: Cell::new(0),
        fresh: Cell::new(true),
        suspended: Cell::new(false),
    };
    let result = call(&words);
    if words.suspended.get() {
        return Outcome::Pending;
    }
    log.clear();
    Outcome::Returned(result)
}

impl Words<'_> {
    fn operate(&self, perform: impl FnOnce(&mut Shared) -> Answer) -> Result<Answer, Refused> {
        let at = self.at.replace(self.at.get() + 1);
        if let Some(answer) = self.log.borrow().get(at) {
            return Ok(*answer);
        }
        if !self.fresh.replace(false) {
            self.suspended.set(true);
            return Err(Refused::Page);
        }
        let answer = perform(&mut self.shared.borrow_mut());
        self.log.borrow_mut().push(answer);
        Ok(answer)
    }

    fn load(&self, word: impl FnOnce(&Shared) -> u64) -> Result<u64, Refused> {
        match self.operate(|shared| Answer::Value(word(shared)))? {
            Answer::Value(value) => Ok(value),
            other => panic!("a load gave {other:?}: the call is not deterministic"),
        }
    }

    fn store(&self, store: impl FnOnce(&mut Shared)) -> Result<(), Refused> {
        self.operate(|shared| {
            store(shared);
            Answer::Stored
        })
        .map(drop)
    }

    /// A plain store to the stop word, which the protocol never does: for broken variants.
    pub fn overwrite_stop_word(&self, bits: u64) -> Result<(), Refused> {
        self.store(|shared| shared.stop_word = bits)
    }
}

impl ControlWords for Words<'_> {
    fn stop_word(&self) -> Result<u64, Refused> {
        self.load(|shared| shared.stop_word)
    }

    fn swap_stop_word(&self, current: u64, new: u64) -> Result<Result<u64, u64>, Refused> {
        let answer = self.operate(|shared| {
            let found = shared.stop_word;
            if found != current {
                return Answer::Swap(Err(found));
            }
            shared.stop_word = new;
            Answer::Swap(Ok(found))
        })?;
        match answer {
            Answer::Swap(result) => Ok(result),
            other => panic!("a swap gave {other:?}: the call is not deterministic"),
        }
    }

    fn notice_sent(&self) -> Result<u64, Refused> {
        self.load(|shared| shared.sent)
    }

    fn set_notice_sent(&self, number: u64) -> Result<(), Refused> {
        self.store(|shared| shared.sent = number)
    }

    fn notice_seen(&self) -> Result<u64, Refused> {
        self.load(|shared| shared.seen)
    }

    fn set_notice_seen(&self, number: u64) -> Result<(), Refused> {
        self.store(|shared| shared.seen = number)
    }

    /// Only for the eye, so that it is no part of the state.
    fn count_spurious(&self) -> Result<(), Refused> {
        self.store(|_| {})
    }
}
