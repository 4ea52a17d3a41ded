//! From a TP descriptor to a checked job.

use crate::vivante::config::Config;
use crate::vivante::fault::{Check, FaultKind, expect, fixed, no_reserved};
use ferrite_hw::vivante::{Field, Words, tp};

/// Most elements of a job; the descriptor's fields would allow far more.
const MAX_ELEMENTS: u64 = 1 << 26;

/// One loop of the output's addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Loop {
    /// Bytes that an iteration advances.
    pub inc: i64,
    /// Iterations; 0 = to the edge of the tile.
    pub count: u32,
    /// Starts again at the edge of a tile.
    pub reset: bool,
}

/// A job as the unit runs it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Job {
    pub in_address: u32,
    pub width: u32,
    pub height: u32,
    pub depth: u32,
    pub stride: u32,
    pub slice: u32,
    /// First and last column and row of the window.
    pub x: (i32, i32),
    pub y: (i32, i32),
    /// Border planes before the first and behind the last.
    pub overfetch: (u32, u32),
    pub tile: (u32, u32),
    pub tile_inc: (u32, u32),
    pub out_address: u32,
    pub loops: [Loop; 7],
    pub in_zero_point: i32,
    pub out_zero_point: i32,
    pub border: i32,
    /// Multiplier (15 bits behind a leading 1) and right shift of the result.
    pub multiplier: u32,
    pub shift: i32,
    /// Table of the piece-wise linear function.
    pub table_address: Option<u32>,
}

impl Job {
    pub(super) fn decode(words: &Words, config: &Config) -> Check<Job> {
        no_reserved(tp::FIELDS, words)?;
        let get = |field: &Field| field.get_u32(words);
        if get(&tp::ALU_HORZ_PROC_COUNT) != 0 || get(&tp::IN_TILE_SEQUENCE) != 0 {
            return Err(FaultKind::NotModelled("fully connected TP jobs"));
        }
        only_known(words)?;
        let signed = |field: &Field| field.get(words) as i32;
        let mut loops = [Loop::default(); 7];
        for (index, (l, inc)) in loops.iter_mut().zip(tp::LOOP_INCREMENTS).enumerate() {
            l.inc = inc.get(words);
            l.count = tp::LOOP_COUNTS.get(index).map_or(0, |count| get(count));
            l.reset = match index {
                1 => get(&tp::OUT_LOOP_1_RESET) != 0,
                2 => get(&tp::OUT_LOOP_2_RESET) != 0,
                3 => get(&tp::OUT_LOOP_3_RESET) != 0,
                _ => false,
            };
        }
        let shift = get(&tp::ALU_OUTPUT_POSTSHIFT) as i32;
        let job = Job {
            in_address: get(&tp::IN_IMAGE_BASE_ADDRESS),
            width: get(&tp::IN_IMAGE_X_SIZE),
            height: get(&tp::IN_IMAGE_Y_SIZE),
            depth: get(&tp::IN_IMAGE_Z_SIZE),
            stride: get(&tp::IN_IMAGE_STRIDE),
            slice: get(&tp::IN_IMAGE_SLICE),
            x: (signed(&tp::IN_WINDOW_X_START), signed(&tp::IN_WINDOW_X_END)),
            y: (signed(&tp::IN_WINDOW_Y_START), signed(&tp::IN_WINDOW_Y_END)),
            overfetch: (
                get(&tp::IN_WINDOW_Z_START_OVERFETCH),
                get(&tp::IN_WINDOW_Z_END_OVERFETCH),
            ),
            tile: (get(&tp::IN_TILE_X_SIZE), get(&tp::IN_TILE_Y_SIZE)),
            tile_inc: (get(&tp::IN_TILE_X_INC), get(&tp::IN_TILE_Y_INC)),
            out_address: get(&tp::OUT_IMAGE_BASE_ADDRESS),
            loops,
            in_zero_point: signed(&tp::IN_ZERO_POINT),
            out_zero_point: signed(&tp::OUT_ZERO_POINT),
            border: i32::from(get(&tp::IN_IMAGE_BORDER_CONST) as i16),
            multiplier: get(&tp::ALU_OUTPUT_POST_MULTIPLIER),
            shift: if shift >= 64 { shift - 128 } else { shift },
            table_address: (get(&tp::ALU_PWL_ENABLE) != 0).then(|| get(&tp::ALU_PWL_LUT_ADDRESS)),
        };
        job.check(words, config)?;
        Ok(job)
    }

    /// Elements of the window, border planes included.
    pub(super) fn elements(&self) -> u64 {
        let span = |(first, last): (i32, i32)| u64::from((last - first + 1) as u32);
        let depth = self.depth + self.overfetch.0 + self.overfetch.1;
        (span(self.x) * span(self.y)).saturating_mul(depth.into())
    }

