//! Tasks of the DPU alone ("flying mode"): element-wise operations and copies on cubes.

use super::core::Core;
use super::counters::Counters;
use super::dpu::decode::{Dpu, Feed, Output};
use super::dpu::operands::{CubeReader, channel_operands};
use super::dpu::rdma::{Rdma, SourceCube};
use super::dpu::stages::Pipeline;
use super::dpu::table::Table;
use super::dpu::writer::Surfaces;
use super::fault::{Check, DmaUnit, FaultKind, bounded};
use super::simd::vectorised;
use super::state::Running;
use crate::memory::Memory;
use ferrite_hw::Grade;
use ferrite_hw::rk3588::Precision;
use ferrite_process::parallel;

/// Pixels that pass the stages together.
const BLOCK: usize = 64;

impl Core {
    /// Runs a task without convolution.
    pub(super) fn run_flying(
        &mut self,
        memory: &dyn Memory,
        running: Running,
        counters: &mut Counters,
    ) -> Check {
        let registers = self.state.view(running);
        let dpu = Dpu::decode(&registers, &self.config, Feed::Flying)?;
        let table = Table::decode(&registers, &self.config, Feed::Flying, dpu.input)?;
        let rdma = Rdma::decode(&registers, &self.config, true, Feed::Flying, &dpu)?;
        bounded(dpu.width, dpu.height)?;
        if dpu.width.max(dpu.height) as usize > self.config.chip.max_flying {
            let behaviour = "more than 4096 rows or columns without convolution";
            self.config.require(Grade::Inferred, behaviour)?;
        }
        let bytes = match (dpu.input, dpu.output) {
            (Precision::Int8, Output::Int8) => 1,
            (Precision::Int32, Output::Int32) => 4,
            _ => {
                return Err(FaultKind::NotModelled(
                    "tasks without convolution that change the element size",
                ));
            }
        };
        if dpu.ew.operand.is_some_and(|o| o.bytes != bytes) {
            return Err(FaultKind::NotModelled(
                "element-wise operands of another size than the source",
            ));
        }
        let operands = channel_operands(&dpu, &rdma, memory, counters)?;
        let atoms = u64::from(dpu.width)
            * u64::from(dpu.height)
            * u64::from(dpu.channels / dpu.atom_channels());
        let sources = 1 + u64::from(dpu.ew.operand.is_some());
        counters.operand_bytes += atoms * sources * u64::from(dpu.atom);
        counters.output_bytes += atoms * u64::from(dpu.atom);
        counters.atoms += atoms;
        let task = Task {
            pipeline: Pipeline {
                dpu,
                operands,
                table,
                truncate: 0,
            },
            rdma,
            bytes,
            memory,
        };
        match task.pipeline.dpu.atom_channels() {
            16 => task.run::<16>()?,
            8 => task.run::<8>()?,
            4 => task.run::<4>()?,
            _ => task.run::<2>()?,
        }
        task.pipeline.check(&self.config)
    }
}

struct Task<'a> {
    pipeline: Pipeline,
    rdma: Rdma,
    /// Bytes of an element.
    bytes: u32,
    memory: &'a dyn Memory,
}

impl Task<'_> {
    /// `G`: channels of an atom.
    fn run<const G: usize>(&self) -> Check {
        let surfaces = self.pipeline.dpu.channels as usize / G;
        parallel::try_each(surfaces, |s| self.surface::<G>(s))
    }

    fn surface<const G: usize>(&self, surface: usize) -> Check {
        let dpu = &self.pipeline.dpu;
        let height = dpu.height as usize;
        let pixels = dpu.width as usize * height;
        let mut values = self.fetch::<G>(self.rdma.main.as_ref(), surface, DmaUnit::Source)?;
        let operand = self.fetch::<G>(
            self.rdma.elementwise.as_ref(),
            surface,
            DmaUnit::Elementwise,
        )?;
        let mut out = Surfaces::new(dpu, pixels);
        vectorised(
            #[inline(always)]
            || {
                for (i, block) in values.chunks_mut(BLOCK * G).enumerate() {
                    let at = i * BLOCK;
                    let operand = operand.get(at * G..).unwrap_or_default();
                    self.pipeline
                        .run::<G>(block, f64::INFINITY, operand, surface * G);
                    out.store::<G>(dpu, at, block, surface * G);
                }
            },
        );
        out.write(dpu, surface, 0..height, self.memory)
    }

    fn fetch<const G: usize>(
        &self,
        cube: Option<&SourceCube>,
        surface: usize,
        unit: DmaUnit,
    ) -> Check<Vec<f64>> {
        let Some(&cube) = cube else {
            return Ok(Vec::new());
        };
        let dpu = &self.pipeline.dpu;
        let mut values = vec![0.0; (dpu.width * dpu.height) as usize * G];
        let reader = CubeReader {
            cube,
            rows: 0..dpu.height as usize,
            width: dpu.width as usize,
            bytes: self.bytes,
            atom: dpu.atom as usize,
            memory: self.memory,
            unit,
        };
        reader.read(surface as i64, &mut values, G, 0)?;
        Ok(values)
    }
}
