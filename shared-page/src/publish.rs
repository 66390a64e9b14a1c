//! Writing: store the value, then let a live word make it visible.

use crate::{Error, Section};
use zerocopy::{Immutable, IntoBytes};

impl Section {
    /// Stores `value` at `offset`. It is visible to the other kernel no later than the next live
    /// word that the caller stores.
    ///
    /// # Errors
    /// [`Error::Offset`].
    pub fn publish<T: IntoBytes + Immutable + ?Sized>(
        &self,
        offset: usize,
        value: &T,
    ) -> Result<(), Error> {
        self.copy_in(offset, value.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use handoff_abi::header::{HeaderError, PageHeader};
    use handoff_abi::region;
    use std::alloc::{alloc_zeroed, Layout};

    #[allow(unsafe_code)]
    fn section(which: region::Section) -> Section {
        let layout = Layout::from_size_align(region::REGION_SIZE, 4096).expect("layout");
        // SAFETY: the layout is not empty.
        let memory = unsafe { alloc_zeroed(layout) };
        // SAFETY: leaked zeroed memory of the region's size, page-aligned.
        unsafe { Section::new(memory, region::REGION_SIZE, which) }.expect("fits")
    }

    #[test]
    fn what_is_published_is_read() {
        let page = section(region::CONTROL);
        assert!(matches!(
            page.header(),
            Err(Error::Header(_, HeaderError::Magic(0)))
        ));
        page.publish(0, &PageHeader::new(region::CONTROL, 7))
            .expect("inside");
        assert_eq!(page.header_of(7).expect("valid").kind, region::CONTROL.kind);
        assert!(matches!(
            page.header_of(8),
            Err(Error::Header(_, HeaderError::Generation(7)))
        ));
    }

    #[test]
    fn every_wrong_header_field_is_refused() {
        let page = section(region::TIMELINE);
        let good = PageHeader::new(region::TIMELINE, 1);
        for field in 0..5 {
            let mut bad = good;
            match field {
                0 => bad.magic ^= 1,
                1 => bad.version += 1,
                2 => bad.kind += 1,
                3 => bad.size -= 1,
                _ => bad.reserved = 1,
            }
            page.publish(0, &bad).expect("inside");
            assert!(page.header().is_err(), "field {field}");
        }
        page.publish(0, &good).expect("inside");
        assert!(page.header().is_ok());
    }

    #[test]
    fn offsets_are_checked() {
        let page = section(region::CONTROL);
        assert_eq!(page.load_u64(4092), Err(Error::Offset(4092)));
        assert_eq!(page.load_u64(33), Err(Error::Offset(33)));
        assert_eq!(
            page.store_u64(usize::MAX, 0),
            Err(Error::Offset(usize::MAX))
        );
        assert_eq!(page.publish(4095, &[0u8; 2]), Err(Error::Offset(4095)));
        assert_eq!(page.compare_exchange_u64(32, 0, 5), Ok(Ok(0)));
        assert_eq!(page.compare_exchange_u64(32, 0, 6), Ok(Err(5)));
    }
}
