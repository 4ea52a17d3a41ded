//! Numeric codes that are not register fields: precisions, command targets, the enable mask.

/// Data precision codes of the `*_PRECISION` fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Precision {
    /// 8-bit integer.
    Int8 = 0,
    /// 16-bit integer.
    Int16 = 1,
    /// IEEE half.
    Fp16 = 2,
    /// bfloat16.
    Bf16 = 3,
    /// 32-bit integer; DPU side only.
    Int32 = 4,
    /// IEEE single; DPU side only.
    Fp32 = 5,
    /// 4-bit integer.
    Int4 = 6,
    /// fp32 storage with 10 mantissa bits used; CNA and CORE side only.
    Tf32 = 7,
}

impl Precision {
    /// All codes in order.
    pub const ALL: [Precision; 8] = [
        Precision::Int8,
        Precision::Int16,
        Precision::Fp16,
        Precision::Bf16,
        Precision::Int32,
        Precision::Fp32,
        Precision::Int4,
        Precision::Tf32,
    ];

    /// The precision of a code (its low three bits).
    pub const fn from_code(code: u32) -> Precision {
        Precision::ALL[(code & 7) as usize]
    }

    /// Short name.
    pub const fn name(self) -> &'static str {
        match self {
            Precision::Int8 => "int8",
            Precision::Int16 => "int16",
            Precision::Fp16 => "fp16",
            Precision::Bf16 => "bf16",
            Precision::Int32 => "int32",
            Precision::Fp32 => "fp32",
            Precision::Int4 => "int4",
            Precision::Tf32 => "tf32",
        }
    }

    /// Bits of one element in memory.
    pub const fn bits(self) -> u32 {
        match self {
            Precision::Int4 => 4,
            Precision::Int8 => 8,
            Precision::Int16 | Precision::Fp16 | Precision::Bf16 => 16,
            Precision::Int32 | Precision::Fp32 | Precision::Tf32 => 32,
        }
    }
}

/// The usual value of S_POINTER: both toggles on, the pointer follows itself.
pub const S_POINTER_PING_PONG: u32 = 0xe;
/// S_POINTER of tasks that use the DPU's tables: both toggles off, both pointers back at group 0, so that
/// nothing is loaded for the next task while they run.
pub const S_POINTER_ALONE: u32 = 0x30;
/// What VERSION reads on a board: ASCII "FIRE".
pub const VERSION_FIRE: u32 = 0x4649_5245;

/// Masks of the raw interrupt register. Group 0 of a pair is the lower bit.
pub mod interrupt {
    /// CNA fetched all features (either register group).
    pub const CNA_FEATURE: u32 = 0x3;
    /// CNA fetched all weights.
    pub const CNA_WEIGHT: u32 = 0xc;
    /// The CNA sequencer is done.
    pub const CNA_CSC: u32 = 0x30;
    /// The MAC array is done.
    pub const CORE: u32 = 0xc0;
    /// The DPU is done: how convolutions and element-wise tasks complete.
    pub const DPU: u32 = 0x300;
    /// The PPU is done.
    pub const PPU: u32 = 0xc00;
    /// A DMA read failed.
    pub const DMA_READ_ERROR: u32 = 0x1000;
    /// A DMA write failed.
    pub const DMA_WRITE_ERROR: u32 = 0x2000;
    /// All implemented bits; the reset value of INTERRUPT_MASK.
    pub const ALL: u32 = 0x1_ffff;
}

/// The setting of the DPU's two tables that all known integer programs use: 512 steps of 32 from -16384 to
/// 0 (LE) and from 0 to 16384 (LO).
pub mod lut {
    /// LUT_CFG: LO has priority for hits in both tables and for overflows; multiplexer 2.
    pub const CFG: u32 = 0x68;
    /// LUT_INFO: steps of 2^5 in both tables.
    pub const INFO: u32 = 0x5_0500;
    /// Size of a step, log2.
    pub const STEP_LOG2: u32 = 5;
    /// LE_START, LE_END, LO_START and LO_END.
    pub const DOMAIN: [i32; 4] = [-16384, 0, 0, 16384];
    /// LUT_ACCESS_CFG for writing LE from its first entry on.
    pub const WRITE_LE: u32 = 0x2_0000;
    /// LUT_ACCESS_CFG for writing LO.
    pub const WRITE_LO: u32 = 0x3_0000;
}

/// Functions of the element-wise stage: values of EW_ALU_ALGO that are known on integers.
pub mod elementwise {
    /// The larger of two values; with EW_EQUAL_EN.
    pub const MAXIMUM: u32 = 0;
    /// The smaller of two values; with EW_EQUAL_EN.
    pub const MINIMUM: u32 = 1;
    /// The sum.
    pub const ADD: u32 = 2;
    /// The difference.
    pub const SUBTRACT: u32 = 4;
}

/// Block bits of the enable word.
pub mod enable {
    /// CNA.
    pub const CNA: u32 = 1 << 0;
    /// CORE.
    pub const CORE: u32 = 1 << 2;
    /// DPU.
    pub const DPU: u32 = 1 << 3;
    /// DPU_RDMA.
    pub const DPU_RDMA: u32 = 1 << 4;
    /// PPU.
    pub const PPU: u32 = 1 << 5;
    /// PPU_RDMA.
    pub const PPU_RDMA: u32 = 1 << 6;
    /// A convolution whose DPU needs no operand.
    pub const CONVOLUTION: u32 = CNA | CORE | DPU;
    /// A convolution with bias or element-wise operand.
    pub const CONVOLUTION_RDMA: u32 = CONVOLUTION | DPU_RDMA;
    /// The DPU alone (flying mode).
    pub const FLYING: u32 = DPU | DPU_RDMA;
    /// The PPU alone.
    pub const POOLING: u32 = PPU | PPU_RDMA;

    /// Bit and name of each block.
    pub const NAMES: [(u32, &str); 6] = [
        (CNA, "CNA"),
        (CORE, "CORE"),
        (DPU, "DPU"),
        (DPU_RDMA, "DPU_RDMA"),
        (PPU, "PPU"),
        (PPU_RDMA, "PPU_RDMA"),
    ];
}
