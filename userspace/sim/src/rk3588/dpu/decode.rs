//! What a task asks of the DPU, checked against what is known to work.

use super::super::config::Config;
use super::super::fault::{Check, FaultKind, aligned, documented, same};
use super::super::state::Registers;
use super::converters::{elementwise, out_cvt};
use ferrite_hw::Grade;
use ferrite_hw::rk3588::table::{Field, Register};
use ferrite_hw::rk3588::{Precision, dpu};

/// Where a stage's operand comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Source {
    /// A register.
    Register(i32),
    /// One value per channel, by DMA.
    Dma,
}

/// What is added to weights, in effect.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cpend {
    /// OW_OP.
    Register(i16),
    /// One value per output channel, by DMA.
    Dma,
}

/// Two-operand functions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Alu {
    Add,
    Subtract,
    Maximum,
    Minimum,
    Multiply,
}

/// A multiplier: operand and the right shifts of products.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Multiply {
    pub source: Source,
    pub shift: u32,
    pub shift_negative: u32,
}

impl Multiply {
    fn require_shift(&self, config: &Config) -> Check {
        if self.shift == 0 && self.shift_negative == 0 {
            return Ok(());
        }
        config.require(Grade::Sibling, "rounding of a multiplier's shift")
    }
}

/// BS or BN.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Stage {
    pub alu: Option<(Alu, Source)>,
    pub multiply: Option<Multiply>,
    /// Lower clamp 0, and an upper one.
    pub relu: Option<Option<i32>>,
}

/// The element-wise stage.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Elementwise {
    pub operand: Option<EwOperand>,
    pub relu: Option<Option<i32>>,
}

/// The element-wise operand and its converter: `((o + offset) * scale) >> shift` or
/// `(o * scale >> shift) + offset`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct EwOperand {
    pub alu: Alu,
    /// Bytes of an element: 1 or 4.
    pub bytes: u32,
    pub add_first: bool,
    pub offset: i32,
    pub scale: i16,
    pub shift: u32,
}

/// The output converter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct OutCvt {
    pub offset: i32,
    pub scale: u16,
    pub shift: u32,
    /// `(x + offset) * scale >> shift` instead of `(x * scale >> shift) + offset`.
    pub add_first: bool,
}

/// Output element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Int8,
    Int32,
    Fp32,
}

impl Output {
    /// Bytes of an element.
    fn bytes(self) -> usize {
        match self {
            Output::Int8 => 1,
            Output::Int32 | Output::Fp32 => 4,
        }
    }
}

/// What feeds the DPU.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Feed {
    /// The MAC array, with groups of so many channels.
    Conv {
        /// Depthwise.
        depthwise: bool,
        /// Kernels or channels of a group.
        group: u32,
    },
    /// MRDMA.
    Flying,
}

/// A decoded DPU task.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Dpu {
    /// Bytes of an atom.
    pub atom: u32,
    pub input: Precision,
    pub output: Output,
    pub width: u32,
    pub height: u32,
    /// Channels written, whole groups.
    pub channels: u32,
    /// Channels that carry data.
    pub real_channels: u32,
    /// Channels per group of surfaces.
    pub group: u32,
    pub address: u32,
    /// Atoms from surface to surface.
    pub surface_stride: u32,
    /// Atoms skipped at the end of a line.
    pub notch: u32,
    /// Value of channels that carry no data.
    pub fill: i32,
    /// CPEND: added to every weight, in effect.
    pub cpend: Option<Cpend>,
    pub bs: Stage,
    pub bn: Stage,
    pub ew: Elementwise,
    pub cvt: OutCvt,
}

impl Dpu {
    /// Channels in an atom of the output.
    pub(crate) fn atom_channels(&self) -> u32 {
        self.atom / self.output.bytes() as u32
    }

