//! Register values of a task.

use ferrite_hw::rk3588::table::FieldOverflow;
use ferrite_hw::rk3588::{Precision, cna, core, dpu, dpu_rdma};

use super::bypass::{self, ON};
use super::constants::{GROUP, Operands};
use super::registers::Registers;
use super::table::{UNITS, look_up};
use crate::executable::BufferId;
use crate::passes::plan_memory::Memory;
use crate::targets::rk3588::cbuf;
use crate::targets::rk3588::numbers::quant::Scaling;
use crate::targets::rk3588::program::{Layer, Mode, Program, Rect, Side, Stage, Tile};

/// Everything that addresses depend on.
pub struct Emitter<'a> {
    /// Cubes.
    pub program: &'a Program,
    /// Where the cubes lie.
    pub memory: &'a Memory,
    /// Buffer of the cubes.
    pub activations: BufferId,
    /// Buffer of weights and biases.
    pub constants: BufferId,
}

impl Emitter<'_> {
    /// Sets the registers for one tile of a layer.
    pub fn task(
        &self,
        regs: &mut Registers,
        layer: &Layer,
        tile: &Tile,
        operands: &Operands,
    ) -> Result<(), FieldOverflow> {
        regs.clear();
        if layer.mode == Mode::Flying {
            return self.flying(regs, layer, tile);
        }
        self.cna(regs, layer, tile, operands)?;
        self.core(regs, layer, tile)?;
        self.output(regs, layer, tile)?;
        self.stages(regs, layer)?;
        self.rdma(regs, layer, tile, operands)
    }

    /// Byte offset in the activations of a tile's first atom on one side of a layer.
    pub(super) fn place(&self, side: &Side, tile: &Rect, channel: usize) -> usize {
        let (root, surface) = self.program.root(side.cube);
        let cube = self.program.cube(root);
        let surface = surface + side.surface + channel / cube.atom_channels(self.program.chip);
        let pixel = (side.rect.y + tile.y) * side.grid.w + side.rect.x + tile.x;
        self.memory.offset(root)
            + self.program.chip.atom_bytes * (surface * cube.surface_pitch + pixel)
    }

    /// Channels that a task writes: whole kernel groups.
    pub(super) fn written(&self, layer: &Layer, tile: &Tile) -> i64 {
        let group = layer.mode.group(self.program.chip);
        tile.channels.next_multiple_of(group) as i64
    }

    pub(super) fn pitch(&self, side: &Side) -> i64 {
        let (root, _) = self.program.root(side.cube);
        self.program.cube(root).surface_pitch as i64
    }

    fn cna(
        &self,
        regs: &mut Registers,
        layer: &Layer,
        tile: &Tile,
        operands: &Operands,
    ) -> Result<(), FieldOverflow> {
        use cna::*;
        let depthwise = layer.mode == Mode::Depthwise;
        let (inputs, first_input, kernels) = match layer.mode {
            Mode::Direct => (layer.input.channels, 0, tile.channels),
            _ => (tile.channels, tile.first_channel, 1),
        };
        let chip = self.program.chip;
        let padded = inputs.next_multiple_of(chip.atom_channels(1));
        let per_kernel = layer.kernel.h * layer.kernel.w * padded;
        let (width, height) = (tile.input.w as i64, tile.input.h as i64);
        let grains = cbuf::grains(
            tile.input.h,
            layer.span().h,
            layer.stride.h,
            cbuf::rows_in(chip, tile.data_banks, tile.entries),
        );
        regs.set(
            CONV_CON1,
            [
                (conv_con1::CONV_MODE, if depthwise { 3 } else { 0 }),
                (conv_con1::IN_PRECISION, Precision::Int8 as i64),
                (conv_con1::PROC_PRECISION, Precision::Int8 as i64),
            ],
        )?;
        regs.set(CONV_CON2, [(conv_con2::FEATURE_GRAINS, grains as i64)])?;
        regs.set(
            CONV_CON3,
            [
                (conv_con3::ATROUS_Y_DILATION, layer.dilation.h as i64),
                (conv_con3::ATROUS_X_DILATION, layer.dilation.w as i64),
                (conv_con3::CONV_Y_STRIDE, layer.stride.h as i64),
                (conv_con3::CONV_X_STRIDE, layer.stride.w as i64),
            ],
        )?;
        regs.set(
            DATA_SIZE0,
            [
                (data_size0::DATAIN_WIDTH, width),
                (data_size0::DATAIN_HEIGHT, height),
            ],
        )?;
        regs.set(
            DATA_SIZE1,
            [
                (data_size1::DATAIN_CHANNEL_REAL, inputs as i64),
                (data_size1::DATAIN_CHANNEL, padded as i64),
            ],
        )?;
        let (out_w, out_h) = (tile.output.w as i64, tile.output.h as i64);
        regs.set(DATA_SIZE2, [(data_size2::DATAOUT_WIDTH, out_w)])?;
        regs.set(DATA_SIZE3, [(data_size3::DATAOUT_ATOMICS, out_w * out_h)])?;
        regs.word(WEIGHT_SIZE0, (per_kernel * kernels) as u32);
        regs.set(
            WEIGHT_SIZE1,
            [(weight_size1::WEIGHT_BYTES_PER_KERNEL, per_kernel as i64)],
        )?;
        regs.set(
            WEIGHT_SIZE2,
            [
                (weight_size2::WEIGHT_WIDTH, layer.kernel.w as i64),
                (weight_size2::WEIGHT_HEIGHT, layer.kernel.h as i64),
                (weight_size2::WEIGHT_KERNELS, kernels as i64),
            ],
        )?;
        regs.set(
            CBUF_CON0,
            [
                (cbuf_con0::WEIGHT_REUSE, tile.reuse_weights.into()),
                (
                    cbuf_con0::WEIGHT_BANK,
                    (chip.cbuf_banks - tile.data_banks) as i64,
                ),
                (cbuf_con0::DATA_BANK, tile.data_banks as i64),
            ],
        )?;
        regs.set(CBUF_CON1, [(cbuf_con1::DATA_ENTRIES, tile.entries as i64)])?;
        regs.set(
            CVT_CON0,
            [
                (cvt_con0::DATA_SIGN, ON),
                (cvt_con0::CVT_TYPE, ON),
                (cvt_con0::CVT_BYPASS, ON),
            ],
        )?;
        regs.set(CVT_CON1, [(cvt_con1::CVT_SCALE0, 1)])?;
        regs.set(CVT_CON2, [(cvt_con2::CVT_SCALE1, 1)])?;
        regs.set(CVT_CON3, [(cvt_con3::CVT_SCALE2, 1)])?;
        regs.set(CVT_CON4, [(cvt_con4::CVT_SCALE3, 1)])?;
        regs.set(
            PAD_CON0,
            [
                (pad_con0::PAD_LEFT, tile.pad_left as i64),
                (pad_con0::PAD_TOP, tile.pad_top as i64),
            ],
        )?;
        regs.address(
            FEATURE_DATA_ADDR,
            self.activations,
            self.place(&layer.input, &tile.input, first_input),
        );
        regs.set(
            DMA_CON0,
            [
                (
                    dma_con0::WEIGHT_BURST_LEN,
                    dma_con0::WEIGHT_BURST_LEN.value(15 << 16),
                ),
                (dma_con0::DATA_BURST_LEN, dma_con0::DATA_BURST_LEN.value(15)),
            ],
        )?;
        // Rows are fetched in groups of four; after the last group the stride leads back to the
        // first group of the next surface, which is a step backwards for maps of few rows.
        let line = 4 * layer.input.grid.w as i64;
        regs.word(DMA_CON1, line as u32 & dma_con1::LINE_STRIDE.mask());
        let surface = self.pitch(&layer.input) - line;
        regs.word(DMA_CON2, surface as u32 & dma_con2::SURF_STRIDE.mask());
        regs.set(
            FC_DATA_SIZE0,
            [
                (fc_data_size0::DMA_WIDTH, width),
                (fc_data_size0::DMA_HEIGHT, height),
            ],
        )?;
        regs.set(FC_DATA_SIZE1, [(fc_data_size1::DMA_CHANNEL, padded as i64)])?;
        let skipped = match layer.mode {
            Mode::Direct => tile.first_channel * per_kernel,
            _ => tile.first_channel * layer.kernel.h * layer.kernel.w,
        };
        regs.address(DCOMP_ADDR0, self.constants, operands.weights + skipped);
        let pad = u32::from(layer.pad_value as u8) * 0x0101_0101;
        regs.word(PAD_CON1, pad);
        Ok(())
    }

    fn core(&self, regs: &mut Registers, layer: &Layer, tile: &Tile) -> Result<(), FieldOverflow> {
        use core::*;
        regs.set(
            MISC_CFG,
            [
                (misc_cfg::PROC_PRECISION, Precision::Int8 as i64),
                (misc_cfg::DW_EN, (layer.mode == Mode::Depthwise).into()),
                (misc_cfg::QD_EN, ON),
            ],
        )?;
        regs.set(
            DATAOUT_SIZE_0,
            [
                (dataout_size_0::DATAOUT_HEIGHT, tile.output.h as i64),
                (dataout_size_0::DATAOUT_WIDTH, tile.output.w as i64),
            ],
        )?;
        regs.set(
            DATAOUT_SIZE_1,
            [(dataout_size_1::DATAOUT_CHANNEL, self.written(layer, tile))],
        )
    }

    /// The writer: where the output goes.
    pub(super) fn output(
        &self,
        regs: &mut Registers,
        layer: &Layer,
        tile: &Tile,
    ) -> Result<(), FieldOverflow> {
        use dpu::*;
        let raw = layer.stage == Stage::Raw;
        let (width, height) = (tile.output.w as i64, tile.output.h as i64);
        let written = self.written(layer, tile);
        // Without convolution, channels beyond the real ones spoil those before.
        let real = match layer.mode {
            Mode::Flying => written,
            _ => tile.channels as i64,
        };
        regs.set(
            FEATURE_MODE_CFG,
            [
                (
                    feature_mode_cfg::BURST_LEN,
                    feature_mode_cfg::BURST_LEN.value(15 << 5),
                ),
                (feature_mode_cfg::CONV_MODE, conv_mode(layer)),
                (feature_mode_cfg::OUTPUT_MODE, 2),
                (
                    feature_mode_cfg::FLYING_MODE,
                    (layer.mode == Mode::Flying).into(),
                ),
            ],
        )?;
        let precision = if raw {
            Precision::Int32
        } else {
            Precision::Int8
        };
        let negative_shift = match layer.stage {
            Stage::PerChannel { shift, .. } => shift.into(),
            _ => 0,
        };
        regs.set(
            DATA_FORMAT,
            [
                (data_format::OUT_PRECISION, precision as i64),
                (data_format::IN_PRECISION, Precision::Int8 as i64),
                (data_format::PROC_PRECISION, Precision::Int8 as i64),
                (data_format::BS_MUL_SHIFT_VALUE_NEG, negative_shift),
            ],
        )?;
        regs.address(
            DST_BASE_ADDR,
            self.activations,
            self.place(&layer.output, &tile.output, tile.first_channel),
        );
        let pitch = self.pitch(&layer.output);
        regs.set(DST_SURF_STRIDE, [(dst_surf_stride::DST_SURF_STRIDE, pitch)])?;
        regs.set(DATA_CUBE_WIDTH, [(data_cube_width::WIDTH, width)])?;
        regs.set(DATA_CUBE_HEIGHT, [(data_cube_height::HEIGHT, height)])?;
        let notch = layer.output.grid.w as i64 - width;
        regs.set(
            DATA_CUBE_NOTCH_ADDR,
            [
                (data_cube_notch_addr::NOTCH_ADDR_1, notch),
                (data_cube_notch_addr::NOTCH_ADDR_0, notch),
            ],
        )?;
        regs.set(
            DATA_CUBE_CHANNEL,
            [
                (data_cube_channel::ORIG_CHANNEL, real),
                (data_cube_channel::CHANNEL, written),
            ],
        )?;
        regs.set(WDMA_SIZE_0, [(wdma_size_0::CHANNEL_WDMA, written)])?;
        regs.set(
            WDMA_SIZE_1,
            [
                (wdma_size_1::HEIGHT_WDMA, height),
                (wdma_size_1::WIDTH_WDMA, width),
            ],
        )?;
        // The accumulator hands over one kernel group at a time.
        let chip = self.program.chip;
        let per_surface = chip.atom_channels(if raw { 4 } else { 1 });
        let surfaces = (layer.mode.group(chip) / per_surface) as i64;
        regs.set(SURFACE_ADD, [(surface_add::SURF_ADD, surfaces * pitch)])?;
        // CPEND adds the sum of the data times this operand: minus the zero point of the weights.
        // Depthwise streams always leave it on.
        let per_channel = matches!(layer.stage, Stage::PerChannel { .. });
        let cpend = layer.weight_zero != 0 || layer.mode == Mode::Depthwise || per_channel;
        regs.set(
            BS_OW_CFG,
            [
                (bs_ow_cfg::SIZE_E_0, surfaces),
                (bs_ow_cfg::SIZE_E_1, surfaces),
                (bs_ow_cfg::SIZE_E_2, surfaces),
                (bs_ow_cfg::OD_BYPASS, (!cpend).into()),
                // Operands per channel are proven with all three kinds.
                (bs_ow_cfg::OW_SRC, per_channel.into()),
            ],
        )?;
        regs.set(BS_OW_OP, [(bs_ow_op::OW_OP, -i64::from(layer.weight_zero))])
    }

    /// The arithmetic between accumulator and writer.
    fn stages(&self, regs: &mut Registers, layer: &Layer) -> Result<(), FieldOverflow> {
        use dpu::*;
        // A nudge needs BN for its addition, after the factor.
        let factor_in_bs = match layer.stage {
            Stage::PerChannel { .. } => true,
            Stage::Narrow { nudge, .. } => nudge != 0,
            Stage::Table(_) | Stage::Raw => false,
        };
        if layer.stage == Stage::Raw {
            regs.set(BS_CFG, bypass::CHANNELS)?;
        } else {
            regs.set(
                BS_CFG,
                [
                    (bs_cfg::BS_ALU_ALGO, 2),
                    (bs_cfg::BS_ALU_SRC, ON),
                    (bs_cfg::BS_RELU_BYPASS, ON),
                    (bs_cfg::BS_MUL_BYPASS, (!factor_in_bs).into()),
                ],
            )?;
        }
        self.factors(regs, layer)?;
        match &layer.addend {
            None if matches!(layer.stage, Stage::Table(_)) => look_up(regs)?,
            None => {
                regs.set(EW_CFG, bypass::EW)?;
                regs.set(
                    EW_CVT_SCALE_VALUE,
                    [(ew_cvt_scale_value::EW_OP_CVT_SCALE, 1)],
                )?;
            }
            Some(addend) => {
                regs.set(
                    EW_CFG,
                    [
                        (ew_cfg::EW_CVT_TYPE, ON),
                        (ew_cfg::EW_DATA_MODE, 1),
                        (ew_cfg::EDATA_SIZE, 1),
                        (ew_cfg::EW_ALU_ALGO, 2),
                        (ew_cfg::EW_RELU_BYPASS, ON),
                        (ew_cfg::EW_LUT_BYPASS, ON),
                        (ew_cfg::EW_OP_SRC, ON),
                    ],
                )?;
                regs.word(EW_CVT_OFFSET_VALUE, addend.offset as u32);
                regs.set(
                    EW_CVT_SCALE_VALUE,
                    [
                        (
                            ew_cvt_scale_value::EW_OP_CVT_SHIFT,
                            addend.multiplier.shift.into(),
                        ),
                        (
                            ew_cvt_scale_value::EW_OP_CVT_SCALE,
                            addend.multiplier.scale.into(),
                        ),
                    ],
                )?;
            }
        }
        let (scale, shift, offset) = match &layer.stage {
            Stage::Narrow {
                scaling: Scaling { multiplier, .. },
                offset,
                ..
            }
            | Stage::PerChannel {
                multiplier, offset, ..
            } => (multiplier.scale, multiplier.shift, *offset),
            Stage::Table(_) | Stage::Raw => (1, 0, 0),
        };
        regs.word(OUT_CVT_OFFSET, offset as u32);
        regs.set(
            OUT_CVT_SCALE,
            [(out_cvt_scale::OUT_CVT_SCALE, scale.into())],
        )?;
        regs.set(
            OUT_CVT_SHIFT,
            [(out_cvt_shift::OUT_CVT_SHIFT, shift.into())],
        )
    }

    /// Multiplication of the accumulators, bias included, and what is added to the product.
    fn factors(&self, regs: &mut Registers, layer: &Layer) -> Result<(), FieldOverflow> {
        use dpu::*;
        let (mut factor_in_bn, mut addition) = (1, 0);
        match layer.stage {
            Stage::PerChannel { shift, .. } => regs.set(
                BS_MUL_CFG,
                [
                    (bs_mul_cfg::BS_MUL_SHIFT_VALUE, shift.into()),
                    (bs_mul_cfg::BS_MUL_SRC, ON),
                ],
            )?,
            Stage::Narrow { scaling, nudge, .. } if nudge != 0 => {
                regs.set(
                    BS_MUL_CFG,
                    [(bs_mul_cfg::BS_MUL_OPERAND, scaling.factor.into())],
                )?;
                addition = nudge;
            }
            Stage::Narrow { scaling, .. } => factor_in_bn = scaling.factor,
            Stage::Table(_) => factor_in_bn = UNITS,
            Stage::Raw => {}
        }
        let (multiplies, adds) = (factor_in_bn != 1, addition != 0);
        regs.set(
            BN_CFG,
            [
                (bn_cfg::BN_ALU_ALGO, if adds { 2 } else { 0 }),
                (bn_cfg::BN_RELU_BYPASS, ON),
                (bn_cfg::BN_MUL_BYPASS, (!multiplies).into()),
                (bn_cfg::BN_ALU_BYPASS, (!adds).into()),
                (bn_cfg::BN_BYPASS, (!multiplies && !adds).into()),
            ],
        )?;
        if multiplies {
            regs.set(
                BN_MUL_CFG,
                [(bn_mul_cfg::BN_MUL_OPERAND, factor_in_bn.into())],
            )?;
        }
        regs.word(BN_ALU_CFG, addition as u32);
        Ok(())
    }

    fn rdma(
        &self,
        regs: &mut Registers,
        layer: &Layer,
        tile: &Tile,
        operands: &Operands,
    ) -> Result<(), FieldOverflow> {
        use dpu_rdma::*;
        let (width, height) = (tile.output.w as i64, tile.output.h as i64);
        regs.set(DATA_CUBE_WIDTH, [(data_cube_width::WIDTH, width)])?;
        regs.set(DATA_CUBE_HEIGHT, [(data_cube_height::HEIGHT, height)])?;
        regs.set(
            DATA_CUBE_CHANNEL,
            [(data_cube_channel::CHANNEL, self.written(layer, tile))],
        )?;
        // Kinds of operand: 1 ALU, 2 CPEND, 4 MUL.
        let kinds = match layer.stage {
            Stage::Raw => 0,
            Stage::Narrow { .. } | Stage::Table(_) => 1,
            Stage::PerChannel { .. } => 1 | 2 | 4,
        };
        regs.set(BRDMA_CFG, [(brdma_cfg::BRDMA_DATA_USE, kinds)])?;
        if kinds != 0 {
            let skipped = operands.bias_stride * (tile.first_channel / GROUP);
            regs.address(BS_BASE_ADDR, self.constants, operands.bias + skipped);
        }
        let burst = feature_mode_cfg::BURST_LEN.value(15 << 11);
        let Some(addend) = &layer.addend else {
            regs.set(ERDMA_CFG, [(erdma_cfg::ERDMA_DISABLE, ON)])?;
            regs.set(
                FEATURE_MODE_CFG,
                [
                    (feature_mode_cfg::BURST_LEN, burst),
                    (feature_mode_cfg::MRDMA_DISABLE, ON),
                    (feature_mode_cfg::CONV_MODE, conv_mode(layer)),
                ],
            )?;
            regs.word(WEIGHT, 0x0101_0101);
            return Ok(());
        };
        // Both read DMAs fetch the operand together: one the even surfaces, one the odd ones.
        let pitch = self.pitch(&addend.side);
        let first = self.place(&addend.side, &tile.output, tile.first_channel);
        regs.address(SRC_BASE_ADDR, self.activations, first);
        regs.address(
            EW_BASE_ADDR,
            self.activations,
            first + self.program.chip.atom_bytes * pitch as usize,
        );
        regs.set(
            ERDMA_CFG,
            [
                (erdma_cfg::ERDMA_DATA_MODE, 1),
                (erdma_cfg::ERDMA_DATA_SIZE, 1),
            ],
        )?;
        regs.set(EW_SURF_STRIDE, [(ew_surf_stride::EW_SURF_STRIDE, pitch)])?;
        regs.set(
            FEATURE_MODE_CFG,
            [
                (feature_mode_cfg::BURST_LEN, burst),
                (feature_mode_cfg::COMB_USE, 5),
                (feature_mode_cfg::CONV_MODE, conv_mode(layer)),
            ],
        )?;
        let notch = 2 * pitch - width * height;
        regs.set(SURF_NOTCH, [(surf_notch::SURF_NOTCH_ADDR, notch)])?;
        regs.set(EW_SURF_NOTCH, [(ew_surf_notch::EW_SURF_NOTCH, notch)])?;
        regs.word(WEIGHT, 0x0101_0101);
        Ok(())
    }
}

fn conv_mode(layer: &Layer) -> i64 {
    match layer.mode {
        Mode::Direct | Mode::Flying => 0,
        Mode::Depthwise => 3,
    }
}
