//! `ferrite graph`

use crate::args::GraphArgs;
use crate::error::CliError;
use crate::graph_svg;
use crate::model::{self, Coverage};
use crate::report::Report;
use serde_json::json;

pub fn run(args: &GraphArgs) -> Result<Report, CliError> {
    let graph = model::read(&args.model.model)?;
    let executable = model::compile(
        &args.model.model,
        &graph,
        &model::options(&args.model, args.target.into()),
    )?;
    let coverage = Coverage::of(&executable);
    let name = args.model.model.file_stem().map(|n| n.to_string_lossy());
    let title = format!(
        "{} on {}",
        name.unwrap_or_default(),
        executable.target.name()
    );
    let subtitle = format!(
        "{} operators: {} NPU ({} approximately), {} CPU, {} folded; {:.1} % of {:.1} M multiply-accumulates on the NPU; {} submissions, {} steps of the host",
        graph.op_count(),
        coverage.npu_ops,
        coverage.approximate_ops,
        coverage.cpu_ops,
        graph.op_count() - coverage.npu_ops - coverage.cpu_ops,
        100.0 * coverage.npu_mac_fraction(),
        coverage.macs as f64 / 1e6,
        coverage.segments,
        coverage.host_steps,
    );
    let svg = graph_svg::draw(&graph, &executable, &title, &subtitle);
    std::fs::write(&args.output, &svg).map_err(CliError::io(&args.output))?;
    let text = format!("wrote {}\n", args.output.display());
    let json = json!({
        "file": args.output,
        "operators": graph.op_count(),
        "npu_ops": coverage.npu_ops,
        "cpu_ops": coverage.cpu_ops,
        "approximate_ops": coverage.approximate_ops,
        "segments": coverage.segments,
        "host_steps": coverage.host_steps,
    });
    Ok(Report::new(text, json))
}
