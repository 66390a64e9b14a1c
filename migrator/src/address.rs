//! Addresses of the 1st OS. Neither type has plain arithmetic: every step is checked.

macro_rules! address {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        pub struct $name(u64);

        impl $name {
            /// The address with this number.
            #[must_use]
            pub const fn new(raw: u64) -> Self {
                Self(raw)
            }

            /// Its number.
            #[must_use]
            pub const fn raw(self) -> u64 {
                self.0
            }

            /// `bytes` further on, or `None` beyond the end of the address space.
            #[must_use]
            pub fn checked_add(self, bytes: u64) -> Option<Self> {
                self.0.checked_add(bytes).map(Self)
            }

            /// `bytes` before, or `None` before the start of the address space.
            #[must_use]
            pub fn checked_sub(self, bytes: u64) -> Option<Self> {
                self.0.checked_sub(bytes).map(Self)
            }

            /// Bytes from `start` to here, or `None` if this is before `start`.
            #[must_use]
            pub fn offset_from(self, start: Self) -> Option<u64> {
                self.0.checked_sub(start.0)
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, concat!(stringify!($name), "({:#x})"), self.0)
            }
        }
    };
}

address! {
    /// A physical address of the machine.
    PhysAddr
}

address! {
    /// A kernel-virtual address of the 1st OS: a claim until it was translated.
    ForeignVa
}

impl ForeignVa {
    /// The null pointer.
    pub const NULL: Self = Self(0);

    /// Whether it is the null pointer.
    #[must_use]
    pub const fn is_null(self) -> bool {
        self.0 == 0
    }

    /// Whether it is a multiple of `alignment`, a power of two.
    #[must_use]
    pub const fn is_aligned(self, alignment: u64) -> bool {
        self.0 & alignment.wrapping_sub(1) == 0
    }
}