    fn check(&self, words: &Words, config: &Config) -> Check {
        for (field, size) in [
            (&tp::IN_IMAGE_X_SIZE, self.width),
            (&tp::IN_IMAGE_Y_SIZE, self.height),
            (&tp::IN_IMAGE_Z_SIZE, self.depth),
            (&tp::IN_TILE_X_SIZE, self.tile.0),
            (&tp::IN_TILE_Y_SIZE, self.tile.1),
        ] {
            expect(field, words, size > 0, "a size of 0")?;
        }
        let why = "the window is empty";
        expect(&tp::IN_WINDOW_X_END, words, self.x.0 <= self.x.1, why)?;
        expect(&tp::IN_WINDOW_Y_END, words, self.y.0 <= self.y.1, why)?;
        let why = "tiles that do not join";
        expect(
            &tp::IN_TILE_X_INC,
            words,
            self.tile_inc.0 == self.tile.0,
            why,
        )?;
        expect(
            &tp::IN_TILE_Y_INC,
            words,
            self.tile_inc.1 == self.tile.1,
            why,
        )?;
        let why = "rows overlap";
        expect(&tp::IN_IMAGE_STRIDE, words, self.stride >= self.width, why)?;
        for (index, (l, count)) in self.loops.iter().zip(tp::LOOP_COUNTS).enumerate() {
            let known = l.count > 0 || (index == 1 || index == 2) && l.reset;
            let why = "a count of 0 is known only of loops 1 and 2 that restart";
            expect(count, words, known, why)?;
        }
        let input = u64::from(self.width) * u64::from(self.height);
        let input = input.saturating_mul(self.depth.into());
        if self.elements().max(input) > MAX_ELEMENTS {
            return Err(FaultKind::NotModelled("TP jobs of more than 2^26 elements"));
        }
        config.usual(
            self.overfetch.0 <= 1 && self.overfetch.1 <= 1,
            "over-fetch of more than one plane",
        )?;
        config.usual(self.border == 0, "a TP border that is not the zero point")?;
        let identity = self.multiplier == 0 && self.shift == 0;
        if self.table_address.is_none() {
            config.usual(
                identity && self.in_zero_point == self.out_zero_point,
                "rescaling by TP without a table",
            )?;
        }
        config.usual(self.table_address.is_none(), "interpolation in TP tables")
    }
}

/// Fields with one value in all jobs whose meaning is documented.
fn only_known(words: &Words) -> Check {
    const UNUSED: [&Field; 26] = [
        &tp::IN_TILE_GLOBAL_MEM,
        &tp::ALU_SQUARE_ENABLE,
        &tp::ALU_HORZ_PROCESSING,
        &tp::ALU_HORZ_PROC_STRIDE,
        &tp::ALU_VERT_PROCESSING,
        &tp::ALU_VERT_PROC_COUNT,
        &tp::ALU_VERT_PROC_STRIDE,
        &tp::ALU_NMS_ENABLE,
        &tp::ALU_MULT_ENABLE,
        &tp::IN_TILE_LIST_ADDRESS,
        &tp::OUT_TILE_SKIP_AT_BORDER,
        &tp::OUT_BRICK_MODE,
        &tp::ALU_Z_FILTER_MODE,
        &tp::ALU_SQUARE_PRESHIFT,
        &tp::IN_IMAGE_DATA_TYPE,
        &tp::OUT_IMAGE_DATA_TYPE,
        &tp::ALU_RELU_ENABLE,
        &tp::ALU_FILTER_PWL_SWAP,
        &tp::ALU_INPUT_PRESHIFT,
        &tp::ALU_REORDER_BITS_USED,
        &tp::ALU_REORDER_LOOP_2_MODE,
        &tp::IN_IMAGE_BORDER_MODE,
        &tp::IN_CIRCULAR_SIZE,
        &tp::OUT_CIRCULAR_SIZE,
        &tp::COEF_ZERO_POINT,
        &tp::OUT_LOOP_5_INC,
    ];
    for field in UNUSED {
        fixed(words, &[(field, 0)])?;
    }
    let table = tp::ALU_PWL_ENABLE.get(words);
    fixed(
        words,
        &[
            (&tp::IN_IMAGE_GLOBAL_MEM, 1),
            (&tp::OUT_IMAGE_GLOBAL_MEM, 1),
            (&tp::ALU_I2F_ENABLE, 1),
            (&tp::ALU_F2I_ENABLE, 1),
            (&tp::LAST, 1),
            (&tp::FLAT_ROUNDING_MODE, 1),
            (&tp::INTEGER_ROUNDING_MODE, 1),
            (&tp::IN_CIRCULAR_END, 0xffff_ffc0),
            (&tp::OUT_CIRCULAR_END, 0xffff_ffc0),
            (&tp::ALU_LOAD_PWL_LUT, table),
            (&tp::ALU_LOAD_PWL_LUT_GLOBAL_MEM, table),
            (&tp::ALU_PWL_SIGN_SUPPORT, table),
        ],
    )
}
