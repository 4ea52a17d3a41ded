//! The graph as text that people read and golden tests compare, and back.
//!
//! ```text
//! graph "main"
//! inputs %0
//! outputs %3
//!
//! %0 "x": uint8[1,4,4,3] scale 0.5 zero 128
//! %1 "w": uint8[2,1,1,3] scale 0.25 zero 100 = [1, 2, 3, 4, 5, 6]
//! %2 "b": int32[2] scale 0.125 zero 0 = [0, 7]
//! %3 "y": uint8[1,4,4,2] scale 0.5 zero 0
//!
//! %3 = CONV_2D(%0, %1, %2) padding=SAME stride=1x1 dilation=1x1 activation=NONE
//! ```
//!
//! Per-axis quantisation is `axis 0 scales [..] zeros [..]`; a variable ends with `variable`; an
//! omitted operand is `none`; an operator known by name only is `unknown "NAME"(..)`. Constants
//! are lists of their elements (floats by their bits, in hexadecimal), `x"..."` with their bytes,
//! or `#hash` with the FNV-1a hash of their bytes, which names data that is not in the text.

mod attributes;
mod constants;
mod cursor;
mod parse;
mod print;

pub use constants::ContentHash;
pub use cursor::{Cursor, Expected, ParseError};
pub use parse::{parse, parse_with};
pub use print::{Constants, print};
