// SPDX-License-Identifier: GPL-2.0-only
//! The registers of a core that the driver itself touches.
//!
//! PC is the program counter, which fetches a task's register commands; CNA loads features and
//! weights; CORE multiplies. All other blocks are programmed by the commands alone.

use crate::abstractions::{
    mmio::Mmio,
    platform::Device, //
};
use crate::batch::Start;
use crate::policy::validate::DMA_ERRORS;
use kernel::{
    fmt,
    prelude::*, //
};

const WINDOW: usize = 0x1000;

/// PC registers.
mod pc {
    pub(super) const VERSION: usize = 0x00;
    pub(super) const VERSION_NUM: usize = 0x04;
    /// Bit 0 starts the fetcher.
    pub(super) const OPERATION_ENABLE: usize = 0x08;
    /// Address of the commands; bit 0 instead lets the CPU write to the blocks.
    pub(super) const BASE_ADDRESS: usize = 0x10;
    /// Pairs of commands, minus one.
    pub(super) const REGISTER_AMOUNTS: usize = 0x14;
    pub(super) const INTERRUPT_MASK: usize = 0x20;
    pub(super) const INTERRUPT_CLEAR: usize = 0x24;
    /// Raw bits that the mask lets through.
    pub(super) const INTERRUPT_STATUS: usize = 0x28;
    pub(super) const INTERRUPT_RAW_STATUS: usize = 0x2c;
    pub(super) const TASK_CON: usize = 0x30;
    pub(super) const TASK_DMA_BASE_ADDR: usize = 0x34;
    pub(super) const TASK_STATUS: usize = 0x3c;
}

/// In the CNA and CORE windows: what the register groups do.
const S_STATUS: usize = 0x00;
/// In the CNA and CORE windows: which of the two register groups is written, and which runs.
const S_POINTER: usize = 0x04;
/// Both groups take turns, by pointer.
const PING_PONG: u32 = 0xe;
/// All interrupts of the PC.
const ALL_INTERRUPTS: u32 = 0x1ffff;
/// Of `TASK_CON`, beside the number of tasks: ping-pong; clear the count; bit 14 is always written
/// as one.
const TASKS: u32 = 0x7000;
/// Of `TASK_STATUS`: tasks that have ended.
const ENDED: u32 = 0xfff;
/// After power-up these may be set, and only a reset clears them.
const STUCK: u32 = 0xc000_0000;

/// The register windows of a core.
pub(crate) struct Hardware {
    pc: Mmio<WINDOW>,
    cna: Mmio<WINDOW>,
    core: Mmio<WINDOW>,
    pointer: u32,
}

/// What the PC says, for reports.
#[derive(Clone, Copy, Default)]
pub(crate) struct Snapshot {
    /// Raw interrupt bits.
    pub(crate) interrupts: u32,
    /// Address of the commands.
    pub(crate) base: u32,
    /// Pairs of commands, minus one.
    pub(crate) amount: u32,
    /// Task counters.
    pub(crate) status: u32,
    /// Tasks that were asked for.
    pub(crate) tasks: u32,
    /// Status and pointer of the CNA, and of the CORE.
    pub(crate) blocks: [(u32, u32); 2],
}

impl Snapshot {
    /// Tasks of a chain that have ended, as far as the counter tells.
    pub(crate) fn ended(&self) -> u32 {
        self.status & ENDED
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "commands {:#x}, amount {:#x}, interrupts {:#x}, tasks {:#x}",
            self.base, self.amount, self.interrupts, self.status
        )
    }
}

impl Hardware {
    /// Maps the windows of core `index`.
    pub(crate) fn new(device: &Device, index: usize) -> Result<Self> {
        Ok(Hardware {
            pc: Mmio::new(device, c"pc")?,
            cna: Mmio::new(device, c"cna")?,
            core: Mmio::new(device, c"core")?,
            // As mainline does; the bits' meaning is not known.
            pointer: PING_PONG | (index as u32) << 28,
        })
    }

