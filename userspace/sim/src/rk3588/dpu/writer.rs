//! Output bytes of a group and their places in memory.

use super::super::fault::{Check, DmaUnit, FaultKind};
use super::decode::{Dpu, Output};
use crate::memory::Memory;
use std::ops::Range;

/// Output atoms of some rows of one group, surface after surface.
pub(crate) struct Surfaces {
    bytes: Vec<u8>,
    /// Bytes of a surface.
    plane: usize,
}

impl Surfaces {
    /// Room for `pixels` pixels of a group.
    pub(crate) fn new(dpu: &Dpu, pixels: usize) -> Self {
        let surfaces = (dpu.group / dpu.atom_channels()) as usize;
        let plane = pixels * dpu.atom as usize;
        Surfaces {
            bytes: vec![0; surfaces * plane],
            plane,
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
        match dpu.atom {
            8 => self.fill_atoms::<G, 8>(dpu, at, values),
            _ => self.fill_atoms::<G, 16>(dpu, at, values),
        }
    }

    /// Narrows values of pixels from `at` on into atoms.
    #[inline(always)]
    fn fill_atoms<const G: usize, const ATOM: usize>(
        &mut self,
        dpu: &Dpu,
        at: usize,
        values: &[f64],
    ) {
        let (pixels, _) = pulp::as_arrays::<G, _>(values);
        for (s, plane) in self.bytes.chunks_exact_mut(self.plane).enumerate() {
            let (atoms, _) = pulp::as_arrays_mut::<ATOM, _>(&mut plane[at * ATOM..]);
            match dpu.output {
                Output::Int8 => {
                    for (atom, pixel) in atoms.iter_mut().zip(pixels) {
                        narrow(atom, &pixel[s * ATOM..][..ATOM]);
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
        let atom = dpu.atom as usize;
        let planes = self.bytes.chunks_exact(self.plane);
        let first = group * planes.len();
        for (s, plane) in planes.enumerate() {
            let surface = (first + s) as u64 * u64::from(dpu.surface_stride);
            for (i, part) in plane.chunks_exact(run * atom).enumerate() {
                let first = surface + ((rows.start + i) * line) as u64;
                let address = u64::from(dpu.address) + first * atom as u64;
                memory
                    .write(address, part)
                    .map_err(FaultKind::memory(DmaUnit::Output))?;
            }
        }
        Ok(())
    }
}

/// Integers within int8 to bytes. Adding 1.5 * 2^52 leaves the integer in the low mantissa bits.
#[inline(always)]
fn narrow<const ATOM: usize>(atom: &mut [u8; ATOM], values: &[f64]) {
    const MAGIC: f64 = 6_755_399_441_055_744.0;
    for (to, &x) in atom.iter_mut().zip(values) {
        *to = (x + MAGIC).to_bits() as u8;
    }
}

#[inline(always)]
fn words<const G: usize, const ATOM: usize>(
    atoms: &mut [[u8; ATOM]],
    pixels: &[[f64; G]],
    surface: usize,
    code: impl Fn(f64) -> u32,
) {
    for (atom, pixel) in atoms.iter_mut().zip(pixels) {
        for (to, &x) in atom.chunks_exact_mut(4).zip(&pixel[surface * ATOM / 4..]) {
            to.copy_from_slice(&code(x).to_le_bytes());
        }
    }
}