    /// Decodes and checks the registers.
    pub(crate) fn decode(r: &Registers<'_>, config: &Config, feed: Feed) -> Check<Dpu> {
        let (input, output) = formats(r, feed)?;
        let mode = match feed {
            Feed::Conv { depthwise, .. } => 0x1e4 | if depthwise { 3 << 3 } else { 0 },
            Feed::Flying => 0x1e5,
        };
        documented(
            r.word(dpu::FEATURE_MODE_CFG) == mode,
            "DPU.FEATURE_MODE_CFG",
            r.word(dpu::FEATURE_MODE_CFG),
            "only 0x1e4 (convolution), 0x1fc (depthwise), 0x1e5 (without convolution) are modelled",
        )?;
        let size = |register: Register, field: Field| r.value(register, field) as u32;
        let channels = size(dpu::DATA_CUBE_CHANNEL, dpu::data_cube_channel::CHANNEL);
        let group = match feed {
            Feed::Conv { group, .. } => group,
            Feed::Flying => config.chip.atom_channels(output.bytes()) as u32,
        };
        let decoded = Dpu {
            atom: config.atom()?,
            input,
            output,
            width: size(dpu::DATA_CUBE_WIDTH, dpu::data_cube_width::WIDTH),
            height: size(dpu::DATA_CUBE_HEIGHT, dpu::data_cube_height::HEIGHT),
            channels,
            real_channels: size(dpu::DATA_CUBE_CHANNEL, dpu::data_cube_channel::ORIG_CHANNEL),
            group,
            address: r.word(dpu::DST_BASE_ADDR),
            surface_stride: size(dpu::DST_SURF_STRIDE, dpu::dst_surf_stride::DST_SURF_STRIDE),
            notch: size(
                dpu::DATA_CUBE_NOTCH_ADDR,
                dpu::data_cube_notch_addr::NOTCH_ADDR_0,
            ),
            fill: i32::from(r.word(dpu::OFFSET_PEND) as i16),
            cpend: cpend(r, feed)?,
            bs: bs(r, config)?,
            bn: bn(r, config)?,
            ew: elementwise(r, config, feed)?,
            cvt: out_cvt(r, config, output)?,
        };
        decoded.check_sizes(r, config, feed)?;
        decoded.check_surfaces(r, config, feed)?;
        Ok(decoded)
    }

    fn check_sizes(&self, r: &Registers<'_>, config: &Config, feed: Feed) -> Check {
        aligned("DPU.DST_BASE_ADDR", self.address, self.atom)?;
        documented(
            r.bits(dpu::DATA_CUBE_HEIGHT, dpu::data_cube_height::MINMAX_CTL) == 0,
            "DPU.DATA_CUBE_HEIGHT",
            r.word(dpu::DATA_CUBE_HEIGHT),
            "MINMAX_CTL is never set",
        )?;
        same(
            "DPU.NOTCH_ADDR_1",
            r.value(
                dpu::DATA_CUBE_NOTCH_ADDR,
                dpu::data_cube_notch_addr::NOTCH_ADDR_1,
            ),
            "DPU.NOTCH_ADDR_0",
            self.notch,
        )?;
        for (name, register, field, expected) in [
            (
                "DPU.WIDTH_WDMA",
                dpu::WDMA_SIZE_1,
                dpu::wdma_size_1::WIDTH_WDMA,
                self.width,
            ),
            (
                "DPU.HEIGHT_WDMA",
                dpu::WDMA_SIZE_1,
                dpu::wdma_size_1::HEIGHT_WDMA,
                self.height,
            ),
            (
                "DPU.CHANNEL_WDMA",
                dpu::WDMA_SIZE_0,
                dpu::wdma_size_0::CHANNEL_WDMA,
                self.channels,
            ),
        ] {
            same(name, r.value(register, field), "DPU cube", expected)?;
        }
        documented(
            r.word(dpu::WDMA_SIZE_0) & !dpu::wdma_size_0::CHANNEL_WDMA.mask() == 0,
            "DPU.WDMA_SIZE_0",
            r.word(dpu::WDMA_SIZE_0),
            "SIZE_C_WDMA and TP_PRECISION belong to the transposing writer",
        )?;
        documented(
            self.real_channels <= self.channels,
            "DPU.ORIG_CHANNEL",
            self.real_channels,
            "more real channels than padded ones",
        )?;
        if feed == Feed::Flying {
            // On silicon only the first channel of each atom came out right with fewer.
            same(
                "DPU.ORIG_CHANNEL",
                self.real_channels,
                "DPU.CHANNEL of a task without convolution",
                self.channels,
            )?;
        }
        if self.fill != 0 && self.real_channels < self.channels {
            config.require(Grade::Inferred, "filling channels with OFFSET_PEND")?;
        }
        Ok(())
    }

