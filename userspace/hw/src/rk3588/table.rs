//! Types of the register table, and the macro that turns one block's rows into constants.

/// A functional block of an NPU core. Offset bits 15 to 12 select it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Block {
    /// Program counter.
    Pc,
    /// Feature and weight DMA, convolution buffer, sequencer.
    Cna,
    /// MAC array and accumulator.
    Core,
    /// Post-processing and write DMA.
    Dpu,
    /// Read DMAs of the DPU.
    DpuRdma,
    /// Pooling.
    Ppu,
    /// Read DMA of the pooling block.
    PpuRdma,
    /// AXI read configuration.
    Ddma,
    /// AXI write configuration.
    Sdma,
    /// Enable of all blocks at once.
    Global,
}

impl Block {
    /// All blocks, by ascending offset.
    pub const ALL: [Block; 10] = [
        Block::Pc,
        Block::Cna,
        Block::Core,
        Block::Dpu,
        Block::DpuRdma,
        Block::Ppu,
        Block::PpuRdma,
        Block::Ddma,
        Block::Sdma,
        Block::Global,
    ];

    /// Name as the register tables of all drivers spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Block::Pc => "PC",
            Block::Cna => "CNA",
            Block::Core => "CORE",
            Block::Dpu => "DPU",
            Block::DpuRdma => "DPU_RDMA",
            Block::Ppu => "PPU",
            Block::PpuRdma => "PPU_RDMA",
            Block::Ddma => "DDMA",
            Block::Sdma => "SDMA",
            Block::Global => "GLOBAL",
        }
    }

    /// The block of that name.
    pub fn from_name(name: &str) -> Option<Block> {
        Block::ALL.into_iter().find(|b| b.name() == name)
    }

    /// Offset of the block's window (4 KiB) in the core's register space, in bytes.
    pub const fn base(self) -> u16 {
        match self {
            Block::Pc => 0x0000,
            Block::Cna => 0x1000,
            Block::Core => 0x3000,
            Block::Dpu => 0x4000,
            Block::DpuRdma => 0x5000,
            Block::Ppu => 0x6000,
            Block::PpuRdma => 0x7000,
            Block::Ddma => 0x8000,
            Block::Sdma => 0x9000,
            Block::Global => 0xf000,
        }
    }

    /// Destination code in command words. DDMA, SDMA and GLOBAL have none that fits a command word.
    pub const fn target(self) -> Option<u16> {
        match self {
            Block::Pc => Some(0x0101),
            Block::Cna => Some(0x0201),
            Block::Core => Some(0x0801),
            Block::Dpu => Some(0x1001),
            Block::DpuRdma => Some(0x2001),
            Block::Ppu => Some(0x4001),
            Block::PpuRdma => Some(0x8001),
            Block::Ddma | Block::Sdma | Block::Global => None,
        }
    }

    /// The block that a destination code addresses.
    pub fn from_target(target: u16) -> Option<Block> {
        Block::ALL.into_iter().find(|b| b.target() == Some(target))
    }

    /// The block whose window holds `offset`.
    pub fn from_offset(offset: u16) -> Option<Block> {
        Block::ALL.into_iter().find(|b| b.base() == offset & 0xf000)
    }
}

/// Where a register has been seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Seen {
    /// Programmed with other values than its default by software that runs on the chip.
    Programmed,
    /// Read by drivers, or by name a status; not programmed.
    ReadOnly,
    /// Written by software that runs on the chip, but only ever with 0 or one fixed value.
    DefaultOnly,
    /// Known by name only: no source writes it.
    Never,
}

/// What a field counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// One bit.
    Flag,
    /// Enumeration, described in the field's meaning.
    Code,
    /// Data precision, see [`super::codes::Precision`].
    Precision,
    /// Size of an element: 0..3 for 4, 8, 16, 32 bits.
    ElementSize,
    /// A plain quantity.
    Number,
    /// Bits without a numeric meaning, or of a meaning that depends on the precision.
    Raw,
    /// Bytes.
    Bytes,
    /// Byte address on the bus (IOVA).
    Address,
    /// Byte address divided by 16.
    Address16,
    /// Atoms of 16 bytes.
    Atoms,
    /// Pixels along one axis, or in all.
    Pixels,
    /// Rows of a feature map.
    Rows,
    /// Channels.
    Channels,
    /// Convolution kernels.
    Kernels,
    /// Surfaces (channel groups) of a cube.
    Surfaces,
    /// Banks of the convolution buffer, 32 KiB each.
    Banks,
    /// Entries of the convolution buffer, 64 bytes each.
    Entries,
    /// Bits to shift.
    Shift,
    /// Bus beats of 16 bytes.
    Beats,
    /// Fetches of 128 bits.
    Fetches,
    /// Tasks.
    Tasks,
}

/// How a quantity is coded in a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// The value itself.
    Plain,
    /// The value minus one.
    MinusOne,
    /// Two's complement of the field's width.
    Signed,
}

/// A bit field of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Name as the register tables of all drivers spell it.
    pub name: &'static str,
    /// Highest bit.
    pub high: u8,
    /// Lowest bit.
    pub low: u8,
    /// What the field counts.
    pub unit: Unit,
    /// How it is coded.
    pub coding: Coding,
    /// What it means.
    pub meaning: &'static str,
}

