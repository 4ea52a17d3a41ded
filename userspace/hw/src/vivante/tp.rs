//! Descriptor of a tensor-processing job: a window of a 3-D input, streamed through a small ALU
//! and written by a generator of addresses with seven nested loops.
//!
//! Input element (x, y, z) is at `IN_IMAGE_BASE_ADDRESS + z * IN_IMAGE_SLICE +
//! y * IN_IMAGE_STRIDE + x`. The n-th element goes to `OUT_IMAGE_BASE_ADDRESS` plus the sum of
//! each loop's counter times its increment; loop 0 is the innermost.

use super::field::{Words, fields};

fields! {
    IN_IMAGE_X_SIZE (0 [15:0]) Pixels Plain Silicon "input width",
    IN_IMAGE_Y_SIZE (1 [15:0]) Pixels Plain Silicon "input height",
    IN_IMAGE_Z_SIZE (1 [31:16]) Channels Plain Silicon "input planes",
    IN_IMAGE_STRIDE (2 [15:0]) Bytes Plain Silicon "bytes of an input row",
    IN_IMAGE_SLICE (3 [31:0]) Bytes Plain Silicon "bytes of an input plane",
    IN_WINDOW_X_START (4 [15:0]) Pixels Signed Silicon "first column read; columns outside the input are border",
    IN_WINDOW_Y_START (4 [31:16]) Pixels Signed Silicon "first row read; rows outside the input are border",
    IN_WINDOW_X_END (5 [15:0]) Pixels Signed Silicon "last column read",
    IN_WINDOW_Y_END (5 [31:16]) Pixels Signed Silicon "last row read",
    IN_TILE_SEQUENCE (6 [1:0]) Code Plain Silicon "order of tiles; 0 but for fully connected (3)",
    IN_TILE_GLOBAL_MEM (6 [2:2]) Flag Plain Silicon "tile list in memory; always 0",
    IN_IMAGE_GLOBAL_MEM (6 [3:3]) Flag Plain Silicon "input in memory rather than on-chip",
    ALU_I2F_ENABLE (6 [4:4]) Flag Plain Silicon "convert to float; always 1",
    ALU_SQUARE_ENABLE (6 [5:5]) Flag Plain Silicon "square; always 0",
    ALU_HORZ_PROCESSING (6 [8:6]) Code Plain Silicon "horizontal processing; 0",
    ALU_HORZ_PROC_COUNT (6 [14:9]) Number Plain Silicon "horizontal count; fully connected: outputs minus 1",
    ALU_HORZ_PROC_STRIDE (6 [15:15]) Flag Plain Silicon "horizontal stride; 0",
    ALU_VERT_PROCESSING (6 [17:16]) Code Plain Silicon "vertical processing; 0",
    ALU_VERT_PROC_COUNT (6 [24:19]) Number Plain Silicon "vertical count; 0",
    ALU_VERT_PROC_STRIDE (6 [25:25]) Flag Plain Silicon "vertical stride; 0",
    ALU_NMS_ENABLE (6 [26:26]) Flag Plain Silicon "non-maximum suppression; 0",
    ALU_PWL_ENABLE (6 [27:27]) Flag Plain Silicon "piece-wise linear function from the table",
    ALU_MULT_ENABLE (6 [28:28]) Flag Plain Silicon "multiply; 0",
    ALU_F2I_ENABLE (6 [29:29]) Flag Plain Silicon "convert back from float; always 1",
    ALU_LOAD_PWL_LUT (6 [30:30]) Flag Plain Silicon "load the table",
    ALU_LOAD_PWL_LUT_GLOBAL_MEM (6 [31:31]) Flag Plain Silicon "table, or fully-connected kernel, in memory",
    IN_TILE_LIST_ADDRESS (7 [31:0]) Address Plain Silicon "list of tiles; always 0",
    IN_TILE_X_SIZE (8 [15:0]) Pixels Plain Silicon "width of a tile",
    IN_TILE_Y_SIZE (8 [31:16]) Pixels Plain Silicon "height of a tile",
    IN_TILE_X_INC (9 [15:0]) Pixels Plain Silicon "columns between tiles",
    IN_TILE_Y_INC (9 [31:16]) Pixels Plain Silicon "rows between tiles",
    IN_IMAGE_BASE_ADDRESS (10 [31:0]) Address Plain Silicon "input",
    ALU_PWL_LUT_ADDRESS (11 [31:0]) Address Plain Silicon "1024 words of the table; kernel of a fully-connected job",
    OUT_TILE_SKIP_AT_BORDER (12 [0:0]) Flag Plain Silicon "skip at the border; 0",
    OUT_IMAGE_GLOBAL_MEM (12 [1:1]) Flag Plain Silicon "output in memory rather than on-chip",
    OUT_LOOP_1_RESET (12 [2:2]) Flag Plain Inferred "loop 1 starts again at the edge of a tile",
    OUT_LOOP_2_RESET (12 [3:3]) Flag Plain Inferred "loop 2 starts again at the edge of a tile",
    OUT_LOOP_3_RESET (12 [4:4]) Flag Plain Inferred "loop 3 starts again at the edge of a tile",
    OUT_BRICK_MODE (12 [5:5]) Flag Plain Silicon "brick layout; 0",
    ALU_Z_FILTER_MODE (12 [6:6]) Flag Plain Silicon "filter along z; 0",
    IN_WINDOW_Z_START_OVERFETCH (12 [9:8]) Channels Plain Silicon "border planes before the first",
    IN_WINDOW_Z_END_OVERFETCH (12 [12:11]) Channels Plain Silicon "border planes behind the last",
    ALU_SQUARE_PRESHIFT (12 [17:14]) Shift Plain Silicon "0",
    IN_IMAGE_DATA_TYPE (12 [20:18]) DataType Plain Silicon "type of the input",
    OUT_IMAGE_DATA_TYPE (12 [23:21]) DataType Plain Silicon "type of the output",
    ALU_PWL_SIGN_SUPPORT (12 [28:28]) Flag Plain Silicon "the table has entries for negative arguments",
    ALU_RELU_ENABLE (12 [29:29]) Flag Plain Silicon "clamp negative values; unused",
    NO_FLUSH (12 [30:30]) Flag Plain Silicon "1 on all parts of a split job but the last",
    LAST (12 [31:31]) Flag Plain Silicon "always 1",
    OUT_IMAGE_BASE_ADDRESS (13 [31:0]) Address Plain Silicon "output",
    OUT_LOOP_0_INC (14 [31:0]) Bytes Signed Silicon "increment of loop 0",
    OUT_LOOP_1_INC (15 [31:0]) Bytes Signed Silicon "increment of loop 1",
    OUT_LOOP_0_COUNT (16 [15:0]) Number Plain Silicon "iterations of loop 0",
    OUT_LOOP_1_COUNT (16 [31:16]) Number Plain Silicon "iterations of loop 1; 0 = to the edge of the tile",
    OUT_LOOP_2_INC (17 [31:0]) Bytes Signed Silicon "increment of loop 2",
    OUT_LOOP_3_INC (18 [31:0]) Bytes Signed Silicon "increment of loop 3",
    OUT_LOOP_2_COUNT (19 [15:0]) Number Plain Silicon "iterations of loop 2; 0 = to the edge of the tile",
    OUT_LOOP_3_COUNT (19 [31:16]) Number Plain Silicon "iterations of loop 3",
    OUT_LOOP_4_INC (20 [31:0]) Bytes Signed Silicon "increment of loop 4",
    OUT_LOOP_5_INC (21 [31:0]) Bytes Signed Silicon "increment of loop 5",
    OUT_LOOP_4_COUNT (22 [15:0]) Number Plain Silicon "iterations of loop 4",
    OUT_LOOP_5_COUNT (22 [31:16]) Number Plain Silicon "iterations of loop 5",
    OUT_LOOP_6_INC (23 [31:0]) Bytes Signed Silicon "increment of the outermost loop",
    ALU_FILTER_PWL_SWAP (24 [0:0]) Flag Plain Silicon "0",
    FLAT_ROUNDING_MODE (24 [2:1]) Code Plain Silicon "1",
    INTEGER_ROUNDING_MODE (24 [4:3]) Code Plain Silicon "1 = to nearest",
    ALU_INPUT_PRESHIFT (24 [9:5]) Shift Plain Silicon "0",
    ALU_OUTPUT_POSTSHIFT (24 [14:10] 24 [27:26]) Shift Plain Silicon "right shift of the result",
    ALU_REORDER_BITS_USED (24 [18:15]) Raw Plain Silicon "0",
    ALU_REORDER_LOOP_2_MODE (24 [19:19]) Flag Plain Silicon "0",
    IN_IMAGE_BORDER_MODE (24 [25:24]) Code Plain Silicon "0 = constant",
    IN_CIRCULAR_SIZE (25 [25:0]) Bytes Granules(6) Silicon "circular input buffer; 0 = off",
    IN_CIRCULAR_END (26 [25:0]) Bytes Granules(6) Silicon "end of the circular input buffer; all ones = off",
    OUT_CIRCULAR_SIZE (27 [25:0]) Bytes Granules(6) Silicon "circular output buffer; 0 = off",
    OUT_CIRCULAR_END (28 [25:0]) Bytes Granules(6) Silicon "end of the circular output buffer; all ones = off",
    IN_IMAGE_BORDER_CONST (29 [15:0]) Number Plain Inferred "border value, after subtraction of the zero point",
    COEF_ZERO_POINT (29 [23:16]) Number Plain Silicon "zero point of fully-connected coefficients",
    IN_ZERO_POINT (29 [31:24]) Number Plain Silicon "zero point of the input",
    OUT_ZERO_POINT (30 [7:0]) Number Plain Silicon "zero point of the output",
    ALU_OUTPUT_POST_MULTIPLIER (30 [22:8]) Number Plain Silicon "15 bits of the multiplier's significand, without its leading 1",
}

