//! Output bytes of a group and their places in memory.

use super::super::fault::{Check, DmaUnit, FaultKind};
use super::decode::{Dpu, Output};
use crate::memory::Memory;
use std::ops::Range;

/// Output atoms of some rows of one group, surface after surface.
pub(crate) struct Surfaces {
    bytes: Vec<u8>,
    pixels: usize,
}

impl Surfaces {
    /// Room for `pixels` pixels of a group.
    pub(crate) fn new(dpu: &Dpu, pixels: usize) -> Self {
        let surfaces = (dpu.group / dpu.output.atom_channels()) as usize;
        Surfaces {
            bytes: vec![0; surfaces * pixels * 16],
            pixels,
        }
    }

    /// Narrows output values (`[pixel][G]`) of pixels from `at` on. `first` is the group's first
    /// channel: channels that carry no data get the fill value.
    #[inline(always)]
    pub(crate) fn store<const G: usize>(
        &mut self,
        dpu: &Dpu,
        at: usize,
        values: &mut [f64],
        first: usize,
    ) {
        let real = (dpu.real_channels as usize).saturating_sub(first).min(G);
        if real < G {
            let fill = f64::from(dpu.fill);
            for pixel in values.chunks_exact_mut(G) {
                pixel[real..].fill(fill);
            }
        }
        let (pixels, _) = pulp::as_arrays::<G, _>(values);
        for (s, plane) in self.bytes.chunks_exact_mut(self.pixels * 16).enumerate() {
            let (atoms, _) = pulp::as_arrays_mut::<16, _>(&mut plane[at * 16..]);
            match dpu.output {
                Output::Int8 => {
                    for (atom, pixel) in atoms.iter_mut().zip(pixels) {
                        narrow(atom, &pixel[s * 16..s * 16 + 16]);
                    }
                }
                Output::Int32 => words(
                    atoms,
                    pixels,
                    s,
                    #[inline(always)]
                    |x| x as i32 as u32,
                ),
                Output::Fp32 => words(
                    atoms,
                    pixels,
                    s,
                    #[inline(always)]
                    |x| (x as f32).to_bits(),
                ),
            }
        }
    }

    /// Writes rows `rows` of group `group`.
    pub(crate) fn write(
        &self,
        dpu: &Dpu,
        group: usize,
        rows: Range<usize>,
        memory: &dyn Memory,
    ) -> Check {
        let width = dpu.width as usize;
        let line = width + dpu.notch as usize;
        let run = if dpu.notch == 0 {
            rows.len() * width
        } else {
            width
        };
        let planes = self.bytes.chunks_exact(self.pixels * 16);
        let first = group * planes.len();
        for (s, plane) in planes.enumerate() {
            let surface = (first + s) as u64 * u64::from(dpu.surface_stride);
            for (i, part) in plane.chunks_exact(run * 16).enumerate() {
                let atom = surface + ((rows.start + i) * line) as u64;
                let address = u64::from(dpu.address) + atom * 16;
                memory
                    .write(address, part)
                    .map_err(FaultKind::memory(DmaUnit::Output))?;
            }
        }
        Ok(())
    }
}

/// 16 integers within int8 to bytes. Adding 1.5 * 2^52 leaves the integer in the low mantissa bits.
#[inline(always)]
fn narrow(atom: &mut [u8; 16], values: &[f64]) {
    const MAGIC: f64 = 6_755_399_441_055_744.0;
    for (to, &x) in atom.iter_mut().zip(values) {
        *to = (x + MAGIC).to_bits() as u8;
    }
}

#[inline(always)]
fn words<const G: usize>(
    atoms: &mut [[u8; 16]],
    pixels: &[[f64; G]],
    surface: usize,
    code: impl Fn(f64) -> u32,
) {
    for (atom, pixel) in atoms.iter_mut().zip(pixels) {
        for (to, &x) in atom.chunks_exact_mut(4).zip(&pixel[surface * 4..]) {
            to.copy_from_slice(&code(x).to_le_bytes());
        }
    }
}