/// A quantity that does not fit its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value} does not fit {field} ({width} bits, {coding:?})")]
pub struct FieldOverflow {
    /// Field name.
    pub field: &'static str,
    /// The offending quantity.
    pub value: i64,
    /// Width of the field in bits.
    pub width: u32,
    /// Coding of the field.
    pub coding: Coding,
}

impl Field {
    /// Width in bits.
    #[inline]
    pub const fn width(self) -> u32 {
        self.high as u32 - self.low as u32 + 1
    }

    /// The field's bits, set.
    #[inline]
    pub const fn mask(self) -> u32 {
        (u32::MAX >> (32 - self.width())) << self.low
    }

    /// The field's bits of a register value, as they are coded.
    pub const fn get(self, word: u32) -> u32 {
        (word & self.mask()) >> self.low
    }

    /// The quantity that a register value holds in this field, by its coding.
    pub const fn value(self, word: u32) -> i64 {
        let bits = self.get(word);
        match self.coding {
            Coding::Plain => bits as i64,
            Coding::MinusOne => bits as i64 + 1,
            Coding::Signed => {
                let spare = 64 - self.width();
                ((bits as i64) << spare) >> spare
            }
        }
    }

    /// Places bits as they are coded; an error if they are too wide.
    pub const fn place(self, bits: u32) -> Result<u32, FieldOverflow> {
        if self.width() < 32 && bits >> self.width() != 0 {
            return Err(self.overflow(bits as i64));
        }
        Ok(bits << self.low)
    }

    /// Codes a quantity (the inverse of [`Field::value`]) and places it.
    ///
    /// `DATA_CUBE_WIDTH.WIDTH` counts pixels minus one, so `encode(224)` gives 223.
    #[inline]
    pub const fn encode(self, value: i64) -> Result<u32, FieldOverflow> {
        let (lowest, highest) = self.range();
        if value < lowest || value > highest {
            return Err(self.overflow(value));
        }
        let bits = match self.coding {
            Coding::MinusOne => value - 1,
            Coding::Plain | Coding::Signed => value,
        };
        Ok(((bits as u32) << self.low) & self.mask())
    }

    /// Smallest and largest quantity that fit.
    #[inline]
    pub const fn range(self) -> (i64, i64) {
        let span = 1i64 << self.width();
        match self.coding {
            Coding::Plain => (0, span - 1),
            Coding::MinusOne => (1, span),
            Coding::Signed => (-span / 2, span / 2 - 1),
        }
    }

    const fn overflow(self, value: i64) -> FieldOverflow {
        FieldOverflow {
            field: self.name,
            value,
            width: self.width(),
            coding: self.coding,
        }
    }
}

/// A register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Register {
    /// The block it belongs to.
    pub block: Block,
    /// Offset from the core's base, in bytes.
    pub offset: u16,
    /// Name as the register tables of all drivers spell it.
    pub name: &'static str,
    /// Fields, from the highest bit down. Bits in no field are reserved.
    pub fields: &'static [Field],
    /// What it is for.
    pub meaning: &'static str,
    /// Where it has been seen.
    pub seen: Seen,
}

impl Register {
    /// All bits that belong to a field.
    pub const fn defined(&self) -> u32 {
        let mut bits = 0;
        let mut i = 0;
        while i < self.fields.len() {
            bits |= self.fields[i].mask();
            i += 1;
        }
        bits
    }

    /// The field of that name.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|f| f.name == name)
    }
}

/// Declares the registers of one block: a constant per register, a module per register with a
/// constant per field, and the block's `REGISTERS` slice. Rows are in ascending offset order.
macro_rules! registers {
    ($block:ident; $(
        $offset:literal $name:ident $module:ident $seen:ident $meaning:literal {
            $($field:ident [$high:literal : $low:literal] $unit:ident $coding:ident $what:literal,)*
        }
    )*) => {
        $(
            #[doc = concat!($meaning, ".")]
            pub const $name: $crate::rk3588::table::Register = $crate::rk3588::table::Register {
                block: $crate::rk3588::table::Block::$block,
                offset: $offset,
                name: stringify!($name),
                fields: &[$($module::$field),*],
                meaning: $meaning,
                seen: $crate::rk3588::table::Seen::$seen,
            };

            #[doc = concat!("Fields of `", stringify!($name), "`.")]
            pub mod $module {
                $(
                    #[doc = concat!("Bits ", stringify!($high), " to ", stringify!($low), ": ", $what, ".")]
                    pub const $field: $crate::rk3588::table::Field = $crate::rk3588::table::Field {
                        name: stringify!($field),
                        high: $high,
                        low: $low,
                        unit: $crate::rk3588::table::Unit::$unit,
                        coding: $crate::rk3588::table::Coding::$coding,
                        meaning: $what,
                    };
                )*
            }
        )*

        /// All registers of this block, by ascending offset.
        pub const REGISTERS: &[$crate::rk3588::table::Register] = &[$($name),*];
    };
}
pub(crate) use registers;
