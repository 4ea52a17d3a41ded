//! Register state of a core: two groups per block, and the rules by which they alternate.

use super::fault::{FaultKind, documented};
use ferrite_hw::rk3588::parameters::RK3588;
use ferrite_hw::rk3588::table::{Block, Field, Register};
use ferrite_hw::rk3588::{cna, dpu};

/// Words of one group; the highest register offset in a block is below 0x200.
const WORDS: usize = 0x80;
/// Entries of one DPU table.
const LUT: usize = RK3588.lut_entries;

/// The blocks that a command list programs, in the order of their state.
const BLOCKS: [Block; 6] = [
    Block::Cna,
    Block::Core,
    Block::Dpu,
    Block::DpuRdma,
    Block::Ppu,
    Block::PpuRdma,
];

fn index(block: Block) -> Option<usize> {
    BLOCKS.iter().position(|&b| b == block)
}

/// One block's registers.
#[derive(Clone)]
struct BlockState {
    groups: [[u32; WORDS]; 2],
    /// Group that writes go to.
    pointer: usize,
    /// Group that runs.
    executer: usize,
    /// Last value of S_POINTER.
    s_pointer: u32,
    /// S_POINTER was written since the block last ran.
    armed: bool,
}

/// Register state of all blocks, kept from task to task and from job to job until reset.
#[derive(Clone)]
pub(super) struct State {
    blocks: Vec<BlockState>,
    /// LE and LO; none where nothing was written since the reset.
    lut: Box<[[Option<i16>; LUT]; 2]>,
    lut_cursor: usize,
}

impl State {
    pub(super) fn new() -> Self {
        let block = BlockState {
            groups: [[0; WORDS]; 2],
            pointer: 0,
            executer: 0,
            s_pointer: 0,
            armed: false,
        };
        State {
            blocks: vec![block; BLOCKS.len()],
            lut: Box::new([[None; LUT]; 2]),
            lut_cursor: 0,
        }
    }

    /// A register write by command list (`bus` false) or over the bus.
    pub(super) fn write(
        &mut self,
        register: &Register,
        value: u32,
        bus: bool,
    ) -> Result<(), FaultKind> {
        let Some(block) = index(register.block) else {
            return Err(FaultKind::Undocumented {
                register: register.name,
                value,
                why: "commands do not reach this block",
            });
        };
        match register.offset & 0xfff {
            0x004 => return self.write_pointer(block, value, bus),
            0x000 | 0x008 => {
                return documented(
                    false,
                    register.name,
                    value,
                    "no source writes block status or block enable",
                );
            }
            _ => {}
        }
        documented(
            value & !register.defined() == 0,
            register.name,
            value,
            "sets reserved bits",
        )?;
        documented(
            value == 0 || !register.name.starts_with("UNKNOWN"),
            register.name,
            value,
            "only ever written 0",
        )?;
        self.write_lut(register, value)?;
        let state = &mut self.blocks[block];
        state.groups[state.pointer][usize::from(register.offset & 0xfff) / 4] = value;
        Ok(())
    }

    /// The write pointer. While it toggles by itself its bit 0 is not taken from the value: every
    /// segment writes 0xe, and yet the groups alternate.
    fn write_pointer(&mut self, block: usize, value: u32, bus: bool) -> Result<(), FaultKind> {
        use cna::s_pointer as bits;
        // Mainline's driver writes its core number to bits [29:28] over the bus.
        let ignored = if bus { 0x3000_0000 } else { 0 };
        let defined = cna::S_POINTER.defined() & !bits::EXECUTER.mask();
        documented(
            value & !(defined | ignored) == 0,
            "S_POINTER",
            value,
            "sets reserved or read-only bits",
        )?;
        let state = &mut self.blocks[block];
        if bits::POINTER_PP_CLEAR.get(value) != 0 {
            state.pointer = 0;
        }
        if bits::EXECUTER_PP_CLEAR.get(value) != 0 {
            state.executer = 0;
        }
        if bits::POINTER_PP_EN.get(value) == 0 {
            state.pointer = bits::POINTER.get(value) as usize;
        }
        state.s_pointer = value;
        state.armed = true;
        Ok(())
    }

