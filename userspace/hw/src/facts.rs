//! A chip's parameters as a structure of plain values, with the grade and the source of each.

use crate::Grade;

/// What supports a parameter of a chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Name of the parameter.
    pub name: &'static str,
    /// Unit of the value.
    pub unit: &'static str,
    /// How well the value is supported.
    pub grade: Grade,
    /// What supports it.
    pub source: &'static str,
}

/// Declares the structure of a family's parameters, the values of one chip, and the table of what
/// supports these.
macro_rules! parameters {
    (
        $(#[$struct_meta:meta])* $struct:ident;
        $(#[$chip_meta:meta])* $chip:ident, $facts:ident;
        $($field:ident: $type:ty = $value:expr, $unit:literal, $grade:ident,
            $meaning:literal, $source:literal;)*
    ) => {
        $(#[$struct_meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct $struct {
            $(
                #[doc = concat!($meaning, ", in ", $unit, ".")]
                pub $field: $type,
            )*
        }

        $(#[$chip_meta])*
        pub const $chip: $struct = $struct {
            $($field: $value,)*
        };

        #[doc = concat!("What supports the values of [`", stringify!($chip), "`].")]
        pub const $facts: &[$crate::facts::Fact] = &[
            $($crate::facts::Fact {
                name: stringify!($field),
                unit: $unit,
                grade: $crate::Grade::$grade,
                source: $source,
            },)*
        ];
    };
}
pub(crate) use parameters;
