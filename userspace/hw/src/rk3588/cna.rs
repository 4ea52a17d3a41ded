//! Feature and weight DMA, convolution buffer (CBUF) and its sequencer.

use super::table::registers;

registers! {
    Cna;
    0x1000 S_STATUS s_status ReadOnly "State of the two register groups" {
        STATUS_1 [17:16] Code Plain "state of group 1",
        STATUS_0 [1:0] Code Plain "state of group 0",
    }
    0x1004 S_POINTER s_pointer Programmed "Which of the two register groups is written and executed" {
        EXECUTER [16:16] Flag Plain "executing group (read only)",
        EXECUTER_PP_CLEAR [5:5] Flag Plain "reset the executer's toggle",
        POINTER_PP_CLEAR [4:4] Flag Plain "reset the write pointer's toggle",
        POINTER_PP_MODE [3:3] Flag Plain "write pointer follows 0 = the executer, 1 = the pointer",
        EXECUTER_PP_EN [2:2] Flag Plain "toggle the executing group after each run",
        POINTER_PP_EN [1:1] Flag Plain "toggle the written group after each run",
        POINTER [0:0] Flag Plain "group that writes go to",
    }
    0x1008 OPERATION_ENABLE operation_enable Never "Start of this block alone, by bus writes" {
        OP_EN [0:0] Flag Plain "start",
    }
    0x100c CONV_CON1 conv_con1 Programmed "Convolution mode and precisions" {
        NONALIGN_DMA [30:30] Flag Plain "packed-pixel input of 1 to 4 channels",
        GROUP_LINE_OFF [29:29] Flag Plain "1 = rows fetched singly, 0 = in groups of four; changes the stride programming",
        DECONV [16:16] Flag Plain "transposed convolution",
        ARGB_IN [15:12] Code Plain "packed-pixel channels + 7 (8..11 for 1..4 channels), 0 = feature cube",
        PROC_PRECISION [9:7] Precision Plain "precision of the MAC array",
        IN_PRECISION [6:4] Precision Plain "precision of the input",
        CONV_MODE [3:0] Code Plain "0 direct, 3 depthwise",
    }
    0x1010 CONV_CON2 conv_con2 Programmed "Buffering before the start" {
        KERNEL_GROUP [23:16] Code Plain "kernels / group - 1; left 0 by all drivers",
        FEATURE_GRAINS [13:4] Rows Plain "rows buffered before computing starts",
        CSC_WO_EN [2:2] Flag Plain "sequencer weights only",
        CSC_DO_EN [1:1] Flag Plain "sequencer data only",
        CMD_FIFO_SRST [0:0] Flag Plain "reset of the command FIFO",
    }
    0x1014 CONV_CON3 conv_con3 Programmed "Strides and dilation" {
        NN_MODE [30:28] Code Plain "co-work of cores; 0 = a single core",
        ATROUS_Y_DILATION [25:21] Pixels MinusOne "vertical dilation",
        ATROUS_X_DILATION [20:16] Pixels MinusOne "horizontal dilation",
        DECONV_Y_STRIDE [13:11] Pixels Plain "vertical stride of a transposed convolution",
        DECONV_X_STRIDE [10:8] Pixels Plain "horizontal stride of a transposed convolution",
        CONV_Y_STRIDE [5:3] Pixels Plain "vertical stride",
        CONV_X_STRIDE [2:0] Pixels Plain "horizontal stride",
    }
    0x1020 DATA_SIZE0 data_size0 Programmed "Input size of this task" {
        DATAIN_WIDTH [26:16] Pixels Plain "input width",
        DATAIN_HEIGHT [10:0] Pixels Plain "input height",
    }
    0x1024 DATA_SIZE1 data_size1 Programmed "Input channels" {
        DATAIN_CHANNEL_REAL [29:16] Channels MinusOne "channels that carry data",
        DATAIN_CHANNEL [15:0] Channels Plain "channels padded to the atom",
    }
    0x1028 DATA_SIZE2 data_size2 Programmed "Output width" {
        DATAOUT_WIDTH [10:0] Pixels Plain "output width",
    }
    0x102c DATA_SIZE3 data_size3 Programmed "Output size" {
        SURF_MODE [23:22] Code Plain "surface mode",
        DATAOUT_ATOMICS [21:0] Pixels Plain "output width times height of this task",
    }
    0x1030 WEIGHT_SIZE0 weight_size0 Programmed "Size of all weights" {
        WEIGHT_BYTES [31:0] Bytes Plain "bytes of all kernels",
    }
    0x1034 WEIGHT_SIZE1 weight_size1 Programmed "Size of one kernel" {
        WEIGHT_BYTES_PER_KERNEL [18:0] Bytes Plain "kernel height * width * padded channels * element size",
    }
    0x1038 WEIGHT_SIZE2 weight_size2 Programmed "Kernel shape" {
        WEIGHT_WIDTH [28:24] Pixels Plain "kernel width",
        WEIGHT_HEIGHT [20:16] Pixels Plain "kernel height",
        WEIGHT_KERNELS [13:0] Kernels Plain "number of kernels; 1 for depthwise",
    }
    0x1040 CBUF_CON0 cbuf_con0 Programmed "Division of the convolution buffer" {
        WEIGHT_REUSE [13:13] Flag Plain "weights are still in the buffer from the previous task",
        DATA_REUSE [12:12] Flag Plain "features are still in the buffer from the previous task",
        FC_DATA_BANK [10:8] Banks Plain "banks for zero skipping",
        WEIGHT_BANK [7:4] Banks Plain "banks of 32 KiB for weights",
        DATA_BANK [3:0] Banks Plain "banks of 32 KiB for features",
    }
    0x1044 CBUF_CON1 cbuf_con1 Programmed "Row storage in the convolution buffer" {
        DATA_ENTRIES [13:0] Entries Plain "64-byte entries of one input row",
    }
    0x104c CVT_CON0 cvt_con0 Programmed "Input converter" {
        CVT_TRUNCATE_3 [27:22] Shift Plain "right shift of lane class 3",
        CVT_TRUNCATE_2 [21:16] Shift Plain "right shift of lane class 2",
        CVT_TRUNCATE_1 [15:10] Shift Plain "right shift of lane class 1",
        CVT_TRUNCATE_0 [9:4] Shift Plain "right shift of lane class 0",
        DATA_SIGN [3:3] Flag Plain "1 = signed input",
        ROUND_TYPE [2:2] Flag Plain "0 = to nearest even, 1 = half up",
        CVT_TYPE [1:1] Flag Plain "0 = multiply then add, 1 = add then multiply",
        CVT_BYPASS [0:0] Flag Plain "bypass",
    }
    0x1050 CVT_CON1 cvt_con1 Programmed "Input converter of lane class 0" {
        CVT_SCALE0 [31:16] Number Plain "multiplier",
        CVT_OFFSET0 [15:0] Number Signed "offset",
    }
    0x1054 CVT_CON2 cvt_con2 Programmed "Input converter of lane class 1" {
        CVT_SCALE1 [31:16] Number Plain "multiplier",
        CVT_OFFSET1 [15:0] Number Signed "offset",
    }
    0x1058 CVT_CON3 cvt_con3 Programmed "Input converter of lane class 2" {
        CVT_SCALE2 [31:16] Number Plain "multiplier",
        CVT_OFFSET2 [15:0] Number Signed "offset",
    }
    0x105c CVT_CON4 cvt_con4 Programmed "Input converter of lane class 3" {
        CVT_SCALE3 [31:16] Number Plain "multiplier",
        CVT_OFFSET3 [15:0] Number Signed "offset",
    }
    0x1060 FC_CON0 fc_con0 DefaultOnly "Zero skipping of fully connected layers" {
        FC_SKIP_DATA [31:16] Raw Plain "value to skip",
        FC_SKIP_EN [0:0] Flag Plain "enable",
    }
    0x1064 FC_CON1 fc_con1 DefaultOnly "Zero skipping: data" {
        DATA_OFFSET [16:0] Raw Plain "data offset",
    }
    0x1068 PAD_CON0 pad_con0 Programmed "Padding before the input" {
        PAD_LEFT [7:4] Pixels Plain "columns",
        PAD_TOP [3:0] Pixels Plain "rows",
    }
    0x1070 FEATURE_DATA_ADDR feature_data_addr Programmed "Input address of this task" {
        FEATURE_BASE_ADDR [31:0] Address Plain "first atom",
    }
    0x1074 FC_CON2 fc_con2 DefaultOnly "Zero skipping: weights" {
        WEIGHT_OFFSET [16:0] Raw Plain "weight offset",
    }
    0x1078 DMA_CON0 dma_con0 Programmed "Bursts" {
        OV4K_BYPASS [31:31] Flag Plain "allow bursts across 4 KiB",
        WEIGHT_BURST_LEN [19:16] Beats MinusOne "weight burst",
        DATA_BURST_LEN [3:0] Beats MinusOne "feature burst",
    }
    0x107c DMA_CON1 dma_con1 Programmed "Line stride" {
        LINE_STRIDE [27:0] Atoms Signed "from row (group) to row (group)",
    }
    0x1080 DMA_CON2 dma_con2 Programmed "Surface stride" {
        SURF_STRIDE [27:0] Atoms Signed "added after the last row (group) of a surface",
    }
    0x1084 FC_DATA_SIZE0 fc_data_size0 Programmed "Size that the DMA fetches" {
        DMA_WIDTH [29:16] Pixels Plain "width",
        DMA_HEIGHT [10:0] Pixels Plain "height",
    }
    0x1088 FC_DATA_SIZE1 fc_data_size1 Programmed "Channels that the DMA fetches" {
        DMA_CHANNEL [15:0] Channels Plain "channels",
    }
    0x1090 CLK_GATE clk_gate Never "Clock gating" {
        CBUF_CS_DISABLE_CLKGATE [4:4] Flag Plain "convolution buffer always clocked",
        CSC_DISABLE_CLKGATE [2:2] Flag Plain "sequencer always clocked",
        CNA_WEIGHT_DISABLE_CLKGATE [1:1] Flag Plain "weight DMA always clocked",
        CNA_FEATURE_DISABLE_CLKGATE [0:0] Flag Plain "feature DMA always clocked",
    }
    0x1100 DCOMP_CTRL dcomp_ctrl Programmed "Weight decompression" {
        WT_DEC_BYPASS [3:3] Flag Plain "bypass of the decoder",
        DECOMP_CONTROL [2:0] Code Plain "0 raw weights, 1 lossless int8 code",
    }
    0x1104 DCOMP_REGNUM dcomp_regnum Programmed "Decompression lanes" {
        DCOMP_REGNUM [31:0] Raw Plain "0 raw, 0x55555555 with the lossless code",
    }
    0x1110 DCOMP_ADDR0 dcomp_addr0 Programmed "Weight address" {
        DECOMPRESS_ADDR0 [31:0] Address Plain "first weight byte",
    }
    0x1140 DCOMP_AMOUNT0 dcomp_amount0 Programmed "Compressed size of lane 0" {
        DCOMP_AMOUNT0 [31:0] Raw Plain "16-byte blocks - 1; 0 for raw weights",
    }
    0x1144 DCOMP_AMOUNT1 dcomp_amount1 Programmed "Compressed size of lane 1" {
        DCOMP_AMOUNT1 [31:0] Raw Plain "16-byte blocks - 1; 0 for raw weights",
    }
    0x1148 DCOMP_AMOUNT2 dcomp_amount2 Programmed "Compressed size of lane 2" {
        DCOMP_AMOUNT2 [31:0] Raw Plain "16-byte blocks - 1; 0 for raw weights",
    }
    0x114c DCOMP_AMOUNT3 dcomp_amount3 Programmed "Compressed size of lane 3" {
        DCOMP_AMOUNT3 [31:0] Raw Plain "16-byte blocks - 1; 0 for raw weights",
    }
    0x1150 DCOMP_AMOUNT4 dcomp_amount4 Programmed "Compressed size of lane 4" {
        DCOMP_AMOUNT4 [31:0] Raw Plain "16-byte blocks - 1; 0 for raw weights",
    }
    0x1154 DCOMP_AMOUNT5 dcomp_amount5 Programmed "Compressed size of lane 5" {
        DCOMP_AMOUNT5 [31:0] Raw Plain "16-byte blocks - 1; 0 for raw weights",
    }
    0x1158 DCOMP_AMOUNT6 dcomp_amount6 Programmed "Compressed size of lane 6" {
        DCOMP_AMOUNT6 [31:0] Raw Plain "16-byte blocks - 1; 0 for raw weights",
    }
    0x115c DCOMP_AMOUNT7 dcomp_amount7 Programmed "Compressed size of lane 7" {
        DCOMP_AMOUNT7 [31:0] Raw Plain "16-byte blocks - 1; 0 for raw weights",
    }
    0x1160 DCOMP_AMOUNT8 dcomp_amount8 Programmed "Compressed size of lane 8" {
        DCOMP_AMOUNT8 [31:0] Raw Plain "16-byte blocks - 1; 0 for raw weights",
    }
    0x1164 DCOMP_AMOUNT9 dcomp_amount9 Programmed "Compressed size of lane 9" {
        DCOMP_AMOUNT9 [31:0] Raw Plain "16-byte blocks - 1; 0 for raw weights",
    }
    0x1168 DCOMP_AMOUNT10 dcomp_amount10 Programmed "Compressed size of lane 10" {
        DCOMP_AMOUNT10 [31:0] Raw Plain "16-byte blocks - 1; 0 for raw weights",
    }
    0x116c DCOMP_AMOUNT11 dcomp_amount11 Programmed "Compressed size of lane 11" {
        DCOMP_AMOUNT11 [31:0] Raw Plain "16-byte blocks - 1; 0 for raw weights",
    }
    0x1170 DCOMP_AMOUNT12 dcomp_amount12 Programmed "Compressed size of lane 12" {
        DCOMP_AMOUNT12 [31:0] Raw Plain "16-byte blocks - 1; 0 for raw weights",
    }
    0x1174 DCOMP_AMOUNT13 dcomp_amount13 Programmed "Compressed size of lane 13" {
        DCOMP_AMOUNT13 [31:0] Raw Plain "16-byte blocks - 1; 0 for raw weights",
    }
    0x1178 DCOMP_AMOUNT14 dcomp_amount14 Programmed "Compressed size of lane 14" {
        DCOMP_AMOUNT14 [31:0] Raw Plain "16-byte blocks - 1; 0 for raw weights",
    }
    0x117c DCOMP_AMOUNT15 dcomp_amount15 Programmed "Compressed size of lane 15" {
        DCOMP_AMOUNT15 [31:0] Raw Plain "16-byte blocks - 1; 0 for raw weights",
    }
    0x1180 CVT_CON5 cvt_con5 Programmed "Input converter lanes" {
        PER_CHANNEL_CVT_EN [31:0] Raw Plain "one bit per lane",
    }
    0x1184 PAD_CON1 pad_con1 Programmed "Padding value" {
        PAD_VALUE [31:0] Raw Plain "direct: the first byte, for all channels; depthwise: by parity, the first or the second",
    }
}
