//! Descriptor of a neural-network (convolution) job, generations 7 and 8.
//!
//! Images are planar: element (x, y, z) of the input is at
//! `IN_IMAGE_ADDRESS + (z * IN_IMAGE_Y_STRIDE + y) * IN_IMAGE_X_STRIDE + x`, elements are bytes.
//! Fields that only generation 8 has are said so; on the A311D (generation 7) they are 0.

use super::field::{Words, fields};

/// Element types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum DataType {
    /// Unsigned byte; the only one that any known user drives.
    Uint8 = 0,
    /// IEEE half.
    Fp16 = 1,
    /// Signed byte.
    Int8 = 2,
    /// Unsigned 16 bits.
    Uint16 = 3,
    /// Signed 16 bits.
    Int16 = 4,
    /// Unsigned 4 bits.
    Uint4 = 5,
    /// Signed 4 bits.
    Int4 = 6,
    /// bfloat16.
    Bf16 = 7,
}

/// Codes of [`POOLING`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Pooling {
    /// None.
    None = 0,
    /// Maximum.
    Max = 1,
    /// Average.
    Average = 2,
    /// Keeps the first pixel of each window: a stride of 2.
    First = 3,
}

impl Pooling {
    /// The pooling of a code (its low two bits).
    pub const fn from_code(code: u32) -> Pooling {
        match code & 3 {
            0 => Pooling::None,
            1 => Pooling::Max,
            2 => Pooling::Average,
            _ => Pooling::First,
        }
    }
}

/// Code of [`ROUNDING_MODE`] for round to nearest.
pub const ROUND_NEAREST: i64 = 1;

