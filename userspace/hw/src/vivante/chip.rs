//! Chips: identity as the kernel reads it, and the parameters of the NN and TP units, which no
//! register gives.

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

/// Parameters of the NN and TP units (the vendor's feature database).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Parameters {
    /// NN cores.
    pub nn_cores: u32,
    /// Multiply-add units of a core; each takes 6 taps of a k x k kernel or 3 channels of 1x1.
    pub mads_per_core: u32,
    /// Lines of the input buffer of a core.
    pub input_buffer_depth: u32,
    /// Rows of the accumulator of a core.
    pub accum_buffer_depth: u32,
    /// TP cores.
    pub tp_cores: u32,
    /// On-chip SRAM for images and coefficients, in bytes.
    pub vip_sram_bytes: u32,
    /// SRAM on the bus, in bytes.
    pub axi_sram_bytes: u32,
    /// Widest zero-run field of a coefficient stream, in bits.
    pub zrl_bits: u32,
    /// Largest kernel width and height.
    pub max_kernel: u32,
    /// Largest input offset (the smallest is minus one less).
    pub max_offset: i32,
    /// Core clock in Hz.
    pub clock_hz: u32,
    /// Bytes of the bus per cycle.
    pub bus_bytes: u32,
}

/// Parameters of the A311D.
pub const A311D_PARAMETERS: Parameters = Parameters {
    nn_cores: 8,
    mads_per_core: 64,
    input_buffer_depth: 12,
    accum_buffer_depth: 64,
    tp_cores: 4,
    vip_sram_bytes: 0x8_0000,
    axi_sram_bytes: 0x10_0000,
    zrl_bits: 5,
    max_kernel: 11,
    max_offset: 7,
    clock_hz: 800_000_000,
    bus_bytes: 16,
};

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
