//! Read DMAs of the DPU: MRDMA (source), BRDMA and NRDMA (per-channel operands), ERDMA (element-wise operand).

use super::table::registers;

registers! {
    DpuRdma;
    0x5000 S_STATUS s_status ReadOnly "State of the two register groups" {
        STATUS_1 [17:16] Code Plain "state of group 1",
        STATUS_0 [1:0] Code Plain "state of group 0",
    }
    0x5004 S_POINTER s_pointer Programmed "Which of the two register groups is written and executed" {
        EXECUTER [16:16] Flag Plain "executing group (read only)",
        EXECUTER_PP_CLEAR [5:5] Flag Plain "reset the executer's toggle",
        POINTER_PP_CLEAR [4:4] Flag Plain "reset the write pointer's toggle",
        POINTER_PP_MODE [3:3] Flag Plain "write pointer follows 0 = the executer, 1 = the pointer",
        EXECUTER_PP_EN [2:2] Flag Plain "toggle the executing group after each run",
        POINTER_PP_EN [1:1] Flag Plain "toggle the written group after each run",
        POINTER [0:0] Flag Plain "group that writes go to",
    }
    0x5008 OPERATION_ENABLE operation_enable Never "Start of this block alone, by bus writes" {
        OP_EN [0:0] Flag Plain "start",
    }
    0x500c DATA_CUBE_WIDTH data_cube_width Programmed "Width of the cube" {
        WIDTH [12:0] Pixels MinusOne "width",
    }
    0x5010 DATA_CUBE_HEIGHT data_cube_height Programmed "Height of the cube" {
        EW_LINE_NOTCH_ADDR [28:16] Atoms Plain "operand atoms skipped at the end of each line",
        HEIGHT [12:0] Pixels MinusOne "height",
    }
    0x5014 DATA_CUBE_CHANNEL data_cube_channel Programmed "Channels of the cube" {
        CHANNEL [12:0] Channels MinusOne "channels",
    }
    0x5018 SRC_BASE_ADDR src_base_addr Programmed "Source of MRDMA" {
        SRC_BASE_ADDR [31:0] Address Plain "first atom",
    }
    0x501c BRDMA_CFG brdma_cfg Programmed "Per-channel operands of BS" {
        BRDMA_DATA_USE [4:1] Code Plain "bit 0 ALU, 1 CPEND, 2 MUL, 3 TRT",
    }
    0x5020 BS_BASE_ADDR bs_base_addr Programmed "Per-channel operands of BS" {
        BS_BASE_ADDR [31:0] Address Plain "first operand",
    }
    0x5028 NRDMA_CFG nrdma_cfg Programmed "Per-channel operands of BN" {
        NRDMA_DATA_USE [4:1] Code Plain "bit 0 ALU, 2 MUL, 3 TRT",
    }
    0x502c BN_BASE_ADDR bn_base_addr Programmed "Per-channel operands of BN" {
        BN_BASE_ADDR [31:0] Address Plain "first operand",
    }
    0x5034 ERDMA_CFG erdma_cfg Programmed "Element-wise operand" {
        ERDMA_DATA_MODE [31:30] Code Plain "0 per channel, 1 per pixel, 2 per channel by pixel",
        ERDMA_SURF_MODE [29:29] Flag Plain "surface mode",
        ERDMA_NONALIGN [28:28] Flag Plain "contiguous operand",
        ERDMA_DATA_SIZE [3:2] ElementSize Plain "operand element",
        OV4K_BYPASS [1:1] Flag Plain "allow bursts across 4 KiB",
        ERDMA_DISABLE [0:0] Flag Plain "no operand",
    }
    0x5038 EW_BASE_ADDR ew_base_addr Programmed "Element-wise operand" {
        EW_BASE_ADDR [31:0] Address Plain "first atom",
    }
    0x5040 EW_SURF_STRIDE ew_surf_stride Programmed "Element-wise operand" {
        EW_SURF_STRIDE [31:4] Atoms Plain "surface pitch",
    }
    0x5044 FEATURE_MODE_CFG feature_mode_cfg Programmed "Mode" {
        IN_PRECISION [17:15] Precision Plain "source",
        BURST_LEN [14:11] Beats MinusOne "read burst",
        COMB_USE [10:8] Code Plain "5 = MRDMA and ERDMA fetch the element-wise operand together",
        PROC_PRECISION [7:5] Precision Plain "stages",
        MRDMA_DISABLE [4:4] Flag Plain "no source",
        MRDMA_FP16TOFP32_EN [3:3] Flag Plain "widen fp16 to fp32",
        CONV_MODE [2:1] Code Plain "0 direct, 3 depthwise",
        FLYING_MODE [0:0] Flag Plain "1 = source by MRDMA",
    }
    0x5048 SRC_DMA_CFG src_dma_cfg Programmed "Source lines and un-pooling" {
        LINE_NOTCH_ADDR [31:19] Atoms Plain "atoms skipped at the end of each line",
        POOLING_METHOD [13:13] Flag Plain "un-pooling method",
        UNPOOLING_EN [12:12] Flag Plain "un-pooling",
        KERNEL_STRIDE_HEIGHT [11:9] Pixels MinusOne "un-pooling stride",
        KERNEL_STRIDE_WIDTH [8:6] Pixels MinusOne "un-pooling stride",
        KERNEL_HEIGHT [5:3] Pixels MinusOne "un-pooling kernel",
        KERNEL_WIDTH [2:0] Pixels MinusOne "un-pooling kernel",
    }
    0x504c SURF_NOTCH surf_notch Programmed "Source surfaces" {
        SURF_NOTCH_ADDR [31:4] Atoms Plain "from the end of the map to the end of the surface",
    }
    0x5064 PAD_CFG pad_cfg DefaultOnly "Padding" {
        PAD_VALUE [31:16] Raw Plain "value",
        PAD_TOP [6:4] Pixels Plain "rows",
        PAD_LEFT [2:0] Pixels Plain "columns",
    }
    0x5068 WEIGHT weight Programmed "Arbitration" {
        E_WEIGHT [31:24] Number Plain "ERDMA",
        N_WEIGHT [23:16] Number Plain "NRDMA",
        B_WEIGHT [15:8] Number Plain "BRDMA",
        M_WEIGHT [7:0] Number Plain "MRDMA",
    }
    0x506c EW_SURF_NOTCH ew_surf_notch Programmed "Element-wise operand surfaces" {
        EW_SURF_NOTCH [31:4] Atoms Plain "from the end of the map to the end of the surface",
    }
}
