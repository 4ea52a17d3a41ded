//! What can run here, and why the rest cannot.

use super::etnaviv::Etnaviv;
use super::rocket::Rocket;
use super::sim_a311d::SimA311d;
use super::sim_rk3588::SimRk3588;
use super::{Device, DeviceError, DeviceSpec};
use ferrite_compiler::executable::Target;
use std::path::{Path, PathBuf};

/// Folder and prefix of the nodes of RK3588 NPUs.
const ACCEL: (&str, &str) = ("/dev/accel", "accel");
/// Folder and prefix of the nodes of Vivante NPUs, and of GPUs.
const RENDER: (&str, &str) = ("/dev/dri", "renderD");

/// One entry of a survey.
#[derive(Debug)]
pub struct Candidate {
    /// The name that opens it.
    pub device: String,
    /// What it is, or would be.
    pub description: String,
    /// Why it cannot be used; `None` if it can.
    pub obstacle: Option<String>,
}

/// Opens what `spec` names. `None` stands for the CPU, which needs no device.
pub fn open(spec: &DeviceSpec) -> Result<Option<Box<dyn Device>>, DeviceError> {
    Ok(Some(match spec {
        DeviceSpec::Cpu => return Ok(None),
        &DeviceSpec::Sim(Target::Rk3588, clock) => Box::new(SimRk3588::at(clock)),
        &DeviceSpec::Sim(Target::A311d, clock) => Box::new(SimA311d::at(clock)),
        DeviceSpec::Accel(path) => Box::new(Rocket::open(path)?),
        DeviceSpec::Render(path) => Box::new(Etnaviv::open(path)?),
        DeviceSpec::Auto => auto(),
    }))
}

/// Hardware that answers, else the simulator.
fn auto() -> Box<dyn Device> {
    for path in nodes(Path::new(ACCEL.0), ACCEL.1) {
        match Rocket::open(&path) {
            Ok(device) => return Box::new(device),
            Err(error) => log::info!("not using {}: {error}", path.display()),
        }
    }
    for path in nodes(Path::new(RENDER.0), RENDER.1) {
        match Etnaviv::open(&path) {
            Ok(device) => return Box::new(device),
            Err(error) => log::info!("not using {}: {error}", path.display()),
        }
    }
    Box::new(SimRk3588::new())
}

/// Everything that could run executables on this machine.
pub fn survey() -> Vec<Candidate> {
    let usable = |device: &str, description: String| Candidate {
        device: device.to_owned(),
        description,
        obstacle: None,
    };
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let mut candidates = vec![
        usable("cpu", format!("TFLite's integer kernels, {cpus} threads")),
        usable("sim:rk3588", "model of the RK3588 NPU, 3 cores".to_owned()),
        usable("sim:a311d", "model of the A311D NPU, 8 NN cores".to_owned()),
    ];
    candidates.extend(hardware(ACCEL, "RK3588 NPU", |path| {
        Ok(Rocket::open(path)?.description())
    }));
    candidates.extend(hardware(RENDER, "A311D NPU", |path| {
        let (major, minor) = Etnaviv::open(path)?.version();
        Ok(format!("A311D NPU, driver etnaviv {major}.{minor}"))
    }));
    candidates
}

fn hardware(
    (folder, prefix): (&str, &str),
    what: &str,
    probe: impl Fn(&Path) -> Result<String, DeviceError>,
) -> Vec<Candidate> {
    let paths = nodes(Path::new(folder), prefix);
    if paths.is_empty() {
        return vec![Candidate {
            device: format!("{folder}/{prefix}N"),
            description: what.to_owned(),
            obstacle: Some(format!("no node {folder}/{prefix}* exists")),
        }];
    }
    let candidate = |path: PathBuf| {
        let (description, obstacle) = match probe(&path) {
            Ok(description) => (description, None),
            Err(error) => (what.to_owned(), Some(error.to_string())),
        };
        Candidate {
            device: path.display().to_string(),
            description,
            obstacle,
        }
    };
    paths.into_iter().map(candidate).collect()
}

/// Nodes in `folder` whose name is `prefix` and a number, in numeric order.
fn nodes(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut nodes: Vec<(u32, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let number = name.to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((number, entry.path()))
        })
        .collect();
    nodes.sort();
    nodes.into_iter().map(|(_, path)| path).collect()
}
