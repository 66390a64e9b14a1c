//! The notifier and the handoff region, for C.

use crate::errno::{EALREADY, ECANCELED, EINVAL, EPROTO};
use handoff_abi::region::{self, REGION_SIZE};
use notifier::ops::ControlWords as _;
use notifier::second::Nmi;
use notifier::state::Refused;
use notifier::{first, second};
use shared_page::Section;

/// Sections that have a page header from the start.
const HEADED: &[region::Section] = region::SECTIONS;

/// # Safety
/// `region` is a mapped handoff region of [`REGION_SIZE`] bytes, or null.
pub(crate) unsafe fn section(region: *mut u8, which: region::Section) -> Result<Section, i32> {
    // SAFETY: the caller's promise; a null pointer is refused by `Section::new`.
    unsafe { Section::new(region, REGION_SIZE, which) }.map_err(|_| -EINVAL)
}

/// A refusal as an error number.
fn errno(why: Refused) -> i32 {
    match why {
        Refused::State(word) | Refused::Raced(word) => {
            defmt::warn!(
                "refused in state {=u8} of stop {=u64}",
                word.state.0,
                word.sequence
            );
            match notifier::state::owner(word.state) {
                Some(notifier::state::Owner::Second) => -EALREADY,
                _ => -ECANCELED,
            }
        }
        Refused::Sequence(word) => {
            defmt::error!("the stop word is of stop {=u64}", word.sequence);
            -EPROTO
        }
        Refused::Unknown(word) => {
            defmt::error!("the stop word holds the unknown state {=u8}", word.state.0);
            -EPROTO
        }
        Refused::Page => -EINVAL,
    }
}

/// Runs `act` on the control page, and makes an error number of its refusal.
unsafe fn on_control<T>(
    region: *mut u8,
    act: impl FnOnce(&Section) -> Result<T, Refused>,
) -> Result<T, i32> {
    // SAFETY: the caller's promise.
    let control = unsafe { section(region, region::CONTROL) }?;
    act(&control).map_err(errno)
}

fn status(result: Result<(), i32>) -> i32 {
    result.err().unwrap_or(0)
}

/// Checks the header of every section of a region, and that all are of one handover.
///
/// # Safety
/// `region` is null or a mapped handoff region of `REGION_SIZE` bytes.
#[no_mangle]
pub unsafe extern "C" fn baton_region_check(region: *mut u8) -> i32 {
    let mut generation = None;
    for &which in HEADED {
        // SAFETY: the caller's promise.
        let section = match unsafe { section(region, which) } {
            Ok(section) => section,
            Err(error) => return error,
        };
        let header = match section.header() {
            Ok(header) => header,
            Err(_) => return -EPROTO,
        };
        if *generation.get_or_insert(header.generation) != header.generation {
            return -EPROTO;
        }
    }
    0
}

/// Number of the next stop, into `sequence`.
///
/// # Safety
/// As for [`baton_region_check`]; `sequence` is a valid pointer.
#[no_mangle]
pub unsafe extern "C" fn baton_stop_sequence(region: *mut u8, sequence: *mut u64) -> i32 {
    // SAFETY: the caller's promise.
    match unsafe { on_control(region, first::next_sequence) } {
        Ok(number) => {
            // SAFETY: the caller's promise.
            unsafe { sequence.write(number) };
            0
        }
        Err(error) => error,
    }
}

/// Publishes `STOPPED` and counts the notice that the caller sends next.
///
/// # Safety
/// As for [`baton_region_check`].
#[no_mangle]
pub unsafe extern "C" fn baton_stop_publish(region: *mut u8, sequence: u64) -> i32 {
    defmt::info!("stop {=u64}: all other CPUs are parked", sequence);
    // SAFETY: the caller's promise.
    status(unsafe { on_control(region, |control| first::stop(control, sequence)) })
}

/// Takes the machine back. `-EALREADY`: the 2nd OS has committed.
///
/// # Safety
/// As for [`baton_region_check`].
#[no_mangle]
pub unsafe extern "C" fn baton_stop_abort(region: *mut u8, sequence: u64) -> i32 {
    // SAFETY: the caller's promise.
    let result = unsafe { on_control(region, |control| first::abort(control, sequence)) };
    defmt::warn!("stop {=u64}: aborted ({=i32})", sequence, status(result));
    status(result)
}

/// The stop word; all ones if the page cannot be read.
///
/// # Safety
/// As for [`baton_region_check`].
#[no_mangle]
pub unsafe extern "C" fn baton_stop_word(region: *mut u8) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { section(region, region::CONTROL) }
        .ok()
        .and_then(|control| control.stop_word().ok())
        .unwrap_or(u64::MAX)
}

/// For each NMI, in NMI context: 1 if it is a new notice. Nothing here logs or locks.
///
/// # Safety
/// As for [`baton_region_check`].
#[no_mangle]
pub unsafe extern "C" fn baton_notice_on_nmi(region: *mut u8) -> i32 {
    // SAFETY: the caller's promise.
    let Ok(control) = (unsafe { section(region, region::CONTROL) }) else {
        return 0;
    };
    matches!(second::on_nmi(&control), Ok(Nmi::Notice)).into()
}

/// Takes the machine; the stop's number into `sequence`.
///
/// # Safety
/// As for [`baton_stop_sequence`].
#[no_mangle]
pub unsafe extern "C" fn baton_notice_take(region: *mut u8, sequence: *mut u64) -> i32 {
    // SAFETY: the caller's promise.
    match unsafe { on_control(region, second::take) } {
        Ok(number) => {
            defmt::info!("stop {=u64}: taken", number);
            // SAFETY: the caller's promise.
            unsafe { sequence.write(number) };
            0
        }
        Err(error) => error,
    }
}

/// Passes the point of no return.
///
/// # Safety
/// As for [`baton_region_check`].
#[no_mangle]
pub unsafe extern "C" fn baton_notice_do_commit(region: *mut u8, sequence: u64) -> i32 {
    // SAFETY: the caller's promise.
    status(unsafe { on_control(region, |control| second::commit(control, sequence)) })
}

/// Gives the machine back to the 1st OS.
///
/// # Safety
/// As for [`baton_region_check`].
#[no_mangle]
pub unsafe extern "C" fn baton_notice_do_give_back(region: *mut u8, sequence: u64) -> i32 {
    defmt::warn!("stop {=u64}: given back", sequence);
    // SAFETY: the caller's promise.
    status(unsafe { on_control(region, |control| second::give_back(control, sequence)) })
}
