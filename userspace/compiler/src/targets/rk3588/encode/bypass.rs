//! Stages of the DPU that let everything pass.

use ferrite_hw::rk3588::Field;
use ferrite_hw::rk3588::dpu::{bs_cfg, ew_cfg};

/// 1 for a set flag.
pub const ON: i64 = 1;

/// The element-wise stage.
pub const EW: [(Field, i64); 5] = [
    (ew_cfg::EW_RELU_BYPASS, ON),
    (ew_cfg::EW_OP_CVT_BYPASS, ON),
    (ew_cfg::EW_LUT_BYPASS, ON),
    (ew_cfg::EW_OP_BYPASS, ON),
    (ew_cfg::EW_BYPASS, ON),
];

/// BS or BN, which have one layout.
pub const CHANNELS: [(Field, i64); 4] = [
    (bs_cfg::BS_RELU_BYPASS, ON),
    (bs_cfg::BS_MUL_BYPASS, ON),
    (bs_cfg::BS_ALU_BYPASS, ON),
    (bs_cfg::BS_BYPASS, ON),
];
