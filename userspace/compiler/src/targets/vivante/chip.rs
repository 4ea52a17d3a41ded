//! Limits of the A311D's VIPNano-QI in the units of this compiler.

use ferrite_hw::vivante::chip::{A311D_PARAMETERS as A311D, MAX_IMAGE, MAX_TILE_X as TILE_X};

/// NN cores.
pub const CORES: usize = A311D.nn_cores as usize;
/// Lines of a core's input buffer.
pub const INPUT_DEPTH: usize = A311D.input_buffer_depth as usize;
/// Rows of a core's accumulator buffer.
pub const ACCUM_DEPTH: usize = A311D.accum_buffer_depth as usize;
/// Widest zero run field of a coefficient symbol, in bits.
pub const MAX_RUN_BITS: u32 = A311D.zrl_bits;
/// Bytes of on-chip SRAM for images and coefficients.
pub const SRAM: usize = A311D.vip_sram_bytes as usize;
/// Bytes at its start through which images are streamed.
pub const SRAM_STREAMING: usize = 0x800;
/// Widest output tile.
pub const MAX_TILE_X: usize = TILE_X as usize;
/// Most kernels a core can hold at once.
pub const MAX_KERNELS: usize = 127;
/// Largest kernel, in taps along an axis.
pub const MAX_KERNEL: usize = A311D.max_kernel as usize;
/// Widest kernel whose coefficient order has been seen on silicon.
pub const PROVEN_KERNEL: usize = 6;
/// Furthest that the first tap may lie before the image.
pub const MAX_PAD: usize = A311D.max_offset as usize + 1;
/// Furthest that it has been seen to lie before the image on silicon.
pub const PROVEN_PAD: usize = 2;
/// Largest image extent along x and y.
pub const MAX_EXTENT: usize = MAX_IMAGE as usize;
/// Most output channels.
pub const MAX_OUTPUTS: usize = 16383;
/// Most input channels.
pub const MAX_INPUTS: usize = 0xfffff;
/// Alignment of coefficient streams and descriptors in bytes.
pub const ALIGN: usize = 64;