    /// Surfaces of a kernel group: SIZE_E and SURFACE_ADD.
    fn check_surfaces(&self, r: &Registers<'_>, config: &Config, feed: Feed) -> Check {
        use dpu::bs_ow_cfg as ow;
        let word = r.word(dpu::BS_OW_CFG);
        documented(
            word & (ow::RGP_CNTER.mask() | ow::TP_ORG_EN.mask()) == 0,
            "DPU.BS_OW_CFG",
            word,
            "regrouping and transposing are not modelled",
        )?;
        same(
            "DPU.CHANNEL modulo its group",
            self.channels % self.group,
            "remainder",
            0,
        )?;
        let surfaces = self.group / self.atom_channels();
        let (coded, rule) = match feed {
            Feed::Conv { .. } => (surfaces, "output surfaces of a kernel group"),
            Feed::Flying => (1, "surfaces at a time without convolution"),
        };
        if coded > config.chip.group_surfaces as u32 {
            return Err(FaultKind::Undocumented {
                register: "DPU.DATA_FORMAT",
                value: r.word(dpu::DATA_FORMAT),
                why: "groups of more than 8 output surfaces do not fit SIZE_E; nobody has used \
                      32-bit output of a depthwise convolution",
            });
        }
        for field in [ow::SIZE_E_0, ow::SIZE_E_1, ow::SIZE_E_2] {
            same(field.name, field.value(word), rule, coded)?;
        }
        same(
            "DPU.SURF_ADD",
            r.value(dpu::SURFACE_ADD, dpu::surface_add::SURF_ADD),
            "surfaces of a group * DST_SURF_STRIDE",
            i64::from(coded) * i64::from(self.surface_stride),
        )
    }
}

fn formats(r: &Registers<'_>, feed: Feed) -> Check<(Precision, Output)> {
    use dpu::data_format as df;
    let word = r.word(dpu::DATA_FORMAT);
    documented(
        df::MC_SURF_OUT.get(word) == 0,
        "DPU.DATA_FORMAT",
        word,
        "serial surfaces have not been seen",
    )?;
    let input = Precision::from_code(df::IN_PRECISION.get(word));
    let stages = Precision::from_code(df::PROC_PRECISION.get(word));
    let output = match Precision::from_code(df::OUT_PRECISION.get(word)) {
        Precision::Int8 => Output::Int8,
        Precision::Int32 => Output::Int32,
        Precision::Fp32 => Output::Fp32,
        _ => {
            return Err(FaultKind::NotModelled(
                "outputs other than int8, int32 and fp32",
            ));
        }
    };
    same(
        "DPU.PROC_PRECISION",
        stages as u32,
        "DPU.IN_PRECISION",
        input as u32,
    )?;
    match (feed, input) {
        (Feed::Conv { .. }, Precision::Int8)
        | (Feed::Flying, Precision::Int8 | Precision::Int32) => {}
        _ => {
            return Err(FaultKind::NotModelled(
                "DPU inputs other than int8 and int32",
            ));
        }
    }
    Ok((input, output))
}

fn cpend(r: &Registers<'_>, feed: Feed) -> Check<Option<Cpend>> {
    use dpu::bs_ow_cfg as ow;
    let word = r.word(dpu::BS_OW_CFG);
    if ow::OD_BYPASS.get(word) != 0 {
        return Ok(None);
    }
    documented(
        feed != Feed::Flying,
        "DPU.OD_BYPASS",
        word,
        "there is no data sum without convolution",
    )?;
    if ow::OW_SRC.get(word) != 0 {
        return Ok(Some(Cpend::Dma));
    }
    let operand = dpu::bs_ow_op::OW_OP.value(r.word(dpu::BS_OW_OP)) as i16;
    Ok(Some(Cpend::Register(operand)))
}

