//! Every so many rows or columns of a map as one rectangle.
//!
//! A map's pixels lie one after the other, so that they can be seen as lines of any length: lines of as
//! many rows have every so-manieth row in one place, and a map of which all pixels are lines of their own
//! has the columns there.

use ferrite_hw::rk3588::Parameters;
use ferrite_ir::op::Hw;

use crate::targets::rk3588::program::{Rect, Side};

/// Rows `phase`, `phase + every` and so on.
pub fn rows(map: Side, phase: usize, every: usize) -> Side {
    let Hw { h, w } = map.grid;
    debug_assert!(h.is_multiple_of(every) && phase < every);
    Side {
        grid: Hw {
            h: h / every,
            w: w * every,
        },
        rect: Rect {
            y: 0,
            x: phase * w,
            h: h / every,
            w,
        },
        ..map
    }
}

/// Columns `phase`, `phase + every` and so on, one row after the other.
pub fn columns(map: Side, phase: usize, every: usize) -> Side {
    let Hw { h, w } = map.grid;
    debug_assert!(w.is_multiple_of(every) && phase < every);
    let pixels = h * w / every;
    Side {
        grid: Hw {
            h: pixels,
            w: every,
        },
        rect: Rect {
            y: 0,
            x: phase,
            h: pixels,
            w: 1,
        },
        ..map
    }
}

/// The whole of a map for layers that do not look at neighbours: a row that is too long for a line is as
/// well a column.
pub fn pixels(chip: &Parameters, map: Side) -> Side {
    match map.grid.h == 1 && map.grid.w > chip.max_input {
        true => columns(map, 0, 1),
        false => map,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::rk3588::program::CubeId;

    /// Numbers of the pixels of a side, in its order.
    fn pixels(side: Side) -> Vec<usize> {
        let Rect { y, x, h, w } = side.rect;
        let row = |y: usize| (x..x + w).map(move |x| y * side.grid.w + x);
        (y..y + h).flat_map(row).collect()
    }

    #[test]
    fn rows_and_columns_are_those_of_the_map() {
        let grid = Hw { h: 6, w: 4 };
        let map = Side {
            cube: CubeId::from_u32(0),
            surface: 0,
            channels: 16,
            grid,
            rect: Rect {
                y: 0,
                x: 0,
                h: 6,
                w: 4,
            },
        };
        for phase in 0..2 {
            let some = |row: bool| {
                let all = (0..24).filter(move |at| {
                    let place = if row { at / grid.w } else { at % grid.w };
                    place % 2 == phase
                });
                all.collect::<Vec<_>>()
            };
            assert_eq!(pixels(rows(map, phase, 2)), some(true));
            assert_eq!(pixels(columns(map, phase, 2)), some(false));
        }
    }
}
