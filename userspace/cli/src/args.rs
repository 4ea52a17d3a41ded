//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use ferrite_compiler::executable;
use ferrite_runtime::device::{self, Device, DeviceError, DeviceSpec, Priority};
use std::path::PathBuf;

/// Run TFLite models on the NPUs of the RK3588 and the A311D, or on models of them.
#[derive(Debug, Parser)]
#[command(name = "ferrite", version, after_help = EXIT_CODES)]
pub struct Cli {
    /// Print one JSON object on standard output; messages go to standard error
    #[arg(long, global = true)]
    pub json: bool,
    /// Say more on standard error (twice: much more)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 wrong arguments.";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List what can run models here, and why the rest cannot
    Devices,
    /// Show a model's operators, shapes, quantisation and placement
    Info(InfoArgs),
    /// Run a model on a picture or on tensors
    Run(RunArgs),
    /// Run a model and compare the outputs with expected ones
    Compare(CompareArgs),
    /// Measure compile, host and device times, and count what the device does
    Bench(BenchArgs),
    /// Check a device: operators of all kinds against the CPU kernels
    Selftest(SelftestArgs),
    /// Compile a model into a file
    Compile(CompileArgs),
    /// Print the NPU commands of a compiled model, or of a raw command list
    Disasm(DisasmArgs),
    /// Draw a model's graph, coloured by placement
    Graph(GraphArgs),
    /// Write manual pages into a folder
    #[command(hide = true)]
    Man {
        /// The folder
        folder: PathBuf,
    },
    /// Print a shell's completion script
    #[command(hide = true)]
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// The NPUs there is a compiler for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// Rockchip RK3588
    #[default]
    Rk3588,
    /// Amlogic A311D
    A311d,
}

impl From<Target> for executable::Target {
    fn from(target: Target) -> Self {
        match target {
            Target::Rk3588 => executable::Target::Rk3588,
            Target::A311d => executable::Target::A311d,
        }
    }
}

/// How well known the hardware behaviour must be that a lowering rests on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Evidence {
    /// Seen on the chip
    #[default]
    Silicon,
    /// Measured on a related chip
    Sibling,
    /// Inferred
    Inferred,
}

impl From<Evidence> for executable::Evidence {
    fn from(evidence: Evidence) -> Self {
        match evidence {
            Evidence::Silicon => executable::Evidence::Silicon,
            Evidence::Sibling => executable::Evidence::Sibling,
            Evidence::Inferred => executable::Evidence::Inferred,
        }
    }
}

/// The model.
#[derive(Debug, Args)]
pub struct ModelArgs {
    /// A quantised TFLite model, or a graph as text (as `ferrite compile --emit graph` prints it)
    pub model: PathBuf,
    /// Weakest evidence that a lowering may rest on (default: what `ferrite selftest` has proven on
    /// the device, else silicon)
    #[arg(long, value_enum, value_name = "GRADE")]
    pub evidence: Option<Evidence>,
    /// Leave to the CPU what the NPU can only do approximately, with other weights than the model's
    #[arg(long)]
    pub exact: bool,
}

/// Where to run.
#[derive(Debug, Args)]
pub struct DeviceArgs {
    /// auto, cpu, sim:rk3588, sim:a311d, /dev/accel/accelN or /dev/dri/renderDN (auto: hardware,
    /// else sim:rk3588). sim:rk3588@200 has a clock of 200 MHz in place of the cost model's 1000.
    #[arg(short, long, default_value = "auto", value_name = "DEVICE")]
    pub device: DeviceSpec,
    /// low, normal or high (which needs CAP_SYS_NICE): how jobs stand to those of others
    #[arg(long, default_value_t, value_name = "PRIORITY")]
    pub priority: Priority,
}

impl DeviceArgs {
    /// Opens the device; `None` stands for the CPU.
    pub fn open(&self) -> Result<Option<Box<dyn Device>>, DeviceError> {
        let mut device = device::open(&self.device)?;
        match &mut device {
            Some(device) => device.set_priority(self.priority)?,
            None => self.priority.expect_normal("the CPU")?,
        }
        Ok(device)
    }
}

/// `ferrite info`
#[derive(Debug, Args)]
pub struct InfoArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// The NPU to place operators on, whether there is one or not
    #[arg(long, value_enum, default_value_t, conflicts_with = "device")]
    pub target: Target,
    /// The device to place operators on, as `ferrite run` names it: with its cores, its clock, and what
    /// `ferrite selftest` has proven on it
    #[arg(short, long, value_name = "DEVICE")]
    pub device: Option<DeviceSpec>,
}

/// `ferrite run`
#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub device: DeviceArgs,
    /// A picture (JPEG, PNG, BMP), resized to the model's input without cropping
    #[arg(short, long, value_name = "FILE", conflicts_with = "input")]
    pub image: Option<PathBuf>,
    /// Input tensors as .npy files, in the model's order
    #[arg(long, value_name = "FILE.npy", num_args = 1.., action = clap::ArgAction::Append)]
    pub input: Vec<PathBuf>,
    /// Range that a picture's black and white become in a model with float inputs
    #[arg(long, value_name = "BLACK:WHITE", default_value = "0:1", value_parser = float_range)]
    pub float_range: (f32, f32),
    /// Names of the classes, one a line (default: those in the model's metadata, or in a file beside
    /// it: MODEL.txt, MODEL_labels.txt, labels.txt, labelmap.txt)
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// Write the picture with the boxes, key points, masks or classes that were found
    #[arg(long, value_name = "FILE.png")]
    pub picture: Option<PathBuf>,
    /// Lowest score of an object that a detector has found
    #[arg(long, value_name = "SCORE", default_value_t = 0.4)]
    pub threshold: f32,
    /// Write the outputs as .npy files into this folder
    #[arg(short, long, value_name = "FOLDER")]
    pub output: Option<PathBuf>,
}

