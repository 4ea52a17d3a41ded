//! What a task asks of DPU_RDMA, checked against what is known to work.

use super::super::config::Config;
use super::super::fault::{Check, FaultKind, aligned, documented, same};
use super::super::state::Registers;
use super::decode::{Cpend, Dpu, Feed, Source};
use ferrite_hw::Grade;
use ferrite_hw::rk3588::dpu_rdma;

/// Kinds of per-channel operands that a DMA interleaves, and where.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct ChannelOperands {
    pub address: u32,
    pub alu: bool,
    pub cpend: bool,
    pub multiply: bool,
}

/// A cube that MRDMA or ERDMA reads; pitches in atoms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SourceCube {
    pub address: u32,
    pub line: i64,
    pub surface: i64,
}

/// A decoded DPU_RDMA task.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Rdma {
    pub bs: ChannelOperands,
    pub bn: ChannelOperands,
    /// Source of the task (flying), or even surfaces of the element-wise operand (fused).
    pub main: Option<SourceCube>,
    /// Element-wise operand, or its odd surfaces (fused).
    pub elementwise: Option<SourceCube>,
}

impl Rdma {
    /// Decodes and checks the registers. `enabled`: the task starts DPU_RDMA.
    pub(crate) fn decode(
        r: &Registers<'_>,
        config: &Config,
        enabled: bool,
        feed: Feed,
        dpu: &Dpu,
    ) -> Check<Rdma> {
        if !enabled {
            let needs = [dpu.bs, dpu.bn].iter().any(|s| {
                matches!(s.alu, Some((_, Source::Dma)))
                    || s.multiply.is_some_and(|m| m.source == Source::Dma)
            });
            if needs || dpu.ew.operand.is_some() || dpu.cpend == Some(Cpend::Dma) {
                return Err(FaultKind::Hang(
                    "a DPU stage waits for an operand but DPU_RDMA is not started",
                ));
            }
            return Ok(Rdma::default());
        }
        common(r, dpu)?;
        let (bs, bn) = channel_operands(r, config, dpu)?;
        let mut rdma = Rdma {
            bs,
            bn,
            ..Rdma::default()
        };
        match feed {
            Feed::Flying => flying(r, config, dpu, &mut rdma)?,
            Feed::Conv { depthwise, .. } => fused(r, config, depthwise, dpu, &mut rdma)?,
        }
        Ok(rdma)
    }
}

fn common(r: &Registers<'_>, dpu: &Dpu) -> Check {
    for (name, value, expected) in [
        (
            "DPU_RDMA.WIDTH",
            r.value(dpu_rdma::DATA_CUBE_WIDTH, dpu_rdma::data_cube_width::WIDTH),
            dpu.width,
        ),
        (
            "DPU_RDMA.HEIGHT",
            r.value(
                dpu_rdma::DATA_CUBE_HEIGHT,
                dpu_rdma::data_cube_height::HEIGHT,
            ),
            dpu.height,
        ),
        (
            "DPU_RDMA.CHANNEL",
            r.value(
                dpu_rdma::DATA_CUBE_CHANNEL,
                dpu_rdma::data_cube_channel::CHANNEL,
            ),
            dpu.channels,
        ),
    ] {
        same(name, value, "DPU cube", expected)?;
    }
    documented(
        r.word(dpu_rdma::PAD_CFG) == 0,
        "DPU_RDMA.PAD_CFG",
        r.word(dpu_rdma::PAD_CFG),
        "only ever written 0",
    )?;
    documented(
        r.word(dpu_rdma::WEIGHT) == 0x0101_0101,
        "DPU_RDMA.WEIGHT",
        r.word(dpu_rdma::WEIGHT),
        "everybody writes 0x01010101",
    )?;
    let unpooling = !dpu_rdma::src_dma_cfg::LINE_NOTCH_ADDR.mask();
    documented(
        r.word(dpu_rdma::SRC_DMA_CFG) & unpooling == 0,
        "DPU_RDMA.SRC_DMA_CFG",
        r.word(dpu_rdma::SRC_DMA_CFG),
        "un-pooling has never been used",
    )
}

