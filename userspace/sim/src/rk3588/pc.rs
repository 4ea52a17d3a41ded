//! The program counter: fetches segments, distributes their words, starts blocks, follows links.

use super::core::{Core, Outcome, Start};
use super::counters::Counters;
use super::fault::{Check, DmaUnit, FaultKind, aligned, documented};
use super::state::Running;
use crate::memory::Memory;
use ferrite_hw::rk3588::codes::{enable, interrupt};
use ferrite_hw::rk3588::command::{ENABLE_OFFSET, TARGET_ENABLE, TARGET_MARKER};
use ferrite_hw::rk3588::table::Block;
use ferrite_hw::rk3588::{Command, pc};

/// Where a segment says that the next one is.
#[derive(Clone, Copy, Default)]
struct Link {
    address: u32,
    amount: u32,
}

impl Core {
    /// Runs all segments of a kick; returns the raw interrupt bits of the last task.
    pub(super) fn run_segments(
        &mut self,
        memory: &dyn Memory,
        start: Start,
        outcome: &mut Outcome,
    ) -> Check<u32> {
        let total = pc::task_con::TASK_NUMBER.get(start.task_con);
        // Bit 14 has no name; both drivers write it.
        documented(
            start.task_con & !0x7fff == 0,
            "PC.TASK_CON",
            start.task_con,
            "sets reserved bits",
        )?;
        if total == 0 {
            return Err(FaultKind::Segment {
                why: "TASK_NUMBER is 0: nothing to run",
                value: start.task_con,
            });
        }
        if start.dma_base != 0 {
            return Err(FaultKind::Hang("TASK_DMA_BASE_ADDR is not 0"));
        }
        let mut next = Link {
            address: start.base,
            amount: start.amount,
        };
        loop {
            self.check_abort()?;
            let mut counters = Counters::default();
            let segment = self.run_segment(memory, next, outcome.tasks > 0, &mut counters);
            counters.estimate_task(&self.config);
            if outcome.tasks > 0 {
                counters.estimated_ns += (self.config.timing.task * 1e9) as u64;
            }
            outcome.counters += counters;
            let (raw, link) = segment?;
            outcome.tasks += 1;
            self.task_ended();
            outcome.counters.tasks += 1;
            if outcome.tasks == total {
                return Ok(raw);
            }
            if link.address == 0 {
                return Err(FaultKind::Hang(
                    "more tasks are to run but the segment has no link",
                ));
            }
            next = link;
        }
    }

    fn run_segment(
        &mut self,
        memory: &dyn Memory,
        at: Link,
        chained: bool,
        counters: &mut Counters,
    ) -> Check<(u32, Link)> {
        aligned("PC.BASE_ADDRESS", at.address, 16)?;
        let fetches = pc::register_amounts::PC_DATA_AMOUNT.value(at.amount);
        documented(
            at.amount & !0x3_ffff == 0,
            "PC.REGISTER_AMOUNTS",
            at.amount,
            "sets reserved bits",
        )?;
        documented(
            at.amount >> 16 == 0,
            "PC.REGISTER_AMOUNTS",
            at.amount,
            "synchronises cores, which is unknown",
        )?;
        let mut bytes = vec![0; fetches as usize * 16];
        memory
            .read(u64::from(at.address), &mut bytes)
            .map_err(FaultKind::memory(DmaUnit::Commands))?;
        counters.command_bytes += bytes.len() as u64;
        let words = bytes
            .chunks_exact(8)
            .map(|b| b.iter().rev().fold(0u64, |w, &b| w << 8 | u64::from(b)));

        let mut link = Link::default();
        let mut marked = false;
        let mut started = None;
        for (i, word) in words.enumerate() {
            let bad = |why| FaultKind::Command {
                index: i,
                word,
                why,
            };
            let command = Command::decode(word);
            if word == 0 {
                continue;
            }
            if started.is_some() {
                return Err(bad("follows the enable word"));
            }
            match command.target {
                TARGET_MARKER if command.value == 0 && command.offset == 0 => marked = true,
                TARGET_ENABLE if command.offset == ENABLE_OFFSET => {
                    if !marked {
                        return Err(bad("no marker word precedes the enable word"));
                    }
                    started = Some(command.value);
                }
                _ => {
                    let register = command
                        .register()
                        .ok_or_else(|| bad("addresses no known register"))?;
                    if register.block != Block::Pc {
                        self.state.write(register, command.value, false)?;
                    } else if register.offset == pc::BASE_ADDRESS.offset {
                        link.address = command.value;
                    } else if register.offset == pc::REGISTER_AMOUNTS.offset {
                        link.amount = command.value;
                    } else {
                        return Err(bad("a command list only writes the PC's link registers"));
                    }
                }
            }
        }
        let mask = started.ok_or(FaultKind::Segment {
            why: "no enable word within the amount",
            value: at.amount,
        })?;
        let raw = self.run_task(memory, mask, chained, counters)?;
        Ok((raw, link))
    }

    fn run_task(
        &mut self,
        memory: &dyn Memory,
        mask: u32,
        chained: bool,
        counters: &mut Counters,
    ) -> Check<u32> {
        let known = [
            enable::CONVOLUTION,
            enable::CONVOLUTION_RDMA,
            enable::FLYING,
            enable::POOLING,
        ];
        documented(
            known.contains(&mask),
            "enable",
            mask,
            "no source starts this set of blocks",
        )?;
        let blocks: Vec<Block> = enable::NAMES
            .iter()
            .filter(|(bit, _)| mask & bit != 0)
            .filter_map(|(_, name)| Block::from_name(name))
            .collect();
        let running = self.state.start(&blocks, chained)?;
        match mask {
            enable::POOLING => self.run_pooling(memory, running, counters)?,
            enable::FLYING => self.run_flying(memory, running, counters)?,
            _ => self.run_convolution(
                memory,
                running,
                mask & enable::DPU_RDMA != 0,
                chained,
                counters,
            )?,
        }
        Ok(completion(mask, running))
    }
}

/// Raw interrupt bits of a finished task; bit 0 of each pair is group 0.
fn completion(mask: u32, running: Running) -> u32 {
    let bit = |pair: u32, block| (pair & 0x5555) << running.group(block);
    let mut raw = 0;
    if mask & enable::CNA != 0 {
        raw |= bit(interrupt::CNA_FEATURE, Block::Cna)
            | bit(interrupt::CNA_WEIGHT, Block::Cna)
            | bit(interrupt::CNA_CSC, Block::Cna)
            | bit(interrupt::CORE, Block::Core);
    }
    if mask & enable::DPU != 0 {
        raw |= bit(interrupt::DPU, Block::Dpu);
    }
    if mask & enable::PPU != 0 {
        raw |= bit(interrupt::PPU, Block::Ppu);
    }
    raw
}
