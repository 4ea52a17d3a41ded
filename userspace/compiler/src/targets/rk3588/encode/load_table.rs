//! The task that loads the DPU's tables.

use ferrite_hw::rk3588::table::FieldOverflow;
use ferrite_hw::rk3588::{dpu, dpu_rdma};

use super::bypass::{self, ON};
use super::constants::Operands;
use super::registers::Registers;
use super::task::Emitter;
use crate::targets::rk3588::program::{Layer, Tile};

impl Emitter<'_> {
    /// Sets the registers of the task that loads the table of a layer: it moves one atom of constants to
    /// where the layer's first tile then writes.
    pub fn load(
        &self,
        regs: &mut Registers,
        layer: &Layer,
        tile: &Tile,
        operands: &Operands,
    ) -> Result<(), FieldOverflow> {
        use dpu::*;
        regs.clear();
        let atom = self.program.chip.atom_channels(1) as i64;
        regs.set(
            FEATURE_MODE_CFG,
            [
                (
                    feature_mode_cfg::BURST_LEN,
                    feature_mode_cfg::BURST_LEN.value(15 << 5),
                ),
                (feature_mode_cfg::OUTPUT_MODE, 2),
                (feature_mode_cfg::FLYING_MODE, ON),
            ],
        )?;
        let place = self.place(&layer.output, &tile.output, tile.first_channel);
        regs.address(DST_BASE_ADDR, self.activations, place);
        regs.set(DST_SURF_STRIDE, [(dst_surf_stride::DST_SURF_STRIDE, 1)])?;
        regs.set(SURFACE_ADD, [(surface_add::SURF_ADD, 1)])?;
        regs.set(
            DATA_CUBE_CHANNEL,
            [
                (data_cube_channel::ORIG_CHANNEL, atom),
                (data_cube_channel::CHANNEL, atom),
            ],
        )?;
        regs.set(WDMA_SIZE_0, [(wdma_size_0::CHANNEL_WDMA, atom)])?;
        regs.set(BS_OW_CFG, [(bs_ow_cfg::OD_BYPASS, ON)])?;
        regs.set(BS_CFG, bypass::CHANNELS)?;
        regs.set(BN_CFG, bypass::CHANNELS)?;
        regs.set(EW_CFG, bypass::EW)?;
        regs.set(OUT_CVT_SCALE, [(out_cvt_scale::OUT_CVT_SCALE, 1)])?;
        regs.set(
            dpu_rdma::DATA_CUBE_CHANNEL,
            [(dpu_rdma::data_cube_channel::CHANNEL, atom)],
        )?;
        regs.address(dpu_rdma::SRC_BASE_ADDR, self.constants, operands.weights);
        regs.set(
            dpu_rdma::ERDMA_CFG,
            [(dpu_rdma::erdma_cfg::ERDMA_DISABLE, ON)],
        )?;
        regs.set(
            dpu_rdma::FEATURE_MODE_CFG,
            [
                (
                    dpu_rdma::feature_mode_cfg::BURST_LEN,
                    dpu_rdma::feature_mode_cfg::BURST_LEN.value(15 << 11),
                ),
                (dpu_rdma::feature_mode_cfg::FLYING_MODE, ON),
            ],
        )?;
        regs.word(dpu_rdma::WEIGHT, 0x0101_0101);
        Ok(())
    }
}