fn channel_operands(
    r: &Registers<'_>,
    config: &Config,
    dpu: &Dpu,
) -> Check<(ChannelOperands, ChannelOperands)> {
    let mut decoded = [ChannelOperands::default(); 2];
    let sources = [
        (
            dpu_rdma::BRDMA_CFG,
            dpu_rdma::BS_BASE_ADDR,
            dpu.bs,
            "BRDMA_CFG",
        ),
        (
            dpu_rdma::NRDMA_CFG,
            dpu_rdma::BN_BASE_ADDR,
            dpu.bn,
            "NRDMA_CFG",
        ),
    ];
    for (operands, (cfg, base, stage, name)) in decoded.iter_mut().zip(sources) {
        let kinds = dpu_rdma::brdma_cfg::BRDMA_DATA_USE.get(r.word(cfg));
        *operands = ChannelOperands {
            address: r.word(base),
            alu: kinds & 1 != 0,
            cpend: kinds & 2 != 0,
            multiply: kinds & 4 != 0,
        };
        if kinds & 8 != 0 {
            return Err(FaultKind::NotModelled("per-channel shifts"));
        }
        let all = operands.alu && operands.cpend && operands.multiply;
        if all && cfg == dpu_rdma::NRDMA_CFG {
            return Err(FaultKind::Hang(
                "BN with all three operands per channel: every such task hung on silicon",
            ));
        }
        if (operands.cpend || operands.multiply) && !all {
            config.require(
                Grade::Sibling,
                "some of the per-channel operands interleaved",
            )?;
        }
        if kinds != 0 {
            aligned(base.name, operands.address, 16)?;
        }
        same(
            name,
            u32::from(operands.alu),
            "a stage whose ALU operand comes by DMA",
            u32::from(matches!(stage.alu, Some((_, Source::Dma)))),
        )?;
        same(
            name,
            u32::from(operands.multiply),
            "a stage whose multiplier comes by DMA",
            u32::from(stage.multiply.is_some_and(|m| m.source == Source::Dma)),
        )?;
    }
    let [bs, bn] = decoded;
    if dpu.cpend == Some(Cpend::Dma) && !bs.cpend {
        return Err(FaultKind::Hang(
            "CPEND waits for operands per channel that BRDMA does not fetch",
        ));
    }
    Ok((bs, bn))
}

/// In a convolution MRDMA is off, or fetches the element-wise operand together with ERDMA.
fn fused(r: &Registers<'_>, config: &Config, depthwise: bool, dpu: &Dpu, rdma: &mut Rdma) -> Check {
    let word = r.word(dpu_rdma::FEATURE_MODE_CFG);
    let conv_mode = if depthwise { 3 << 1 } else { 0 };
    let Some(operand) = dpu.ew.operand else {
        if dpu_rdma::feature_mode_cfg::MRDMA_DISABLE.get(word) == 0 {
            return Err(FaultKind::Hang(
                "DPU_RDMA runs without MRDMA_DISABLE and without an operand to fetch",
            ));
        }
        documented(
            word == 0x7810 | conv_mode,
            "DPU_RDMA.FEATURE_MODE_CFG",
            word,
            "a convolution without operand uses 0x7810, depthwise 0x7816",
        )?;
        return documented(
            r.word(dpu_rdma::ERDMA_CFG) == 1,
            "DPU_RDMA.ERDMA_CFG",
            r.word(dpu_rdma::ERDMA_CFG),
            "a task without element-wise operand uses 1 (disabled)",
        );
    };
    if dpu_rdma::feature_mode_cfg::COMB_USE.get(word) != 5 {
        return Err(FaultKind::Hang(
            "an element-wise operand of a convolution needs MRDMA and ERDMA together (COMB_USE 5)",
        ));
    }
    documented(
        word == 0x7d00 | conv_mode,
        "DPU_RDMA.FEATURE_MODE_CFG",
        word,
        "a convolution with int8 operand uses 0x7d00",
    )?;
    if depthwise {
        config.require(
            Grade::Inferred,
            "element-wise operand of a depthwise convolution",
        )?;
    }
    documented(
        operand.bytes == 1,
        "DPU.EW_CFG",
        operand.bytes,
        "32-bit operands of a convolution returned garbage on silicon",
    )?;
    erdma(r, operand.bytes)?;
    let pixels = i64::from(dpu.width) * i64::from(dpu.height);
    let stride = r.value(
        dpu_rdma::EW_SURF_STRIDE,
        dpu_rdma::ew_surf_stride::EW_SURF_STRIDE,
    );
    let notch = r.value(dpu_rdma::SURF_NOTCH, dpu_rdma::surf_notch::SURF_NOTCH_ADDR);
    let ew_notch = r.value(
        dpu_rdma::EW_SURF_NOTCH,
        dpu_rdma::ew_surf_notch::EW_SURF_NOTCH,
    );
    same(
        "DPU_RDMA.SURF_NOTCH",
        notch,
        "2 * EW_SURF_STRIDE - pixels of the task",
        2 * stride - pixels,
    )?;
    same(
        "DPU_RDMA.EW_SURF_NOTCH",
        ew_notch,
        "DPU_RDMA.SURF_NOTCH",
        notch,
    )?;
    for (name, value) in [
        ("DPU_RDMA.SRC_DMA_CFG", r.word(dpu_rdma::SRC_DMA_CFG)),
        (
            "DPU_RDMA.EW_LINE_NOTCH_ADDR",
            r.bits(
                dpu_rdma::DATA_CUBE_HEIGHT,
                dpu_rdma::data_cube_height::EW_LINE_NOTCH_ADDR,
            ),
        ),
    ] {
        documented(value == 0, name, value, "line notch of a fused operand")?;
    }
    // Each of the two skips the surface that the other reads.
    let cube = |address| {
        aligned("DPU_RDMA operand address", address, dpu.atom)?;
        Ok(SourceCube {
            address,
            line: i64::from(dpu.width),
            surface: pixels + notch,
        })
    };
    rdma.main = Some(cube(r.word(dpu_rdma::SRC_BASE_ADDR))?);
    rdma.elementwise = Some(cube(r.word(dpu_rdma::EW_BASE_ADDR))?);
    Ok(())
}

