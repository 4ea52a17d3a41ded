//! The virtual board's devices: RK3588 NPU cores, each behind its IOMMU, or the A311D's NPU, in a
//! stock QEMU.
//!
//! QEMU loads this library with `-plugin libferrite_board.so,soc=rk3588,cores=3`. The cores sit at
//! their real addresses and interrupt lines; what they compute is `ferrite-sim`'s business.

mod chip;
mod journal;
mod kicks;
mod npu_core;
mod options;
mod port;
mod qemu;
mod reset;
mod shared;
mod stats;
mod tracing;
mod vivante;

use std::sync::{Arc, OnceLock};

use npu_core::NpuCore;
use options::{Options, Soc};
use qemu::{BoardError, Bql, GuestRam, Irq};
use shared::Shared;
use tracing::Trace;
use vivante::Vivante;

/// Why the plugin refuses to work.
#[derive(Debug, thiserror::Error)]
enum InstallError {
    #[error(transparent)]
    Options(#[from] options::OptionError),
    #[error(transparent)]
    Symbol(#[from] qemu::MissingSymbol),
    #[error("{path}: {source}")]
    File {
        path: String,
        source: std::io::Error,
    },
}

/// Sets the board up, once QEMU has loaded us.
fn install(arguments: &[String]) -> Result<(), InstallError> {
    let options = Options::parse(arguments)?;
    qemu::load()?;
    let file = |path: &std::path::Path| {
        std::fs::File::create(path).map_err(|source| InstallError::File {
            path: path.display().to_string(),
            source,
        })
    };
    if let Some(path) = &options.log {
        journal::start(file(path)?);
    }
    let trace = match &options.trace {
        Some(path) => Some(Arc::new(Trace::new(file(path)?).map_err(|source| {
            InstallError::File {
                path: path.display().to_string(),
                source,
            }
        })?)),
        None => None,
    };
    let cores: Arc<OnceLock<Npus>> = Arc::default();
    qemu::at_exit({
        let (cores, trace, stats) = (Arc::clone(&cores), trace.clone(), options.stats.clone());
        move || {
            if let (Some(path), Some(cores)) = (&stats, cores.get())
                && let Err(error) = std::fs::write(path, cores.stats())
            {
                log::error!("{}: {error}", path.display());
            }
            if let Some(trace) = trace {
                trace.flush();
            }
        }
    });
    qemu::when_machine_is_ready(move |bql| match build(bql, &options, trace) {
        Ok(built) => {
            let _ = cores.set(built);
        }
        Err(error) => {
            // Without its devices the guest would wait for ever.
            eprintln!("ferrite-board: {error}");
            std::process::exit(1);
        }
    });
    Ok(())
}

/// What the board has.
enum Npus {
    Rk3588(Vec<Arc<NpuCore>>, Arc<Shared>),
    A311d(Arc<Vivante>),
}

impl Npus {
    fn stats(&self) -> String {
        match self {
            Npus::Rk3588(cores, shared) => stats::json(cores, shared),
            Npus::A311d(npu) => npu.stats(),
        }
    }
}

/// Puts the NPU of the chip into the machine.
fn build(bql: &Bql, options: &Options, trace: Option<Arc<Trace>>) -> Result<Npus, BoardError> {
    match options.soc {
        Soc::Rk3588 => {
            let shared = Shared::new(options.dma_errors)
                .hanging(options.hang)
                .without_iommu_resets(options.iommu_errors);
            let shared = Arc::new(shared);
            let cores = build_rk3588(bql, options, trace, &shared)?;
            Ok(Npus::Rk3588(cores, shared))
        }
        Soc::A311d => build_a311d(bql, options, trace).map(Npus::A311d),
    }
}

fn build_a311d(
    bql: &Bql,
    options: &Options,
    trace: Option<Arc<Trace>>,
) -> Result<Arc<Vivante>, BoardError> {
    let ram = Arc::new(GuestRam::map(bql, chip::RAM_BASE)?);
    let irq = Irq::shared_peripheral(bql, vivante::INTERRUPT)?;
    let shared = Shared::new(options.dma_errors).hanging(options.hang);
    let npu = Vivante::new(irq, ram, shared, trace, options.icount);
    qemu::map_registers(
        bql,
        "vivante-npu",
        vivante::BASE,
        vivante::WINDOW,
        Arc::new(Arc::clone(&npu)),
    );
    let model = u64::from(ferrite_hw::vivante::register::HI_CHIP_MODEL);
    let (address, expected) = (
        vivante::BASE + model,
        ferrite_hw::vivante::chip::A311D.model,
    );
    match qemu::read_physical(bql, address) {
        read if read == expected => Ok(npu),
        read => Err(BoardError::ByteOrder {
            address,
            read,
            expected,
        }),
    }
}

/// Puts the cores into the machine.
fn build_rk3588(
    bql: &Bql,
    options: &Options,
    trace: Option<Arc<Trace>>,
    shared: &Arc<Shared>,
) -> Result<Vec<Arc<NpuCore>>, BoardError> {
    let ram = Arc::new(GuestRam::map(bql, chip::RAM_BASE)?);
    let mut cores = Vec::new();
    for place in chip::CORES.iter().take(options.cores as usize) {
        let irq = Irq::shared_peripheral(bql, place.interrupt)?;
        let core = NpuCore::new(
            place,
            irq,
            Arc::clone(&ram),
            trace.clone(),
            Arc::clone(shared),
            options,
        );
        qemu::map_registers(
            bql,
            "rk3588-npu",
            place.base,
            chip::WINDOW,
            Arc::new(Arc::clone(&core)),
        );
        cores.push(core);
    }
    let reset = Arc::new(reset::ResetController::new(cores.clone()));
    qemu::map_registers(
        bql,
        "npu-reset",
        chip::RESET_BASE,
        chip::RESET_WINDOW,
        reset,
    );

    // A byte order that was not meant would show as nonsense far from here.
    let (address, expected) = (chip::CORES[0].base, ferrite_hw::rk3588::codes::VERSION_FIRE);
    match qemu::read_physical(bql, address) {
        read if read == expected => Ok(cores),
        read => Err(BoardError::ByteOrder {
            address,
            read,
            expected,
        }),
    }
}
