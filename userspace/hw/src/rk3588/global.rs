//! Enable of all blocks at once.

use super::table::registers;

registers! {
    Global;
    0xf008 OPERATION_ENABLE operation_enable Never "Starts blocks; the layout of the enable word" {
        PPU_RDMA_OP_EN [6:6] Flag Plain "pooling read DMA",
        PPU_OP_EN [5:5] Flag Plain "pooling",
        DPU_RDMA_OP_EN [4:4] Flag Plain "read DMAs of the DPU",
        DPU_OP_EN [3:3] Flag Plain "post-processing",
        CORE_OP_EN [2:2] Flag Plain "MAC array",
        CNA_OP_EN [0:0] Flag Plain "feature and weight sequencer",
    }
}
