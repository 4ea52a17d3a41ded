//! Chips: identity as the kernel reads it, and the parameters of the NN and TP units, which no
//! register gives.

use crate::facts::parameters;

/// What identifies a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Model.
    pub model: u32,
    /// Revision.
    pub revision: u32,
    /// Product.
    pub product: u32,
    /// Engineering change.
    pub eco: u32,
    /// Customer.
    pub customer: u32,
}

/// The NPU of the Amlogic A311D.
pub const A311D: Identity = Identity {
    model: 0x8000,
    revision: 0x7120,
    product: 0x4508_0009,
    eco: 0,
    customer: 0x88,
};

/// First feature word of the A311D.
pub const A311D_FEATURE: u32 = 0xe028_7cac;
/// Minor feature words 0 to 5 of the A311D: those that have a register.
pub const A311D_MINOR_FEATURES: [u32; 6] = [
    0xc179_9eff,
    0xfefb_fadb,
    0xeb9d_6fbf,
    0xedff_fced,
    0xd30d_afc7,
    0x7b5a_c333,
];

parameters! {
    /// Parameters of the NN and TP units.
    Parameters;
    /// The A311D.
    A311D_PARAMETERS, A311D_FACTS;

    nn_cores: u32 = 8, "cores", Silicon,
        "NN cores, which share every job", "the vendor's feature database; Mesa's jobs divide by it";
    mads_per_core: u32 = 64, "units", Silicon,
        "Multiply-add units of an NN core; each takes 6 taps of a k x k kernel or 3 channels of 1x1", "the vendor's feature database";
    input_buffer_depth: u32 = 12, "lines", Silicon,
        "Input buffer of an NN core", "the vendor's feature database; Mesa's tiles divide by it";
    accum_buffer_depth: u32 = 64, "rows", Silicon,
        "Accumulator of an NN core", "the vendor's feature database; Mesa's tiles divide by it";
    tp_cores: u32 = 4, "cores", Silicon,
        "TP cores", "the vendor's feature database";
    vip_sram_bytes: u32 = 0x8_0000, "bytes", Silicon,
        "SRAM on the chip for images and coefficients", "the vendor's feature database; Mesa caches in it";
    axi_sram_bytes: u32 = 0x10_0000, "bytes", Silicon,
        "SRAM on the bus", "the vendor's feature database";
    zrl_bits: u32 = 5, "bits", Silicon,
        "Widest zero-run field of a coefficient stream", "the vendor's feature database; Mesa's streams run";
    max_kernel: u32 = 11, "taps", Silicon,
        "Largest kernel along an axis", "the vendor's feature database";
    max_offset: i32 = 7, "pixels", Inferred,
        "Largest input offset (the smallest is minus one less)", "4 bits of IN_IMAGE_X_OFFSET, signed";
    clock_hz: u32 = 800_000_000, "Hz", Silicon,
        "Clock of the cores", "device trees";
    bus_bytes: u32 = 16, "bytes per cycle", Silicon,
        "Width of the bus", "the vendor's feature database";
}

/// Largest image width or height in an NN descriptor.
pub const MAX_IMAGE: u32 = 8191;
/// Widest output tile.
pub const MAX_TILE_X: u32 = 64;

/// Lines of the input that share a row of the input buffer, for an output tile this wide.
pub const fn interleave(tile_x: u32, kernel_y: u32) -> u32 {
    let span = kernel_y + tile_x - 1;
    if span > 36 {
        return 1;
    }
    let most = match tile_x {
        33.. => 1,
        17..=32 => 2,
        9..=16 => 4,
        _ => 8,
    };
    let limit = if span > 18 { 4 } else { 2 };
    if most < limit { most } else { limit }
}