fn float_range(text: &str) -> Result<(f32, f32), String> {
    let (black, white) = text
        .split_once(':')
        .ok_or("two numbers with a colon between them are needed, such as -1:1")?;
    let number = |t: &str| t.parse::<f32>().map_err(|e| format!("{t}: {e}"));
    Ok((number(black)?, number(white)?))
}

/// `ferrite compare`
#[derive(Debug, Args)]
#[command(
    after_help = "It succeeds when the model ran, however far the outputs are apart; \
    --max-diff makes a difference a failure."
)]
pub struct CompareArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Input tensors as .npy files, in the model's order
    #[arg(long, value_name = "FILE.npy", num_args = 1.., action = clap::ArgAction::Append, requires = "expected")]
    pub input: Vec<PathBuf>,
    /// Expected outputs as .npy files, in the model's order
    #[arg(long, value_name = "FILE.npy", num_args = 1.., action = clap::ArgAction::Append, requires = "input")]
    pub expected: Vec<PathBuf>,
    /// Inputs in0, in1... and outputs out0, out1... in one archive
    #[arg(long, value_name = "FILE.npz", conflicts_with_all = ["input", "expected"])]
    pub case: Option<PathBuf>,
    /// Compare each operator by itself, fed with the reference's inputs of it: an archive with an
    /// array for each tensor: t0, t1 and so on by tensor index
    #[arg(long, value_name = "FILE.npz", conflicts_with_all = ["input", "expected", "case"])]
    pub layers: Option<PathBuf>,
    /// Fail if an element differs by more
    #[arg(long, value_name = "STEPS")]
    pub max_diff: Option<f64>,
}

/// `ferrite bench`
#[derive(Debug, Args)]
pub struct BenchArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Number of timed inferences
    #[arg(short, long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub runs: u32,
    /// Inferences at a time, in a session each: on a device with several cores each has a core
    #[arg(long, default_value_t = 1, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub in_flight: u32,
    /// Input tensors as .npy files (default: noise)
    #[arg(long, value_name = "FILE.npy", num_args = 1.., action = clap::ArgAction::Append)]
    pub input: Vec<PathBuf>,
    /// Write the time line of one more inference, for ui.perfetto.dev
    #[arg(long, value_name = "FILE.json")]
    pub trace: Option<PathBuf>,
}

/// `ferrite selftest`
#[derive(Debug, Args)]
#[command(
    after_help = "It fails when an operator on the device is more than one step off, or does not end.     The report says what ran how, and on what machine: of boards it is welcome upstream."
)]
pub struct SelftestArgs {
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Also try lowerings that rest on this evidence
    #[arg(long, value_enum, default_value_t, value_name = "GRADE")]
    pub evidence: Evidence,
    /// Only cases whose name contains this
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,
    /// Write the report as JSON
    #[arg(long, value_name = "FILE.json")]
    pub report: Option<PathBuf>,
}

/// `ferrite compile`
#[derive(Debug, Args)]
pub struct CompileArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// The NPU to compile for
    #[arg(long, value_enum)]
    pub target: Target,
    /// The file to write
    #[arg(
        short,
        long,
        value_name = "FILE.ferrite",
        required_unless_present = "emit"
    )]
    pub output: Option<PathBuf>,
    /// Print the model at this stage of its compilation
    #[arg(long, value_enum, value_name = "STAGE")]
    pub emit: Option<Stage>,
}

/// Stages of a compilation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Stage {
    /// The graph
    Graph,
    /// The NPU form, which is the same for all NPUs
    Npu,
    /// The NPU's layers and their maps
    Layers,
    /// Jobs and tasks, with the places of their data
    Jobs,
    /// The commands, with their relocations
    Asm,
}

impl From<Stage> for ferrite_compiler::Stage {
    fn from(stage: Stage) -> Self {
        match stage {
            Stage::Graph => ferrite_compiler::Stage::Graph,
            Stage::Npu => ferrite_compiler::Stage::Npu,
            Stage::Layers => ferrite_compiler::Stage::Layers,
            Stage::Jobs => ferrite_compiler::Stage::Jobs,
            Stage::Asm => ferrite_compiler::Stage::Asm,
        }
    }
}

/// `ferrite disasm`
#[derive(Debug, Args)]
pub struct DisasmArgs {
    /// A compiled model; with --raw a list of 64-bit command words; with --assemble a text
    pub file: PathBuf,
    /// The file holds bare RK3588 command words, little-endian
    #[arg(long, conflicts_with = "assemble")]
    pub raw: bool,
    /// Turn the text that disasm prints back into command words
    #[arg(long, requires = "output")]
    pub assemble: bool,
    /// Where to write, instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// `ferrite graph`
#[derive(Debug, Args)]
pub struct GraphArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// The NPU to place operators on
    #[arg(long, value_enum, default_value_t)]
    pub target: Target,
    /// The picture to write
    #[arg(short, long, value_name = "FILE.svg")]
    pub output: PathBuf,
}
