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
//! or `#hash` with the FNV-1a hash of their bytes, which names data that is not in the text. For
//! graphs written by hand there is `random seed=1`, and `random seed=1 from=-9 to=9` for a part of
//! the type's range: integers made by [`random_elements`], which print as the others do.
//!
//! A line that begins with `;` is a comment. The graph ends with the text or at a line `----`.

mod attributes;
mod constants;
mod cursor;
mod parse;
mod print;

pub use constants::{ContentHash, random_elements};
pub use cursor::{Cursor, Expected, ParseError};
pub use parse::{parse, parse_with};
pub use print::{Constants, print};

/// Begins a line that is a comment.
const COMMENT: char = ';';

/// The line behind a graph that is not the end of its text.
pub const END: &str = "----";

/// Bytes of a constant that a text may ask for as `random`: a bound for hostile texts.
const RANDOM_LIMIT: usize = 64 << 20;

/// Whether a text is meant to be a graph in this form, right or wrong: it begins, after comments,
/// with the keyword.
pub fn is_graph(text: &str) -> bool {
    let lines = text.lines().map(str::trim_start);
    let mut content = lines.filter(|line| !(line.is_empty() || line.starts_with(COMMENT)));
    content
        .next()
        .is_some_and(|line| line.starts_with("graph "))
}
