//! The RK3588 NPU: its registers as one table, command words, and their text form.
//!
//! Each block is a module that holds one constant per register and one module per register with
//! a constant per field: `cna::DATA_SIZE0.offset`, `cna::data_size0::DATAIN_WIDTH.encode(224)?`.

pub mod asm;
mod blocks;
pub mod cna;
pub mod codes;
pub mod command;
pub mod core;
pub mod ddma;
pub mod disasm;
pub mod dpu;
pub mod dpu_rdma;
pub mod global;
pub mod parameters;
pub mod pc;
pub mod ppu;
pub mod ppu_rdma;
pub mod sdma;
pub mod table;

pub use codes::Precision;
pub use command::Command;
pub use parameters::Parameters;
pub use table::{Block, Field, FieldOverflow, Register};
