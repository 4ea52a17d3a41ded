//! Convolution tasks: CNA -> CORE -> DPU.

pub mod cbuf;
mod cna;
mod depthwise;
mod direct;
mod features;
mod layout;
mod weights;

use super::core::Core;
use super::counters::Counters;
use super::dpu::decode::{Cpend, Dpu, Feed};
use super::dpu::operands::{CubeReader, channel_operands};
use super::dpu::rdma::Rdma;
use super::dpu::stages::Pipeline;
use super::dpu::table::Table;
use super::dpu::writer::Surfaces;
use super::fault::{Check, DmaUnit, FaultKind, same};
use super::simd::vectorised;
use super::state::Running;
use crate::memory::Memory;
use cna::{Conv, DEPTHWISE_GROUP, KERNEL_GROUP};
use features::{Panel, Source};
use ferrite_process::parallel;
use std::ops::Range;
use std::sync::Arc;
use weights::{Added, GroupPanel, Known, Panels};

/// What stays in CBUF after a task: operands and the registers that they depend on.
#[derive(Clone, Default)]
pub(super) struct Retained {
    features: Option<(Conv, Arc<Source>)>,
    weights: Option<(Conv, Added, Panels)>,
    /// No part of the chip: saves decoding again what is in memory still.
    known: Known,
}

/// Pixels that pass the stages together: few enough that their values stay in the first cache.
const BLOCK: usize = 16;
/// Work below which threads cost more than they bring, in multiply-accumulates.
const PARALLEL_MACS: u64 = 1 << 18;

impl Core {
    /// Runs a convolution.
    pub(super) fn run_convolution(
        &mut self,
        memory: &dyn Memory,
        running: Running,
        with_rdma: bool,
        chained: bool,
        counters: &mut Counters,
    ) -> Check {
        let registers = self.state.view(running);
        let conv = Conv::decode(&registers, &self.config)?;
        let feed = Feed::Conv {
            depthwise: conv.depthwise,
            group: conv.group(),
        };
        let dpu = Dpu::decode(&registers, &self.config, feed)?;
        let rdma = Rdma::decode(&registers, &self.config, with_rdma, feed, &dpu)?;
        let table = Table::decode(&registers, &self.config, feed, dpu.input)?;
        check_geometry(&conv, &dpu)?;
        if chained && !conv.data_sum {
            return Err(FaultKind::NotModelled(
                "integer tasks after the first of a kick without QD_EN: wrong on silicon",
            ));
        }
        let source = self.features(&conv, memory, counters)?;
        let operands = channel_operands(&dpu, &rdma, memory, counters)?;
        let added = match dpu.cpend {
            None => Added::All(0),
            Some(Cpend::Register(value)) => Added::All(value),
            Some(Cpend::Dma) => Added::Channels(operands[0].cpend.clone()),
        };
        if added.is_any() && !conv.data_sum {
            return Err(FaultKind::Undocumented {
                register: "CORE.MISC_CFG",
                value: 0,
                why: "CPEND needs the data sum, but QD_EN is 0",
            });
        }
        let limit = largest_sum(&conv, &added);
        let weights = self.weights(&conv, added, memory, counters)?;
        count(&conv, &dpu, counters);
        let task = Task {
            panel: features::panel(&conv, &source)?,
            pipeline: Pipeline {
                dpu,
                operands,
                table,
                truncate: conv.truncate,
            },
            limit,
            conv,
            rdma,
            memory,
        };
        task.run(&weights)?;
        task.pipeline.check(&self.config)
    }

    fn features(
        &mut self,
        conv: &Conv,
        memory: &dyn Memory,
        counters: &mut Counters,
    ) -> Check<Arc<Source>> {
        if conv.reuse_data {
            let reuse = |why| FaultKind::Reuse { what: "data", why };
            let (previous, source) = self
                .retained
                .features
                .as_ref()
                .ok_or(reuse("no convolution ran on this core since reset"))?;
            if !conv.same_features(previous) {
                return Err(reuse(
                    "address, size, layout or bank split differ from the previous task's",
                ));
            }
            return Ok(Arc::clone(source));
        }
        let source = Arc::new(features::fetch(conv, memory, counters)?);
        self.retained.features = Some((conv.clone(), Arc::clone(&source)));
        Ok(source)
    }