/// Increments of the seven output loops, innermost first.
pub const LOOP_INCREMENTS: [&super::Field; 7] = [
    &OUT_LOOP_0_INC,
    &OUT_LOOP_1_INC,
    &OUT_LOOP_2_INC,
    &OUT_LOOP_3_INC,
    &OUT_LOOP_4_INC,
    &OUT_LOOP_5_INC,
    &OUT_LOOP_6_INC,
];

/// Counts of the output loops that have one, innermost first.
pub const LOOP_COUNTS: [&super::Field; 6] = [
    &OUT_LOOP_0_COUNT,
    &OUT_LOOP_1_COUNT,
    &OUT_LOOP_2_COUNT,
    &OUT_LOOP_3_COUNT,
    &OUT_LOOP_4_COUNT,
    &OUT_LOOP_5_COUNT,
];

/// What fields hold that few jobs change: memory to memory, tiles of one element, loops 3 to 5
/// once, round to nearest, circular buffers off.
pub fn defaults() -> Words {
    let mut words = [0; 32];
    words[6] = 1 << 3 | 1 << 4 | 1 << 29;
    words[8] = 1;
    words[9] = 1;
    words[12] = 1 << 1 | 1 << 31;
    words[14] = 1;
    words[19] = 1 << 16;
    words[22] = 1 | 1 << 16;
    words[24] = 1 << 1 | 1 << 3;
    words[26] = 0x03ff_ffff;
    words[28] = 0x03ff_ffff;
    words
}