    /// The version, as the vendor's driver computes it.
    pub(crate) fn version(&self) -> u32 {
        self.pc
            .read::<{ pc::VERSION }>()
            .wrapping_add(self.pc.read::<{ pc::VERSION_NUM }>() & 0xffff)
    }

    /// Starts a task, or a chain of tasks.
    #[inline]
    pub(crate) fn start(&self, start: &Start) {
        self.launch(start, start.commands.done | DMA_ERRORS);
    }

    /// Starts a task whose end is asked for: it raises no interrupt.
    pub(crate) fn start_muted(&self, start: &Start) {
        self.launch(start, 0);
    }

    #[inline]
    fn launch(&self, start: &Start, mask: u32) {
        let commands = &start.commands;
        self.pc.write::<{ pc::BASE_ADDRESS }>(1);
        self.cna.write::<S_POINTER>(self.pointer);
        self.core.write::<S_POINTER>(self.pointer);
        self.pc.write::<{ pc::BASE_ADDRESS }>(commands.address);
        self.pc.write::<{ pc::REGISTER_AMOUNTS }>(commands.amount);
        self.pc.write::<{ pc::INTERRUPT_CLEAR }>(ALL_INTERRUPTS);
        self.pc.write::<{ pc::INTERRUPT_MASK }>(mask);
        self.pc.write::<{ pc::TASK_CON }>(TASKS | start.tasks);
        self.pc.write::<{ pc::TASK_DMA_BASE_ADDR }>(0);
        self.pc.write::<{ pc::OPERATION_ENABLE }>(1);
    }

    /// Raw interrupt bits.
    #[inline]
    pub(crate) fn interrupts(&self) -> u32 {
        self.pc.read::<{ pc::INTERRUPT_RAW_STATUS }>()
    }

    /// Whether the core holds its interrupt line.
    pub(crate) fn holds_line(&self) -> bool {
        self.pc.read::<{ pc::INTERRUPT_STATUS }>() != 0
    }

    /// Ends a task that has completed. What follows is a [`start`](Self::start) or
    /// [`disarm`](Self::disarm).
    #[inline]
    pub(crate) fn stop(&self) {
        self.pc.write::<{ pc::OPERATION_ENABLE }>(0);
    }

    /// Keeps the core from raising interrupts until the next start, and releases its line.
    #[inline]
    pub(crate) fn disarm(&self) {
        self.pc.write::<{ pc::INTERRUPT_MASK }>(0);
    }

    /// Drops interrupts that the running task did not ask for, and waits for those that it did.
    pub(crate) fn rearm(&self, start: &Start) {
        let expected = start.commands.done | DMA_ERRORS;
        self.pc.write::<{ pc::INTERRUPT_MASK }>(expected);
        self.pc.write::<{ pc::INTERRUPT_CLEAR }>(ALL_INTERRUPTS & !expected);
    }

    /// The task counter: tasks of a chain that have ended.
    pub(crate) fn counter(&self) -> u32 {
        self.pc.read::<{ pc::TASK_STATUS }>() & ENDED
    }

    /// [`disarm`](Self::disarm)s, and forgets what interrupts there were.
    pub(crate) fn mute(&self) {
        self.disarm();
        self.pc.write::<{ pc::INTERRUPT_CLEAR }>(ALL_INTERRUPTS);
    }

    /// Whether the core came up in a state that only a reset ends.
    pub(crate) fn needs_reset(&self) -> bool {
        self.interrupts() & STUCK != 0
    }

    /// What the PC says.
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            interrupts: self.interrupts(),
            base: self.pc.read::<{ pc::BASE_ADDRESS }>(),
            amount: self.pc.read::<{ pc::REGISTER_AMOUNTS }>(),
            status: self.pc.read::<{ pc::TASK_STATUS }>(),
            tasks: self.pc.read::<{ pc::TASK_CON }>() & ENDED,
            blocks: [
                (self.cna.read::<S_STATUS>(), self.cna.read::<S_POINTER>()),
                (self.core.read::<S_STATUS>(), self.core.read::<S_POINTER>()),
            ],
        }
    }
}