/// ERDMA must fetch what EW expects, one element per pixel and channel.
fn erdma(r: &Registers<'_>, bytes: u32) -> Check {
    let size = if bytes == 1 { 1 } else { 3 };
    documented(
        r.word(dpu_rdma::ERDMA_CFG) == 1 << 30 | size << 2,
        "DPU_RDMA.ERDMA_CFG",
        r.word(dpu_rdma::ERDMA_CFG),
        "must be enabled, per pixel, with the element size of EW_CFG",
    )
}

fn flying(r: &Registers<'_>, config: &Config, dpu: &Dpu, rdma: &mut Rdma) -> Check {
    use dpu_rdma::feature_mode_cfg as mode;
    let word = r.word(dpu_rdma::FEATURE_MODE_CFG);
    let precision = dpu.input as u32;
    let expected =
        0x7801 | precision << mode::PROC_PRECISION.low | precision << mode::IN_PRECISION.low;
    documented(
        word == expected,
        "DPU_RDMA.FEATURE_MODE_CFG",
        word,
        "a task without convolution uses 0x7801 with the DPU's precision, COMB_USE 0",
    )?;
    let (width, height) = (i64::from(dpu.width), i64::from(dpu.height));
    let cube = |address: u32, notch: i64, surf_notch: i64| {
        aligned("DPU_RDMA source address", address, dpu.atom)?;
        if notch != 0 && dpu.channels > dpu.atom_channels() {
            config.require(Grade::Inferred, "line and surface notches together")?;
        }
        Ok(SourceCube {
            address,
            line: width + notch,
            surface: (width + notch) * height + surf_notch,
        })
    };
    rdma.main = Some(cube(
        r.word(dpu_rdma::SRC_BASE_ADDR),
        r.value(
            dpu_rdma::SRC_DMA_CFG,
            dpu_rdma::src_dma_cfg::LINE_NOTCH_ADDR,
        ),
        r.value(dpu_rdma::SURF_NOTCH, dpu_rdma::surf_notch::SURF_NOTCH_ADDR),
    )?);
    let Some(operand) = dpu.ew.operand else {
        return documented(
            r.word(dpu_rdma::ERDMA_CFG) == 1,
            "DPU_RDMA.ERDMA_CFG",
            r.word(dpu_rdma::ERDMA_CFG),
            "a task without element-wise operand uses 1 (disabled)",
        );
    };
    erdma(r, operand.bytes)?;
    let operand_cube = cube(
        r.word(dpu_rdma::EW_BASE_ADDR),
        r.value(
            dpu_rdma::DATA_CUBE_HEIGHT,
            dpu_rdma::data_cube_height::EW_LINE_NOTCH_ADDR,
        ),
        r.value(
            dpu_rdma::EW_SURF_NOTCH,
            dpu_rdma::ew_surf_notch::EW_SURF_NOTCH,
        ),
    )?;
    if dpu.channels > dpu.atom_channels() {
        same(
            "DPU_RDMA.EW_SURF_STRIDE",
            r.value(
                dpu_rdma::EW_SURF_STRIDE,
                dpu_rdma::ew_surf_stride::EW_SURF_STRIDE,
            ),
            "operand surface pitch by its notches",
            operand_cube.surface,
        )?;
    }
    rdma.elementwise = Some(operand_cube);
    Ok(())
}