fields! {
    LAYER_TYPE (0 [0:0]) Code Plain Silicon "0 = convolution, 1 = fully connected",
    NO_Z_OFFSET (0 [1:1]) Flag Plain Silicon "the coefficient stream has no z-offset words",
    KERNEL_X_SIZE (0 [5:2]) Pixels Plain Silicon "kernel width",
    KERNEL_Z_SIZE (0 [19:6] 5 [31:26]) Channels Plain Silicon "input channels",
    KERNELS_PER_CORE (0 [26:20]) Kernels Plain Silicon "kernels that each core holds at once, 1 to 127",
    POOLING (0 [28:27]) Code Plain Silicon "0 = none, 1 = max, 2 = average, 3 = first pixel",
    POOLING_XY_SIZE (0 [29:29]) Code Plain Inferred "pooling window: 0 = 2x2, 1 = 3x3; 1 without pooling",
    PRELU (0 [30:30]) Flag Plain Silicon "parametric ReLU; the A311D has none",
    NN_LAYER_FLUSH (0 [31:31]) Flag Plain Silicon "flush at the end of the layer; always 1",
    KERNEL_DATA_TYPE (1 [1:0] 15 [19:19] 18 [31:31]) DataType Plain Silicon "type of the coefficients",
    IN_IMAGE_DATA_TYPE (1 [3:2] 15 [20:20] 19 [31:31]) DataType Plain Silicon "type of the input",
    OUT_IMAGE_DATA_TYPE (1 [5:4] 15 [21:21] 20 [26:26]) DataType Plain Silicon "type of the output",
    IN_IMAGE_X_SIZE (1 [18:6]) Pixels Plain Silicon "input width",
    IN_IMAGE_Y_SIZE (1 [31:19]) Pixels Plain Silicon "input height",
    IN_IMAGE_X_OFFSET (2 [2:0] 4 [16:16]) Pixels Signed Silicon "column of the first tap of output column 0",
    IN_IMAGE_Y_OFFSET (2 [5:3] 4 [17:17]) Pixels Signed Silicon "row of the first tap of output row 0",
    BRICK_MODE (2 [7:7]) Flag Plain Silicon "brick layout; never used",
    BRICK_DISTANCE (2 [23:8]) Raw Plain Silicon "brick distance; never used",
    RELU (2 [24:24]) Flag Plain Silicon "clamp negative accumulators to 0",
    POST_MULTIPLIER (2 [26:26] 15 [27:22] 17 [31:24]) Number Plain Silicon "low 15 bits of the multiplier's significand, without its leading 1",
    POST_SHIFT (2 [31:27] 15 [29:28]) Shift Plain Silicon "right shift after the multiplication",
    NO_FLUSH (3 [3:3]) Flag Plain Silicon "no flush; 0 on the A311D",
    OUT_IMAGE_X_SIZE (3 [18:6]) Pixels Plain Silicon "output width, before first-pixel pooling",
    OUT_IMAGE_Y_SIZE (3 [31:19]) Pixels Plain Silicon "output height, before first-pixel pooling",
    OUT_IMAGE_Z_SIZE (4 [13:0]) Channels Plain Silicon "output channels",
    ROUNDING_MODE (4 [15:14]) Code Plain Silicon "1 = to nearest",
    OUT_IMAGE_TILE_X_SIZE (4 [24:18]) Pixels Plain Silicon "width of an output tile, 1 to 64",
    OUT_IMAGE_TILE_Y_SIZE (4 [31:25]) Pixels Plain Silicon "height of an output tile",
    KERNEL_ADDRESS (5 [25:0]) Address Granules(6) Silicon "coefficient stream",
    IN_IMAGE_ADDRESS (6 [31:0]) Address Plain Silicon "input",
    OUT_IMAGE_ADDRESS (7 [31:0]) Address Plain Silicon "output",
    IMAGE_CACHING_MODE (8 [1:0]) Code Plain Silicon "input in on-chip SRAM: 0 = none, 1 = full, 2 = partial",
    KERNEL_CACHING_MODE (8 [3:2]) Code Plain Silicon "coefficients in on-chip SRAM: 0 = none, 1 = full, 2 = partial",
    PARTIAL_CACHE_DATA_UNIT (8 [5:4]) Raw Plain Silicon "unit of partial caching; always 0",
    KERNEL_PATTERN_MSB (8 [11:6]) Raw Plain Silicon "partial caching pattern; meaning unknown",
    KERNEL_Y_SIZE (8 [15:12]) Pixels Plain Silicon "kernel height",
    OUT_IMAGE_Y_STRIDE (8 [31:16]) Rows Plain Silicon "rows of an output plane",
    KERNEL_PATTERN_LOW (9 [31:0]) Raw Plain Silicon "partial caching pattern; meaning unknown",
    KERNEL_PATTERN_HIGH (10 [31:0]) Raw Plain Silicon "partial caching pattern; meaning unknown",
    KERNEL_CACHE_START (11 [31:0]) Bytes Plain Silicon "first byte of on-chip SRAM for coefficients",
    KERNEL_CACHE_END (12 [31:0]) Bytes Plain Silicon "end in on-chip SRAM of the coefficients",
    IMAGE_CACHE_START (13 [31:0]) Bytes Plain Silicon "first byte of on-chip SRAM for the input",
    IMAGE_CACHE_END (14 [31:0]) Bytes Plain Silicon "end in on-chip SRAM of the input",
    IN_IMAGE_BORDER_MODE (15 [1:0]) Code Plain Silicon "0 = constant",
    IN_IMAGE_BORDER_CONST (15 [17:2]) Number Plain Silicon "value of taps outside the input, as a raw byte",
    IN_IMAGE_X_STRIDE (16 [15:0]) Bytes Plain Silicon "bytes of an input row",
    IN_IMAGE_Y_STRIDE (16 [31:16]) Rows Plain Silicon "rows of an input plane",
    OUT_IMAGE_X_STRIDE (17 [15:0]) Bytes Plain Silicon "bytes of an output row",
    OUT_CIRCULAR_SIZE (18 [25:0]) Bytes Granules(6) Silicon "circular output buffer; 0 = off",
    PER_CHANNEL_POST_MUL (18 [26:26]) Flag Plain Silicon "multiplier per channel; the A311D has none",
    V8_UNNAMED (18 [28:28]) Flag Plain Silicon "generation 8: set in the vendor's jobs, meaning unknown",
    V8_IN_IMAGE_X_OFFSET_4 (18 [29:29]) Flag Plain Silicon "generation 8: bit 4 of IN_IMAGE_X_OFFSET",
    V8_IN_IMAGE_Y_OFFSET_4 (18 [30:30]) Flag Plain Silicon "generation 8: bit 4 of IN_IMAGE_Y_OFFSET",
    OUT_CIRCULAR_END (19 [25:0]) Bytes Granules(6) Silicon "end of the circular output buffer; all ones = off",
    IN_CIRCULAR_SIZE (20 [25:0]) Bytes Granules(6) Silicon "circular input buffer; 0 = off",
    IN_CIRCULAR_END (21 [25:0]) Bytes Granules(6) Silicon "end of the circular input buffer; all ones = off",
    COEF_ZERO_POINT (22 [7:0]) Number Plain Silicon "zero point of the coefficients, as an unsigned byte",
    OUT_ZERO_POINT (22 [15:8]) Number Plain Silicon "zero point of the output, as an unsigned byte",
    KERNEL_DIRECT_STREAM (22 [16:16]) Flag Plain Silicon "coefficients straight from on-chip SRAM; always 0",
    V8_DEPTHWISE (22 [17:17]) Flag Plain Silicon "generation 8: depthwise convolution",
    V8_POST_MULTIPLIER_HIGH (22 [25:18]) Number Plain Silicon "generation 8: bits 22 to 15 of the multiplier",
    UNKNOWN_28 (28 [25:0]) Raw Plain Silicon "Mesa writes all ones; ignored by the A311D",
    UNKNOWN_29 (29 [31:0]) Raw Plain Silicon "Mesa writes +infinity; ignored by the A311D",
    UNKNOWN_30 (30 [31:0]) Raw Plain Silicon "Mesa writes -infinity; ignored by the A311D",
}

/// What fields hold that no known job changes: flush on, round to nearest, circular buffers off.
pub fn defaults() -> Words {
    let mut words = [0; 32];
    words[0] = 1 << 31;
    words[4] = 1 << 14;
    words[19] = 0x03ff_ffff;
    words[21] = 0x03ff_ffff;
    words
}
