//! The tensor-processing unit: a window of an image, element by element through a small ALU and
//! to addresses that seven nested loops generate.
//!
//! What it can do beyond that (fully connected, pooling, normalisation) is not documented and
//! refused.

mod decode;
mod table;
mod walk;

use super::config::Config;
use super::counters::Counters;
use super::fault::{Check, FaultKind, Unit};
use crate::memory::Memory;
use decode::Job;
use ferrite_hw::vivante::Words;

/// Runs one descriptor: one core's share of an operation.
pub(crate) fn run(memory: &dyn Memory, words: &Words, config: &Config) -> Check<Counters> {
    let job = Job::decode(words, config)?;
    let mut counters = Counters {
        tp_jobs: 1,
        ..Counters::default()
    };
    let values = match job.table_address {
        Some(address) => {
            let mut bytes = vec![0; table::BYTES];
            memory
                .read(address.into(), &mut bytes)
                .map_err(FaultKind::memory(Unit::TpTable))?;
            counters.descriptor_bytes += table::BYTES as u64;
            table::outputs(&job, Some(&table::Table::decode(&bytes)))
        }
        None => table::outputs(&job, None),
    };
    let input = read_input(memory, &job)?;
    counters.tp_read_bytes = input.len() as u64;
    let output = walk::run(&job, &input, &values)?;
    counters.tp_write_bytes = output.written;
    for (start, bytes) in output.spans() {
        memory
            .write(u64::from(job.out_address) + start as u64, bytes)
            .map_err(FaultKind::memory(Unit::TpOutput))?;
    }
    let compute = output.written as f64 / f64::from(config.chip.clock_hz);
    let transfer = counters.bytes() as f64 / config.timing.core_bandwidth;
    counters.estimated_ns = ((compute.max(transfer) + config.timing.task) * 1e9) as u64;
    Ok(counters)
}

/// The whole input image, without gaps.
fn read_input(memory: &dyn Memory, job: &Job) -> Check<Vec<u8>> {
    let (width, height) = (job.width as usize, job.height as usize);
    let mut bytes = vec![0; width * height * job.depth as usize];
    let fault = FaultKind::memory(Unit::TpInput);
    let base = u64::from(job.in_address);
    let tight = job.stride == job.width && job.slice == job.width * job.height;
    if tight || job.depth == 1 && job.stride == job.width {
        memory.read(base, &mut bytes).map_err(fault)?;
        return Ok(bytes);
    }
    for (z, plane) in bytes.chunks_exact_mut(width * height).enumerate() {
        let plane_base = base + z as u64 * u64::from(job.slice);
        if job.stride == job.width {
            memory.read(plane_base, plane).map_err(&fault)?;
            continue;
        }
        for (y, row) in plane.chunks_exact_mut(width).enumerate() {
            memory
                .read(plane_base + y as u64 * u64::from(job.stride), row)
                .map_err(&fault)?;
        }
    }
    Ok(bytes)
}
