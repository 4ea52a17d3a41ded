//! Classifies the held-out digits on the simulated RK3588 NPU, and holds the answers against those
//! of the CPU kernels and of TFLite.

mod coverage;
mod dataset;
mod evaluate;
mod picture;

use coverage::{Coverage, grouped};
use dataset::{Images, NETWORKS, Network, Recorded, SIDE};
use evaluate::{Evaluation, evaluate};
use ferrite_compiler::{Options, Target};
use ferrite_runtime::device::{self, Counters, DeviceSpec};
use ferrite_runtime::session::{Session, cpu_only};
use picture::{Picture, Style, gallery};
use std::error::Error;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

/// Allowed distance of the NPU's accuracy from TFLite's, in points of a hundred.
const TOLERANCE: f64 = 0.5;

/// Images shown, evenly spread over the held-out ones.
const SHOWN: usize = 8;

fn main() -> ExitCode {
    match demonstrate() {
        Ok(faults) if faults.is_empty() => ExitCode::SUCCESS,
        Ok(faults) => {
            for fault in faults {
                eprintln!("FAILED: {fault}");
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs everything and returns what is not as it should be.
fn demonstrate() -> Result<Vec<String>, Box<dyn Error>> {
    let images = Images::load()?;
    let recorded = Recorded::load()?;
    if recorded.images != images.len() {
        let count = images.len();
        return Err(format!(
            "accuracy.json is about {} images, not {count}",
            recorded.images
        )
        .into());
    }
    let mut faults = Vec::new();
    let mut table = Vec::new();
    for (index, network) in NETWORKS.iter().enumerate() {
        let run = Run::of(network, &images)?;
        if index == 0 {
            show(&run, &images);
        }
        let tflite = recorded
            .models
            .get(network.name)
            .ok_or_else(|| format!("accuracy.json has no {}", network.name))?
            .correct;
        let points = |correct: usize| 100.0 * correct as f64 / images.len() as f64;
        let npu = points(run.npu.correct(&images.labels));
        let distance = (npu - points(tflite)).abs();
        if distance > TOLERANCE {
            faults.push(format!(
                "{}: accuracy is {distance:.2} points from TFLite's, more than {TOLERANCE}",
                network.name
            ));
        }
        faults.extend(
            run.coverage
                .misplaced
                .iter()
                .map(|op| format!("{}: {op}", network.name)),
        );
        table.push((
            network,
            npu,
            points(run.cpu.correct(&images.labels)),
            points(tflite),
            run,
        ));
    }

    println!(
        "Accuracy on {} held-out images, in percent:\n",
        images.len()
    );
    println!(
        "  {:<26}{:>10}{:>10}{:>10}{:>14}",
        "", "NPU model", "CPU", "TFLite", "same answers"
    );
    for (network, npu, cpu, tflite, run) in &table {
        let same = run.npu.answers.iter().zip(&run.cpu.answers);
        let same = same.filter(|(a, b)| a.digit == b.digit).count();
        println!(
            "  {:<26}{npu:>10.2}{cpu:>10.2}{tflite:>10.2}{:>14}",
            network.name,
            format!("{same}/{}", images.len()),
        );
    }
    let version = recorded
        .versions
        .get("tensorflow")
        .map_or("", String::as_str);
    println!("\n  (TFLite: its reference kernels, recorded with TensorFlow {version})\n");

    println!("Placement:\n");
    for (network, .., run) in &table {
        println!(
            "  {}, {}:\n    {}",
            network.name, network.about, run.coverage
        );
    }
    for (network, .., run) in &table {
        println!("\nCounters of one inference, {}:\n", network.name);
        print_counters(run.npu.counters.as_ref());
    }
    println!(
        "\n  (macs: with those of padded channels; estimated_ns: an estimate from the counts)"
    );
    println!(
        "\nTime per image: {:.2?} on the NPU model, {:.2?} with the CPU kernels.",
        table[0].4.npu.per_image(),
        table[0].4.cpu.per_image()
    );
    Ok(faults)
}

/// A network's results.
struct Run {
    npu: Evaluation,
    cpu: Evaluation,
    coverage: Coverage,
}

impl Run {
    fn of(network: &Network, images: &Images) -> Result<Run, Box<dyn Error>> {
        let graph = Arc::new(ferrite_ir::tflite::read(network.file)?);
        let device = device::open(&DeviceSpec::Sim(Target::Rk3588, None))?
            .ok_or("the simulator is not a device")?;
        let options = Options {
            cores: device.cores(),
            ..Options::new(device.target())
        };
        let executable = Arc::new(ferrite_compiler::compile(&graph, &options)?);
        let mut on_npu = Session::new(graph.clone(), executable.clone(), Some(device.as_ref()))?;
        let npu = evaluate(&mut on_npu, images)?;
        let mut on_cpu = Session::new(graph.clone(), Arc::new(cpu_only(&graph)), None)?;
        let cpu = evaluate(&mut on_cpu, images)?;
        let coverage = Coverage::of(&graph, &executable);
        Ok(Run { npu, cpu, coverage })
    }
}

fn show(run: &Run, images: &Images) {
    let style = match std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        true => Style::Grey,
        false => Style::Plain,
    };
    let draw = |index: usize| {
        let picture = Picture {
            width: SIDE,
            pixels: images.pixels(index),
        };
        let answer = run.npu.answers[index];
        let name = images.names.get(usize::from(answer.digit)).unwrap_or(&"?");
        let percent = 100.0 * answer.probability;
        let mark = if answer.digit == images.labels[index] {
            ' '
        } else {
            '!'
        };
        (picture, format!("{name}{mark} {percent:.0} %"))
    };
    println!("Handwritten digits, classified on sim:rk3588:\n");
    let some: Vec<_> = (0..SHOWN).map(|i| draw(i * images.len() / SHOWN)).collect();
    print!("{}", gallery(&some, 4, style));
    let wrong: Vec<_> = (0..images.len())
        .filter(|&i| run.npu.answers[i].digit != images.labels[i])
        .map(draw)
        .collect();
    if !wrong.is_empty() {
        println!("Those it gets wrong:\n");
        print!("{}", gallery(&wrong[..wrong.len().min(SHOWN)], 4, style));
    }
}

fn print_counters(counters: Option<&Counters>) {
    for (name, count) in counters.map(Counters::total).unwrap_or_default() {
        println!("  {name:<32}{:>14}", grouped(count));
    }
}
