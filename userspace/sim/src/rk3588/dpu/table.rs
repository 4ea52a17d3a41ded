//! The DPU's tables LE and LO: a function of the element-wise stage's result, in steps of 32.
//!
//! How the chip rounds between two entries has not been measured, nor beyond the ends. So a value counts
//! as known if it lies on an entry, or between two that are equal; others take inferred evidence.

use super::super::config::Config;
use super::super::fault::{Check, FaultKind, documented};
use super::super::state::Registers;
use super::decode::Feed;
use ferrite_hw::Grade;
use ferrite_hw::rk3588::codes::{S_POINTER_ALONE, lut};
use ferrite_hw::rk3588::table::Block;
use ferrite_hw::rk3588::{Precision, dpu};
use std::sync::atomic::{AtomicBool, Ordering};

/// Both tables, as a task finds them.
#[derive(Debug)]
pub(crate) struct Table {
    le: Vec<i16>,
    lo: Vec<i16>,
    /// A value lay where the result is not known for sure.
    unsure: AtomicBool,
}

impl Table {
    /// Decodes and checks the registers. None: the task uses no table.
    pub(crate) fn decode(
        r: &Registers<'_>,
        config: &Config,
        feed: Feed,
        input: Precision,
    ) -> Check<Option<Table>> {
        use dpu::ew_cfg as ew;
        let word = r.word(dpu::EW_CFG);
        if ew::EW_BYPASS.get(word) != 0 || ew::EW_LUT_BYPASS.get(word) != 0 {
            return Ok(None);
        }
        documented(
            ew::EW_OP_BYPASS.get(word) != 0,
            "DPU.EW_CFG",
            word,
            "a table behind an element-wise operand of integers has not been seen",
        )?;
        if feed == Feed::Flying || input != Precision::Int8 {
            let behaviour = "integer tables without an 8-bit convolution";
            config.require(Grade::Inferred, behaviour)?;
        }
        for (register, expected) in [
            (dpu::LUT_CFG, lut::CFG),
            (dpu::LUT_INFO, lut::INFO),
            (dpu::LUT_LE_START, lut::DOMAIN[0] as u32),
            (dpu::LUT_LE_END, lut::DOMAIN[1] as u32),
            (dpu::LUT_LO_START, lut::DOMAIN[2] as u32),
            (dpu::LUT_LO_END, lut::DOMAIN[3] as u32),
        ] {
            documented(
                r.word(register) == expected,
                register.name,
                r.word(register),
                "integer programs have always had 512 steps of 32 on both sides of 0, and LUT_CFG 0x68",
            )?;
        }
        for block in [Block::Dpu, Block::DpuRdma] {
            documented(
                r.s_pointer(block) == S_POINTER_ALONE,
                "S_POINTER",
                r.s_pointer(block),
                "integer tasks with a table have always written 0x30, which keeps the next task's \
                 registers and table away while they run",
            )?;
        }
        let Some([le, lo]) = r.tables() else {
            return Err(FaultKind::Undocumented {
                register: "DPU.EW_CFG",
                value: word,
                why: "uses a table that was not loaded since the reset",
            });
        };
        Ok(Some(Table {
            le,
            lo,
            unsure: AtomicBool::new(false),
        }))
    }

    /// Looks up values, which are whole numbers.
    #[inline(always)]
    pub(super) fn look_up(&self, values: &mut [f64]) {
        let mut unsure = false;
        for x in values {
            let (value, sure) = self.entry(*x as i32);
            *x = value;
            unsure |= !sure;
        }
        if unsure {
            self.unsure.store(true, Ordering::Relaxed);
        }
    }

    /// The result, and whether it is known for sure.
    #[inline(always)]
    fn entry(&self, x: i32) -> (f64, bool) {
        let [start, _, _, end] = lut::DOMAIN;
        // Hits in both tables are LO's.
        let (table, from) = match x < 0 {
            true => (&self.le, start),
            false => (&self.lo, 0),
        };
        let inside = x.clamp(start, end) - from;
        let (at, rest) = (
            (inside >> lut::STEP_LOG2) as usize,
            inside & ((1 << lut::STEP_LOG2) - 1),
        );
        let here = f64::from(table[at]);
        let within = x == inside + from;
        if rest == 0 {
            return (here, within);
        }
        let next = f64::from(*table.get(at + 1).unwrap_or(&table[at]));
        let part = f64::from(rest) / f64::from(1 << lut::STEP_LOG2);
        let between = (here + (next - here) * part).round_ties_even();
        (between, within && here == next)
    }

    /// Fails if a result rests on what is not known.
    pub(crate) fn check(&self, config: &Config) -> Check {
        if self.unsure.load(Ordering::Relaxed) {
            let behaviour =
                "rounding between two entries of a table, and what lies beyond its ends";
            config.require(Grade::Inferred, behaviour)?;
        }
        Ok(())
    }
}
