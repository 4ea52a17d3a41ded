//! The counts of a run, for `tests/board/run --stats`.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::npu_core::{NpuCore, Report};
use crate::shared::Shared;

/// All cores' counts as JSON. Counts are facts of the model; `estimated_ns` is an estimate.
pub fn json(cores: &[Arc<NpuCore>], shared: &Shared) -> String {
    let cores: Vec<Value> = cores.iter().map(|core| core_json(&core.report())).collect();
    let all = json!({
        "soc": "rk3588",
        "cores": cores,
        "most_cores_at_once": shared.most_at_once(),
        "dma_errors_made": shared.injected(),
    });
    format!("{all:#}\n")
}

fn core_json(report: &Report) -> Value {
    let counters = &report.counters;
    json!({
        "core": report.core,
        "kicks": counters.kicks,
        "tasks": counters.tasks,
        "interrupts": report.interrupts,
        "completions": counters.interrupts,
        "faults": counters.faults,
        "iommu_faults": report.iommu_faults,
        "iommu_walks": report.walks,
        "bytes": {
            "commands": counters.command_bytes,
            "features": counters.feature_bytes,
            "weights": counters.weight_bytes,
            "bias": counters.bias_bytes,
            "operands": counters.operand_bytes,
            "pool": counters.pool_bytes,
            "output": counters.output_bytes,
        },
        "macs": counters.macs,
        "mac_cycles": counters.mac_cycles,
        "atoms": counters.atoms,
        "estimated_ns": counters.estimated_ns,
    })
}
