//! Operand fetch: per-channel operands and element-wise cubes.

use super::super::counters::Counters;
use super::super::fault::{Check, DmaUnit, FaultKind};
use super::decode::{Dpu, Multiply, Source, Stage};
use super::rdma::{ChannelOperands, Rdma, SourceCube};
use crate::memory::Memory;

/// Per-channel operands of one stage, for all padded channels. Empty if the stage does not use it.
#[derive(Clone, Debug, Default)]
pub(crate) struct StageOperands {
    pub alu: Vec<f64>,
    pub multiply: Vec<f64>,
    /// CPEND; only of BS.
    pub cpend: Vec<i16>,
}

/// Fetches or spreads the operands of BS and BN.
pub(crate) fn channel_operands(
    dpu: &Dpu,
    rdma: &Rdma,
    memory: &dyn Memory,
    counters: &mut Counters,
) -> Check<[StageOperands; 2]> {
    let bs = stage_operands(dpu.channels, &dpu.bs, &rdma.bs, memory, counters)?;
    let bn = stage_operands(dpu.channels, &dpu.bn, &rdma.bn, memory, counters)?;
    Ok([bs, bn])
}

fn stage_operands(
    channels: u32,
    stage: &Stage,
    dma: &ChannelOperands,
    memory: &dyn Memory,
    counters: &mut Counters,
) -> Check<StageOperands> {
    let count = channels as usize;
    let mut fetched = fetch(count, dma, memory, counters)?;
    if let Some((_, Source::Register(value))) = stage.alu {
        fetched.alu = vec![f64::from(value); count];
    }
    if let Some(Multiply {
        source: Source::Register(value),
        ..
    }) = stage.multiply
    {
        fetched.multiply = vec![f64::from(value); count];
    }
    Ok(fetched)
}

/// Groups of 8 channels; each holds the enabled kinds one after the other: ALU int32, CPEND int16,
/// MUL int16. With ALU alone that is a flat int32 array.
fn fetch(
    channels: usize,
    dma: &ChannelOperands,
    memory: &dyn Memory,
    counters: &mut Counters,
) -> Check<StageOperands> {
    let size = |on: bool, bytes: usize| if on { bytes * 8 } else { 0 };
    let (alu, cpend) = (size(dma.alu, 4), size(dma.cpend, 2));
    let group = alu + cpend + size(dma.multiply, 2);
    let mut operands = StageOperands::default();
    if group == 0 {
        return Ok(operands);
    }
    let mut bytes = vec![0; channels / 8 * group];
    memory
        .read(u64::from(dma.address), &mut bytes)
        .map_err(FaultKind::memory(DmaUnit::ChannelOperands))?;
    counters.bias_bytes += bytes.len() as u64;
    for part in bytes.chunks_exact(group) {
        operands.alu.extend(part[..alu].chunks_exact(4).map(int32));
        let int16 = |b: &[u8]| i16::from_le_bytes([b[0], b[1]]);
        let (cpends, multiply) = part[alu..].split_at(cpend);
        operands.cpend.extend(cpends.chunks_exact(2).map(int16));
        let multiply = multiply.chunks_exact(2).map(int16);
        operands.multiply.extend(multiply.map(f64::from));
    }
    Ok(operands)
}

fn int32(b: &[u8]) -> f64 {
    f64::from(i32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

/// Reads rows of a cube's surfaces.
pub(crate) struct CubeReader<'a> {
    pub cube: SourceCube,
    pub rows: std::ops::Range<usize>,
    /// Atoms of a row.
    pub width: usize,
    /// Bytes of an element: 1 or 4.
    pub bytes: u32,
    /// Bytes of an atom.
    pub atom: usize,
    pub memory: &'a dyn Memory,
    pub unit: DmaUnit,
}

impl CubeReader<'_> {
    /// Spreads a surface's atoms into `out`, which holds `group` values for each pixel, from value
    /// `first` on.
    pub(crate) fn read(&self, surface: i64, out: &mut [f64], group: usize, first: usize) -> Check {
        let dense = self.cube.line == self.width as i64;
        let lines = if dense { 1 } else { self.rows.len() };
        let run = self.rows.len() * self.width / lines;
        let mut buffer = vec![0u8; run * self.atom];
        for line in 0..lines {
            let row = (self.rows.start + line) as i64;
            let atoms = surface * self.cube.surface + row * self.cube.line;
            let address =
                u64::from((i64::from(self.cube.address) + atoms * self.atom as i64) as u32);
            self.memory
                .read(address, &mut buffer)
                .map_err(FaultKind::memory(self.unit))?;
            let pixels = out[line * run * group..].chunks_exact_mut(group);
            for (atom, pixel) in buffer.chunks_exact(self.atom).zip(pixels) {
                if self.bytes == 1 {
                    for (to, &b) in pixel[first..][..self.atom].iter_mut().zip(atom) {
                        *to = f64::from(b as i8);
                    }
                } else {
                    let pixel = pixel[first..][..self.atom / 4].iter_mut();
                    for (to, b) in pixel.zip(atom.chunks_exact(4)) {
                        *to = int32(b);
                    }
                }
            }
        }
        Ok(())
    }
}
