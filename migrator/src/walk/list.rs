//! `struct list_head` and `struct hlist_head`.

use handoff_abi::descriptor::MemberId;

use crate::address::ForeignVa;
use crate::budget::Remaining;
use crate::descriptor::structure;
use crate::error::{Error, Fault};
use crate::memory::ForeignMemory;
use crate::view::View;

/// Finds a chain that comes back to itself, in constant space (Brent): a mark is left behind
/// at every power of two of steps, and meeting it again is a cycle. It is found after at most
/// three times as many steps as the chain has distinct links.
#[derive(Clone, Copy, Debug)]
pub struct CycleGuard {
    mark: ForeignVa,
    steps: u64,
    next_mark: u64,
}

impl CycleGuard {
    /// For a chain that starts at `start`.
    #[must_use]
    pub const fn new(start: ForeignVa) -> Self {
        Self {
            mark: start,
            steps: 0,
            next_mark: 1,
        }
    }

    /// Whether the step to `at` closes a cycle.
    pub fn closes(&mut self, at: ForeignVa) -> bool {
        if at == self.mark {
            return true;
        }
        self.steps = self.steps.saturating_add(1);
        if self.steps == self.next_mark {
            self.mark = at;
            self.next_mark = self.next_mark.saturating_mul(2);
        }
        false
    }
}

/// Every link is a pointer to the next at its start, in lists of both kinds.
const ALIGNMENT: u64 = 8;

/// The objects of a list.
pub struct List<'v, M> {
    view: &'v View<'v, M>,
    /// Null for a chain that ends with a null pointer.
    head: ForeignVa,
    link: ForeignVa,
    member: MemberId,
    guard: CycleGuard,
    bound: Remaining,
}

impl<'v, M: ForeignMemory> List<'v, M> {
    /// The objects that hang by their `member` in the `struct list_head` at `head`.
    #[must_use]
    pub fn new(view: &'v View<'v, M>, head: ForeignVa, member: MemberId, bound: Remaining) -> Self {
        Self {
            view,
            head,
            link: head,
            member,
            guard: CycleGuard::new(ForeignVa::NULL),
            bound,
        }
    }

    /// The objects that hang by their `member` in the `struct hlist_head` at `head`.
    #[must_use]
    pub fn new_hlist(
        view: &'v View<'v, M>,
        head: ForeignVa,
        member: MemberId,
        bound: Remaining,
    ) -> Self {
        let guard = CycleGuard::new(head);
        Self {
            view,
            head: ForeignVa::NULL,
            link: head,
            member,
            guard,
            bound,
        }
    }

    /// The next object, or `None` at the end.
    ///
    /// # Errors
    /// If a link cannot be read, the list is a cycle beside its head, or longer than the bound.
    /// The list cannot be continued then.
    pub fn next_object(&mut self) -> Result<Option<ForeignVa>, Error> {
        let object = structure(self.member);
        let next = ForeignVa::new(self.view.read_u64(object, self.link)?);
        if next == self.head {
            return Ok(None);
        }
        let error = |fault| Error::new(object, next, fault);
        if next.is_null() {
            return Err(Error::new(object, self.link, Fault::Null));
        }
        if !next.is_aligned(ALIGNMENT) {
            return Err(error(Fault::Misaligned));
        }
        if self.guard.closes(next) {
            return Err(error(Fault::Cycle));
        }
        self.bound.take(1, object, next)?;
        self.link = next;
        self.view.container_of(next, self.member).map(Some)
    }
}
