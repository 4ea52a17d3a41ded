//! Register values of tasks without convolution: two maps meet in the stages behind the MAC array.

use ferrite_hw::rk3588::codes::elementwise;
use ferrite_hw::rk3588::table::FieldOverflow;
use ferrite_hw::rk3588::{dpu, dpu_rdma};

use super::bypass::{self, ON};
use super::registers::Registers;
use super::task::Emitter;
use crate::npu::Elementwise;
use crate::targets::rk3588::program::{Addend, Combine, Layer, Side, Stage, Tile};

impl Emitter<'_> {
    /// Sets the registers for one tile of a layer.
    pub(super) fn flying(
        &self,
        regs: &mut Registers,
        layer: &Layer,
        tile: &Tile,
    ) -> Result<(), FieldOverflow> {
        self.output(regs, layer, tile)?;
        self.flying_stages(regs, layer)?;
        self.flying_rdma(regs, layer, tile)
    }

    fn flying_stages(&self, regs: &mut Registers, layer: &Layer) -> Result<(), FieldOverflow> {
        use dpu::*;
        let offset = layer.bias.first().copied().unwrap_or(0);
        let idle = i64::from(offset == 0);
        regs.set(
            BS_CFG,
            [
                (bs_cfg::BS_ALU_ALGO, 2 - 2 * idle),
                (bs_cfg::BS_RELU_BYPASS, ON),
                (bs_cfg::BS_MUL_BYPASS, ON),
                (bs_cfg::BS_ALU_BYPASS, idle),
                (bs_cfg::BS_BYPASS, idle),
            ],
        )?;
        regs.word(BS_ALU_CFG, offset as u32);
        regs.set(BN_CFG, bypass::CHANNELS)?;
        match &layer.addend {
            Some(operand) => set_operand(regs, operand)?,
            None => regs.set(EW_CFG, bypass::EW)?,
        }
        let (scale, shift, offset) = match &layer.stage {
            Stage::Narrow {
                scaling, offset, ..
            } => (scaling.multiplier.scale, scaling.multiplier.shift, *offset),
            _ => (1, 0, 0),
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

    fn flying_rdma(
        &self,
        regs: &mut Registers,
        layer: &Layer,
        tile: &Tile,
    ) -> Result<(), FieldOverflow> {
        use dpu_rdma::*;
        let (width, height) = (tile.output.w as i64, tile.output.h as i64);
        regs.set(DATA_CUBE_WIDTH, [(data_cube_width::WIDTH, width)])?;
        regs.set(DATA_CUBE_HEIGHT, [(data_cube_height::HEIGHT, height)])?;
        regs.set(
            DATA_CUBE_CHANNEL,
            [(data_cube_channel::CHANNEL, self.written(layer, tile))],
        )?;
        // From the end of a tile in one surface to its start in the next.
        let notch = |side: &Side| self.pitch(side) - width * height;
        let first = |side: &Side, rect| self.place(side, rect, tile.first_channel);
        regs.address(
            SRC_BASE_ADDR,
            self.activations,
            first(&layer.input, &tile.input),
        );
        regs.set(
            SURF_NOTCH,
            [(surf_notch::SURF_NOTCH_ADDR, notch(&layer.input))],
        )?;
        let burst = feature_mode_cfg::BURST_LEN.value(15 << 11);
        regs.set(
            FEATURE_MODE_CFG,
            [
                (feature_mode_cfg::BURST_LEN, burst),
                (feature_mode_cfg::FLYING_MODE, ON),
            ],
        )?;
        regs.word(WEIGHT, 0x0101_0101);
        let Some(operand) = &layer.addend else {
            return regs.set(ERDMA_CFG, [(erdma_cfg::ERDMA_DISABLE, ON)]);
        };
        let side = &operand.side;
        regs.set(
            ERDMA_CFG,
            [
                (erdma_cfg::ERDMA_DATA_MODE, 1),
                (erdma_cfg::ERDMA_DATA_SIZE, 1),
            ],
        )?;
        regs.address(EW_BASE_ADDR, self.activations, first(side, &tile.output));
        regs.set(
            EW_SURF_STRIDE,
            [(ew_surf_stride::EW_SURF_STRIDE, self.pitch(side))],
        )?;
        regs.set(EW_SURF_NOTCH, [(ew_surf_notch::EW_SURF_NOTCH, notch(side))])
    }
}

/// The element-wise stage and its operand's converter.
fn set_operand(regs: &mut Registers, operand: &Addend) -> Result<(), FieldOverflow> {
    use dpu::*;
    let (multiply, compare, algorithm) = match operand.combine {
        Combine::Add => (false, false, elementwise::ADD),
        Combine::Elementwise(Elementwise::Multiply) => (true, false, 0),
        Combine::Elementwise(Elementwise::Maximum) => (false, true, elementwise::MAXIMUM),
        Combine::Elementwise(Elementwise::Minimum) => (false, true, elementwise::MINIMUM),
    };
    regs.set(
        EW_CFG,
        [
            (ew_cfg::EW_CVT_TYPE, (operand.offset != 0).into()),
            (ew_cfg::EW_DATA_MODE, 1),
            (ew_cfg::EDATA_SIZE, 1),
            (ew_cfg::EW_EQUAL_EN, compare.into()),
            (ew_cfg::EW_ALU_ALGO, algorithm.into()),
            (ew_cfg::EW_RELU_BYPASS, ON),
            (ew_cfg::EW_LUT_BYPASS, ON),
            (ew_cfg::EW_OP_SRC, ON),
            (ew_cfg::EW_OP_TYPE, multiply.into()),
        ],
    )?;
    regs.word(EW_CVT_OFFSET_VALUE, operand.offset as u32);
    let multiplier = operand.multiplier;
    regs.set(
        EW_CVT_SCALE_VALUE,
        [
            (ew_cvt_scale_value::EW_OP_CVT_SHIFT, multiplier.shift.into()),
            (ew_cvt_scale_value::EW_OP_CVT_SCALE, multiplier.scale.into()),
        ],
    )
}