    fn weights(
        &mut self,
        conv: &Conv,
        added: Added,
        memory: &dyn Memory,
        counters: &mut Counters,
    ) -> Check<Panels> {
        if conv.reuse_weights {
            let reuse = |why| FaultKind::Reuse {
                what: "weight",
                why,
            };
            let (previous, previous_added, panels) = self.retained.weights.as_ref().ok_or(
                reuse("the previous task's weights did not all fit, or there is none since reset"),
            )?;
            if !conv.same_weights(previous) {
                return Err(reuse(
                    "address, size, layout or bank split differ from the previous task's",
                ));
            }
            if *previous_added != added {
                return Err(FaultKind::NotModelled(
                    "weight reuse with another CPEND operand",
                ));
            }
            return Ok(Arc::clone(panels));
        }
        let panels = weights::fetch(conv, &added, memory, &mut self.retained.known)?;
        counters.weight_bytes += conv.weight_bytes();
        self.retained.weights = conv
            .split
            .holds_weights(conv.weight_bytes())
            .then(|| (conv.clone(), added, Arc::clone(&panels)));
        Ok(panels)
    }
}

impl Conv {
    fn same_features(&self, other: &Conv) -> bool {
        self.feature_address == other.feature_address
            && self.layout == other.layout
            && self.channels == other.channels
            && (self.in_width, self.in_height) == (other.in_width, other.in_height)
            && (self.split, self.entries) == (other.split, other.entries)
            && self.depthwise == other.depthwise
    }

    fn same_weights(&self, other: &Conv) -> bool {
        self.weight_address == other.weight_address
            && (self.kernels, self.kernel_bytes) == (other.kernels, other.kernel_bytes)
            && (self.kernel, self.channels) == (other.kernel, other.channels)
            && self.split == other.split
            && self.depthwise == other.depthwise
    }
}

/// A bound for sums of products: accumulators have 32 bits.
fn largest_sum(conv: &Conv, added: &Added) -> f64 {
    let taps = f64::from(conv.kernel[0]) * f64::from(conv.kernel[1]);
    let products = match conv.depthwise {
        true => taps,
        false => taps * f64::from(conv.channels),
    };
    let weight = 128.0 + f64::from(added.largest());
    (products * 128.0 * weight).min(-f64::from(i32::MIN))
}

fn check_geometry(conv: &Conv, dpu: &Dpu) -> Check {
    same("DPU.WIDTH", dpu.width, "CORE.DATAOUT_WIDTH", conv.out_width)?;
    same(
        "DPU.HEIGHT",
        dpu.height,
        "CORE.DATAOUT_HEIGHT",
        conv.out_height,
    )?;
    same(
        "DPU.CHANNEL",
        dpu.channels,
        "CORE.DATAOUT_CHANNEL",
        conv.out_channels,
    )?;
    let produced = if conv.depthwise {
        conv.channels
    } else {
        conv.kernels
    };
    if dpu.real_channels > produced {
        return Err(FaultKind::Inconsistent {
            left_name: "DPU.ORIG_CHANNEL",
            left: i64::from(dpu.real_channels),
            right_name: "kernels",
            right: i64::from(produced),
        });
    }
    Ok(())
}

fn count(conv: &Conv, dpu: &Dpu, counters: &mut Counters) {
    let pixels = u64::from(conv.out_width) * u64::from(conv.out_height);
    let taps = u64::from(conv.kernel[0] * conv.kernel[1]);
    let per_kernel = pixels * taps * u64::from(conv.channels);
    if conv.depthwise {
        counters.macs += per_kernel;
        counters.mac_cycles += pixels * taps * u64::from(conv.channels.div_ceil(DEPTHWISE_GROUP));
    } else {
        counters.macs += per_kernel * u64::from(conv.kernels);
        counters.mac_cycles += pixels
            * taps
            * u64::from(conv.channels.div_ceil(conv.split.chip.mac_lanes as u32))
            * u64::from(conv.kernels.div_ceil(KERNEL_GROUP));
    }
    let atoms = pixels * u64::from(dpu.channels / dpu.atom_channels());
    counters.atoms += atoms;
    counters.output_bytes += atoms * u64::from(conv.atom);
    if let Some(operand) = dpu.ew.operand {
        counters.operand_bytes += pixels * u64::from(dpu.channels) * u64::from(operand.bytes);
    }
}