    fn write_lut(&mut self, register: &Register, value: u32) -> Result<(), FaultKind> {
        use dpu::lut_access_cfg as access;
        if register.offset == dpu::LUT_ACCESS_CFG.offset {
            let table = access::LUT_TABLE_ID.get(value) as usize;
            self.lut_cursor = table * LUT + access::LUT_ADDR.get(value) as usize;
        } else if register.offset == dpu::LUT_ACCESS_DATA.offset {
            let cfg = self.blocks[2].groups[self.blocks[2].pointer]
                [usize::from(dpu::LUT_ACCESS_CFG.offset & 0xfff) / 4];
            // Streams that use no table write 0 to both registers, in read mode.
            if access::LUT_ACCESS_TYPE.get(cfg) != 0 {
                let (table, entry) = (self.lut_cursor / LUT, self.lut_cursor % LUT);
                documented(
                    table < 2,
                    "LUT_ACCESS_DATA",
                    value,
                    "writes past the end of the tables",
                )?;
                self.lut[table][entry] = Some(value as i16);
                self.lut_cursor += 1;
            }
        }
        Ok(())
    }

    /// Starts the blocks: returns the executing group of each started block and toggles both
    /// pointers for the next task.
    pub(super) fn start(&mut self, blocks: &[Block], chained: bool) -> Result<Running, FaultKind> {
        use cna::s_pointer as bits;
        let mut groups = [0; BLOCKS.len()];
        for &block in blocks {
            let i = index(block).unwrap_or_default();
            let state = &mut self.blocks[i];
            // CNA and CORE are armed once, by the driver.
            if chained && !state.armed && i >= 2 {
                return Err(FaultKind::Segment {
                    why: "a chained segment does not write S_POINTER of a block that it starts: \
                          the block would run the previous configuration",
                    value: u32::from(block.base()),
                });
            }
            state.armed = false;
            groups[i] = state.executer;
            if bits::POINTER_PP_EN.get(state.s_pointer) != 0 {
                state.pointer ^= 1;
            }
            if bits::EXECUTER_PP_EN.get(state.s_pointer) != 0 {
                state.executer ^= 1;
            }
        }
        Ok(Running { groups })
    }

    /// The registers that a started task sees.
    pub(super) fn view(&self, running: Running) -> Registers<'_> {
        Registers {
            state: self,
            running,
        }
    }
}

/// The executing group of each block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Running {
    groups: [usize; BLOCKS.len()],
}

impl Running {
    /// Executing group (0 or 1) of a block.
    pub(super) fn group(self, block: Block) -> usize {
        index(block).map_or(0, |i| self.groups[i])
    }
}

/// Register values of a running task.
#[derive(Clone, Copy)]
pub(super) struct Registers<'a> {
    state: &'a State,
    running: Running,
}

impl Registers<'_> {
    /// A register's value.
    pub(super) fn word(&self, register: Register) -> u32 {
        index(register.block).map_or(0, |i| {
            self.state.blocks[i].groups[self.running.groups[i]]
                [usize::from(register.offset & 0xfff) / 4]
        })
    }

    /// A field as it is coded.
    pub(super) fn bits(&self, register: Register, field: Field) -> u32 {
        field.get(self.word(register))
    }

    /// A field's quantity.
    pub(super) fn value(&self, register: Register, field: Field) -> i64 {
        field.value(self.word(register))
    }

    /// The tables LE and LO, if both have been loaded whole.
    pub(super) fn tables(&self) -> Option<[Vec<i16>; 2]> {
        let [le, lo] = &*self.state.lut;
        let whole = |table: &[Option<i16>; LUT]| table.iter().copied().collect::<Option<Vec<_>>>();
        Some([whole(le)?, whole(lo)?])
    }

    /// What S_POINTER of a block was set to last.
    pub(super) fn s_pointer(&self, block: Block) -> u32 {
        index(block).map_or(0, |i| self.state.blocks[i].s_pointer)
    }

    /// A flag.
    pub(super) fn flag(&self, register: Register, field: Field) -> bool {
        self.bits(register, field) != 0
    }
}
