//! The front end's states: what loading them means.

use super::config::Config;
use super::fault::{Check, FaultKind};
use super::job::{Done, Job};
use ferrite_hw::vivante::command::TOKEN_FE_PE;
use ferrite_hw::vivante::disasm::Kind;
use ferrite_hw::vivante::state;

/// What a command asks of the world outside the front end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Effect {
    /// Nothing.
    None,
    /// A job has to run before the next command.
    Run(Job),
    /// An event is signalled.
    Event(u8),
    /// Translations are flushed.
    FlushMmu,
    /// Another context's page tables are used.
    Context(u32),
}

/// States that have an influence on jobs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FrontEnd {
    nn_config: u32,
    tp_config: u32,
    tp_unknown: u32,
    window: (u32, u32),
    semaphore: Option<u32>,
    /// Id of the jobs since the last synchronisation.
    unsynchronised: Option<u8>,
    /// Results that are still in caches.
    dirty: bool,
}

impl FrontEnd {
    /// A LOAD_STATE of one word.
    pub(super) fn load(&mut self, config: &Config, state: u32, value: u32) -> Check<Effect> {
        let fault = |why| FaultKind::State { state, value, why };
        let expect = |holds: bool, why| if holds { Ok(()) } else { Err(fault(why)) };
        match state {
            state::PA_SYSTEM_MODE => expect(value == 0x11, "only 0x11 is known")?,
            state::GL_API_MODE => expect(value == 2, "only 2 (OpenCL) is known")?,
            state::GL_SHADER_INDEX => expect(value == 0, "only 0 is known")?,
            state::GL_PIPE_SELECT => expect(value == 0, "NPU jobs run as pipe 0")?,
            state::TS_FLUSH_CACHE => expect(value == 1, "only 1 is known")?,
            state::GL_NN_CONFIG => {
                let all = value & 0xf00 == 0;
                expect(all, "bits [11:8] other than 0 hang a core")?;
                expect(value & !0x10 == 0, "only 0x10 and 0 are known")?;
                self.nn_config = value;
            }
            state::GL_TP_CONFIG => {
                expect(value == 0, "only 0 is known on this chip")?;
                self.tp_config = value;
            }
            state::GL_UNKNOWN_3950 => {
                expect(value == 0 || value == 8, "only 0 and 8 are known")?;
                self.tp_unknown = value;
            }
            state::GL_OCB_REMAP_START => self.window.0 = value,
            state::GL_OCB_REMAP_END => self.window.1 = value,
            state::GL_FLUSH_CACHE => {
                let known = matches!(value, 0 | 3 | 8 | 0x23 | 0x57 | 0x0403 | 0x0c23);
                expect(known, "no known user flushes these")?;
                if value & state::FLUSH_RESULTS == state::FLUSH_RESULTS {
                    self.dirty = false;
                }
            }
            state::GL_SEMAPHORE_TOKEN => {
                expect(
                    value == TOKEN_FE_PE,
                    "only front end to pixel engine is known",
                )?;
                self.semaphore = Some(value);
            }
            state::GL_EVENT => {
                let id = value & 0x1f;
                expect(id < 30, "there are 30 events")?;
                let known = value & !0x1f == state::EVENT_FROM_PE;
                expect(known, "only events from the pixel engine are known")?;
                return Ok(Effect::Event(id as u8));
            }
            state::MMUV2_CONFIGURATION => {
                expect(
                    value == 0x18,
                    "only the flush (0x18) is known in secure mode",
                )?;
                return Ok(Effect::FlushMmu);
            }
            state::MMUV2_PTA_CONFIG => return Ok(Effect::Context(value & 0xffff)),
            state::PS_NN_INST_ADDR => return self.start(config, Kind::Nn, value),
            state::PS_TP_INST_ADDR => return self.start(config, Kind::Tp, value),
            state::PS_SYNC_ID => {
                let ok = self.unsynchronised.is_some_and(|id| u32::from(id) == value);
                expect(ok, "does not follow a job of this id")?;
                self.unsynchronised = None;
            }
            _ => return Err(fault("no known user loads this state")),
        }
        Ok(Effect::None)
    }

    /// A STALL.
    pub(super) fn stall(&mut self, token: u32) -> Check {
        // Jobs run to their end when they are started, so that a token is back at once.
        if self.semaphore.take() == Some(token) {
            return Ok(());
        }
        Err(FaultKind::State {
            state: state::GL_SEMAPHORE_TOKEN,
            value: token,
            why: "a stall on a token that was not sent waits for ever",
        })
    }

    /// A job ended.
    pub(super) fn done(&mut self, done: &Done) {
        self.dirty |= done.fault.is_none();
    }

    /// Whoever reads results now must find them in memory.
    pub(super) fn check_flushed(&self) -> Check {
        let why = if self.dirty {
            "results are read without the flush (0xc23) that brings them to memory"
        } else if self.unsynchronised.is_some() {
            "jobs were not synchronised by their id"
        } else {
            return Ok(());
        };
        Err(FaultKind::State {
            state: state::GL_FLUSH_CACHE,
            value: 0,
            why,
        })
    }

    fn start(&mut self, config: &Config, kind: Kind, value: u32) -> Check<Effect> {
        let (descriptor, id) = (value & !0x3f, value & 0x1f);
        let fault = |why| FaultKind::State {
            state: match kind {
                Kind::Nn => state::PS_NN_INST_ADDR,
                Kind::Tp => state::PS_TP_INST_ADDR,
            },
            value,
            why,
        };
        if value & 0x20 != 0 {
            return Err(fault("bit 5 belongs neither to the address nor to the id"));
        }
        match (kind, self.unsynchronised) {
            // The parts of a split TP job: all but the last may overlap.
            (_, None) | (Kind::Tp, Some(1)) => {}
            _ => return Err(fault("the job before was not synchronised by its id")),
        }
        if kind == Kind::Nn {
            config.usual(id == 0, "NN jobs that may overlap")?;
            config.usual(
                self.nn_config == state::NN_CONFIG,
                "an NN configuration other than 0x10",
            )?;
        } else {
            config.usual(id <= 1, "TP jobs of ids other than 0 and 1")?;
        }
        let size = u64::from(self.window.1).checked_sub(self.window.0.into());
        if size.is_none_or(|size| size > config.chip.axi_sram_bytes.into()) {
            return Err(FaultKind::State {
                state: state::GL_OCB_REMAP_END,
                value: self.window.1,
                why: "the window is no part of the SRAM on the bus",
            });
        }
        self.unsynchronised = Some(id as u8);
        Ok(Effect::Run(Job {
            kind,
            descriptor,
            id: id as u8,
        }))
    }
}