/// A convolution that is ready to run.
struct Task<'a> {
    conv: Conv,
    /// No sum is larger, either way.
    limit: f64,
    panel: Panel,
    pipeline: Pipeline,
    rdma: Rdma,
    memory: &'a dyn Memory,
}

impl Task<'_> {
    /// Splits the output into groups and row ranges and computes them, in parallel if it is worth it.
    fn run(&self, weights: &[Arc<GroupPanel>]) -> Check {
        let groups = weights.len();
        let height = self.conv.out_height as usize;
        let work = u64::from(self.conv.out_width)
            * height as u64
            * u64::from(self.conv.kernel_bytes)
            * u64::from(self.conv.kernels);
        let parts = if work < PARALLEL_MACS {
            1
        } else {
            (4 * parallel::threads()).div_ceil(groups)
        };
        let rows = height.div_ceil(parts.max(1));
        let unit = |i: usize| {
            let (group, part) = (i / height.div_ceil(rows), i % height.div_ceil(rows));
            let range = part * rows..((part + 1) * rows).min(height);
            if self.conv.depthwise {
                self.unit::<{ DEPTHWISE_GROUP as usize }>(group, range, &weights[group].words)
            } else {
                self.unit::<{ KERNEL_GROUP as usize }>(group, range, &weights[group].words)
            }
        };
        let units = groups * height.div_ceil(rows);
        if work < PARALLEL_MACS {
            return (0..units).try_for_each(unit);
        }
        parallel::try_each(units, unit)
    }

    /// Computes and writes some rows of one group.
    fn unit<const G: usize>(&self, group: usize, rows: Range<usize>, weights: &[i32]) -> Check {
        let dpu = &self.pipeline.dpu;
        let width = self.conv.out_width as usize;
        let pixels = rows.len() * width;
        let operand = self.operand::<G>(group, rows.clone())?;
        let mut surfaces = Surfaces::new(dpu, pixels);
        let mut values = vec![0.0; BLOCK * G];
        let mut stages = |at: usize, sums: &[i32]| {
            vectorised(
                #[inline(always)]
                || {
                    let values = &mut values[..sums.len()];
                    for (x, &sum) in values.iter_mut().zip(sums) {
                        *x = f64::from(sum);
                    }
                    let operand = operand.get(at * G..).unwrap_or_default();
                    self.pipeline
                        .run::<G>(values, self.limit, operand, group * G);
                    surfaces.store::<G>(dpu, at, values, group * G);
                },
            );
        };
        if self.conv.depthwise {
            depthwise::rows(
                &self.conv,
                &self.panel,
                group,
                rows.clone(),
                weights,
                &mut stages,
            );
        } else {
            direct::rows(&self.conv, &self.panel, rows.clone(), weights, &mut stages);
        }
        surfaces.write(dpu, group, rows, self.memory)
    }

    /// The element-wise operand: even surfaces by MRDMA, odd ones by ERDMA.
    fn operand<const G: usize>(&self, group: usize, rows: Range<usize>) -> Check<Vec<f64>> {
        let (Some(main), Some(odd)) = (&self.rdma.main, &self.rdma.elementwise) else {
            return Ok(Vec::new());
        };
        let width = self.conv.out_width as usize;
        let real = self.pipeline.dpu.real_channels as usize;
        let mut values = vec![0.0; rows.len() * width * G];
        let atom = self.conv.atom as usize;
        for s in 0..G / atom {
            let surface = group * (G / atom) + s;
            let reader = CubeReader {
                cube: if surface.is_multiple_of(2) {
                    *main
                } else {
                    *odd
                },
                rows: rows.clone(),
                width,
                bytes: 1,
                atom,
                memory: self.memory,
                unit: DmaUnit::Elementwise,
            };
            match reader.read((surface / 2) as i64, &mut values, G, s * atom) {
                // Of channels beyond the real ones the result is OFFSET_PEND, whatever is read.
                Err(fault) if surface * atom >= real && fault.is_never_written() => {}
                read => read?,
            }
        }
        Ok(values)
    }
}
