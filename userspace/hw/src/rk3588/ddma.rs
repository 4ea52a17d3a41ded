//! AXI read configuration.

use super::table::registers;

registers! {
    Ddma;
    0x8000 CFG_OUTSTANDING cfg_outstanding Never "Outstanding AXI transactions" {
        WR_OS_CNT [15:8] Raw Plain "named only",
        RD_OS_CNT [7:0] Raw Plain "named only",
    }
    0x8004 RD_WEIGHT_0 rd_weight_0 Never "Read arbitration" {
        RD_WEIGHT_PDP [31:24] Raw Plain "named only",
        RD_WEIGHT_DPU [23:16] Raw Plain "named only",
        RD_WEIGHT_KERNEL [15:8] Raw Plain "named only",
        RD_WEIGHT_FEATURE [7:0] Raw Plain "named only",
    }
    0x8008 WR_WEIGHT_0 wr_weight_0 Never "Write arbitration" {
        WR_WEIGHT_PDP [15:8] Raw Plain "named only",
        WR_WEIGHT_DPU [7:0] Raw Plain "named only",
    }
    0x800c CFG_ID_ERROR cfg_id_error Never "Identifiers of failed transactions" {
        WR_RESP_ID [9:6] Raw Plain "named only",
        RD_RESP_ID [4:0] Raw Plain "named only",
    }
    0x8010 RD_WEIGHT_1 rd_weight_1 Never "Read arbitration of the PC" {
        RD_WEIGHT_PC [7:0] Raw Plain "named only",
    }
    0x8014 CFG_DMA_FIFO_CLR cfg_dma_fifo_clr Never "FIFO reset" {
        DMA_FIFO_CLR [0:0] Raw Plain "named only",
    }
    0x8018 CFG_DMA_ARB cfg_dma_arb Never "Arbitration model" {
        WR_ARBIT_MODEL [9:9] Raw Plain "named only",
        RD_ARBIT_MODEL [8:8] Raw Plain "named only",
        WR_FIX_ARB [6:4] Raw Plain "named only",
        RD_FIX_ARB [2:0] Raw Plain "named only",
    }
    0x8020 CFG_DMA_RD_QOS cfg_dma_rd_qos Never "Read priorities" {
        RD_PC_QOS [9:8] Raw Plain "named only",
        RD_PPU_QOS [7:6] Raw Plain "named only",
        RD_DPU_QOS [5:4] Raw Plain "named only",
        RD_KERNEL_QOS [3:2] Raw Plain "named only",
        RD_FEATURE_QOS [1:0] Raw Plain "named only",
    }
    0x8024 CFG_DMA_RD_CFG cfg_dma_rd_cfg Never "AXI read attributes" {
        RD_ARLOCK [12:12] Raw Plain "named only",
        RD_ARCACHE [11:8] Raw Plain "named only",
        RD_ARPROT [7:5] Raw Plain "named only",
        RD_ARBURST [4:3] Raw Plain "named only",
        RD_ARSIZE [2:0] Raw Plain "named only",
    }
    0x8028 CFG_DMA_WR_CFG cfg_dma_wr_cfg Never "AXI write attributes" {
        WR_AWLOCK [12:12] Raw Plain "named only",
        WR_AWCACHE [11:8] Raw Plain "named only",
        WR_AWPROT [7:5] Raw Plain "named only",
        WR_AWBURST [4:3] Raw Plain "named only",
        WR_AWSIZE [2:0] Raw Plain "named only",
    }
    0x802c CFG_DMA_WSTRB cfg_dma_wstrb Never "AXI write strobes" {
        WR_WSTRB [31:0] Raw Plain "named only",
    }
    0x8030 CFG_STATUS cfg_status Never "State" {
        IDEL [8:8] Raw Plain "named only",
    }
}
