//! One macro that declares a wire type once and pins every offset of it.

/// Name, offset and size of one field, for the generated C header.
#[derive(Clone, Copy, Debug)]
pub struct AbiField {
    /// C name of the field.
    pub name: &'static str,
    /// Offset from the start of the type, bytes.
    pub offset: usize,
    /// Size, bytes.
    pub size: usize,
    /// The Rust type as it was written, for the generator.
    pub rust_type: &'static str,
}

/// A wire type as data.
#[derive(Clone, Copy, Debug)]
pub struct AbiType {
    /// Rust name of the type.
    pub name: &'static str,
    /// Size, bytes.
    pub size: usize,
    /// Fields in the order of their offsets; they cover the type without a gap.
    pub fields: &'static [AbiField],
}

/// Declares a `#[repr(C)]` wire struct with `field: type @ offset`, asserts each offset and the
/// size at compile time, and gives the type an `ABI` constant that describes it.
macro_rules! abi_struct {
    (
        $(#[$meta:meta])*
        pub struct $name:ident: $size:literal {
            $( $(#[$fmeta:meta])* pub $field:ident: $ty:ty, @ $offset:literal; )*
        }
    ) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(
            Clone, Copy, Debug,
            zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout,
        )]
        pub struct $name { $( $(#[$fmeta])* pub $field: $ty, )* }

        static_assertions::const_assert_eq!(core::mem::size_of::<$name>(), $size);
        $( static_assertions::const_assert_eq!(core::mem::offset_of!($name, $field), $offset); )*

        impl $name {
            /// This type as data: names, offsets and sizes of its fields.
            pub const ABI: $crate::AbiType = $crate::AbiType {
                name: stringify!($name),
                size: $size,
                fields: &[ $( $crate::AbiField {
                    name: stringify!($field),
                    offset: $offset,
                    size: core::mem::size_of::<$ty>(),
                    rust_type: stringify!($ty),
                }, )* ],
            };
        }
    };
}

/// Declares an open integer: a newtype with named values, where any other value stays legal.
macro_rules! open_int {
    (
        $(#[$meta:meta])*
        pub struct $name:ident($int:ty) {
            $( $(#[$vmeta:meta])* $value:ident = $number:expr, $text:literal; )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub struct $name(pub $int);

        impl $name {
            $( $(#[$vmeta])* pub const $value: Self = Self($number); )*

            /// The value in words for the operator, or `None` for a value this version does not
            /// know.
            #[must_use]
            pub const fn text(self) -> Option<&'static str> {
                $( if self.0 == $number { return Some($text); } )*
                None
            }

            /// Every value this version knows, with its C name and number.
            pub const VALUES: &'static [(&'static str, u64)] =
                &[ $( (stringify!($value), $number as u64), )* ];
        }
    };
}