fn bs(r: &Registers<'_>, config: &Config) -> Check<Stage> {
    let shift_negative = dpu::data_format::BS_MUL_SHIFT_VALUE_NEG.get(r.word(dpu::DATA_FORMAT));
    let stage = stage(
        r,
        config,
        [
            dpu::BS_CFG,
            dpu::BS_ALU_CFG,
            dpu::BS_MUL_CFG,
            dpu::BS_RELUX_CMP_VALUE,
        ],
        shift_negative,
    )?;
    // Measured for multipliers per channel, whose operands DPU_RDMA checks.
    if let Some(multiply) = stage.multiply
        && multiply.source != Source::Dma
    {
        multiply.require_shift(config)?;
    }
    Ok(stage)
}

fn bn(r: &Registers<'_>, config: &Config) -> Check<Stage> {
    let shift_negative = dpu::data_format::BN_MUL_SHIFT_VALUE_NEG.get(r.word(dpu::DATA_FORMAT));
    let stage = stage(
        r,
        config,
        [
            dpu::BN_CFG,
            dpu::BN_ALU_CFG,
            dpu::BN_MUL_CFG,
            dpu::BN_RELUX_CMP_VALUE,
        ],
        shift_negative,
    )?;
    if let Some(multiply) = stage.multiply {
        multiply.require_shift(config)?;
    }
    if stage.alu.is_some() && stage.multiply.is_some() {
        config.require(Grade::Inferred, "the order of BN's ALU and multiplier")?;
    }
    if matches!(stage.alu, Some((_, Source::Dma)))
        || matches!(
            stage.multiply,
            Some(Multiply {
                source: Source::Dma,
                ..
            })
        )
    {
        config.require(Grade::Inferred, "integer per-channel operands in BN")?;
    }
    Ok(stage)
}

/// BS and BN have the same layout; the fields of BS serve for both.
fn stage(
    r: &Registers<'_>,
    config: &Config,
    [cfg, alu, mul, relux]: [Register; 4],
    shift_negative: u32,
) -> Check<Stage> {
    use dpu::{bs_cfg as bits, bs_mul_cfg as mul_bits};
    let word = r.word(cfg);
    if bits::BS_BYPASS.get(word) != 0 {
        return Ok(Stage::default());
    }
    documented(
        bits::BS_MUL_PRELU.get(word) == 0,
        cfg.name,
        word,
        "multiplying only negative values is not modelled",
    )?;
    let source = |dma: bool, value| {
        if dma {
            Source::Dma
        } else {
            Source::Register(value)
        }
    };
    let alu = if bits::BS_ALU_BYPASS.get(word) != 0 {
        None
    } else {
        let function = match bits::BS_ALU_ALGO.get(word) {
            2 => Alu::Add,
            4 => Alu::Subtract,
            _ => {
                return Err(FaultKind::Undocumented {
                    register: cfg.name,
                    value: word,
                    why: "only add (2) and subtract (4) are known",
                });
            }
        };
        let dma = bits::BS_ALU_SRC.get(word) != 0;
        Some((function, source(dma, r.word(alu) as i32)))
    };
    let multiply = if bits::BS_MUL_BYPASS.get(word) != 0 {
        None
    } else {
        let word = r.word(mul);
        if mul_bits::BS_TRUNCATE_SRC.get(word) != 0 {
            return Err(FaultKind::NotModelled("per-channel shifts"));
        }
        let shift = mul_bits::BS_MUL_SHIFT_VALUE.get(word);
        let operand = mul_bits::BS_MUL_OPERAND.get(word) as u16 as i16;
        Some(Multiply {
            source: source(mul_bits::BS_MUL_SRC.get(word) != 0, i32::from(operand)),
            shift,
            shift_negative,
        })
    };
    let relu = relu(
        config,
        bits::BS_RELU_BYPASS.get(word) != 0,
        bits::BS_RELUX_EN.get(word) != 0,
        r.word(relux),
    )?;
    Ok(Stage {
        alu,
        multiply,
        relu,
    })
}

pub(super) fn relu(
    config: &Config,
    bypass: bool,
    upper: bool,
    compare: u32,
) -> Check<Option<Option<i32>>> {
    if bypass {
        return Ok(None);
    }
    config.require(Grade::Inferred, "RELU of integers")?;
    Ok(Some(upper.then_some(compare as i32)))
}
