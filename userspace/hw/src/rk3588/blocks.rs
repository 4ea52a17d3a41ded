//! The registers of each block.

use super::table::{Block, Register};
use super::{cna, core, ddma, dpu, dpu_rdma, global, pc, ppu, ppu_rdma, sdma};

impl Block {
    /// The block's registers, by ascending offset.
    pub const fn registers(self) -> &'static [Register] {
        match self {
            Block::Pc => pc::REGISTERS,
            Block::Cna => cna::REGISTERS,
            Block::Core => core::REGISTERS,
            Block::Dpu => dpu::REGISTERS,
            Block::DpuRdma => dpu_rdma::REGISTERS,
            Block::Ppu => ppu::REGISTERS,
            Block::PpuRdma => ppu_rdma::REGISTERS,
            Block::Ddma => ddma::REGISTERS,
            Block::Sdma => sdma::REGISTERS,
            Block::Global => global::REGISTERS,
        }
    }

    /// The block's register at `offset` (from the core's base).
    pub fn register(self, offset: u16) -> Option<&'static Register> {
        let all = self.registers();
        all.binary_search_by_key(&offset, |r| r.offset)
            .ok()
            .map(|i| &all[i])
    }

    /// The block's register of that name.
    pub fn register_named(self, name: &str) -> Option<&'static Register> {
        self.registers().iter().find(|r| r.name == name)
    }
}
