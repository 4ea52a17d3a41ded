//! Post-processing (BS, BN, EW, output converter) and write DMA.

use super::table::registers;

registers! {
    Dpu;
    0x4000 S_STATUS s_status ReadOnly "State of the two register groups" {
        STATUS_1 [17:16] Code Plain "state of group 1",
        STATUS_0 [1:0] Code Plain "state of group 0",
    }
    0x4004 S_POINTER s_pointer Programmed "Which of the two register groups is written and executed" {
        EXECUTER [16:16] Flag Plain "executing group (read only)",
        EXECUTER_PP_CLEAR [5:5] Flag Plain "reset the executer's toggle",
        POINTER_PP_CLEAR [4:4] Flag Plain "reset the write pointer's toggle",
        POINTER_PP_MODE [3:3] Flag Plain "write pointer follows 0 = the executer, 1 = the pointer",
        EXECUTER_PP_EN [2:2] Flag Plain "toggle the executing group after each run",
        POINTER_PP_EN [1:1] Flag Plain "toggle the written group after each run",
        POINTER [0:0] Flag Plain "group that writes go to",
    }
    0x4008 OPERATION_ENABLE operation_enable Never "Start of this block alone, by bus writes" {
        OP_EN [0:0] Flag Plain "start",
    }
    0x400c FEATURE_MODE_CFG feature_mode_cfg Programmed "Source, destination and mode" {
        COMB_USE [31:31] Flag Plain "combined use",
        TP_EN [30:30] Flag Plain "transposing writer",
        RGP_TYPE [29:26] Code Plain "regrouping",
        NONALIGN [25:25] Flag Plain "contiguous output",
        SURF_LEN [24:9] Number Plain "bytes / 8 of a contiguous surface",
        BURST_LEN [8:5] Beats MinusOne "write burst",
        CONV_MODE [4:3] Code Plain "0 direct, 3 depthwise",
        OUTPUT_MODE [2:1] Code Plain "bit 0 to the PPU, bit 1 to memory",
        FLYING_MODE [0:0] Flag Plain "1 = input by MRDMA, 0 = from the MAC array",
    }
    0x4010 DATA_FORMAT data_format Programmed "Precisions and negative shifts" {
        OUT_PRECISION [31:29] Precision Plain "output",
        IN_PRECISION [28:26] Precision Plain "input",
        EW_TRUNCATE_NEG [25:16] Shift Plain "EW product shift of negative values",
        BN_MUL_SHIFT_VALUE_NEG [15:10] Shift Plain "BN shift of negative values",
        BS_MUL_SHIFT_VALUE_NEG [9:4] Shift Plain "BS shift of negative values",
        MC_SURF_OUT [3:3] Flag Plain "several surfaces serially",
        PROC_PRECISION [2:0] Precision Plain "stages",
    }
    0x4014 OFFSET_PEND offset_pend DefaultOnly "Fill" {
        OFFSET_PEND [15:0] Number Plain "value of the channels beyond ORIG_CHANNEL",
    }
    0x4020 DST_BASE_ADDR dst_base_addr Programmed "Destination" {
        DST_BASE_ADDR [31:0] Address Plain "first atom",
    }
    0x4024 DST_SURF_STRIDE dst_surf_stride Programmed "Destination surface pitch" {
        DST_SURF_STRIDE [31:4] Atoms Plain "from surface to surface",
    }
    0x4030 DATA_CUBE_WIDTH data_cube_width Programmed "Output width" {
        WIDTH [12:0] Pixels MinusOne "width of this task",
    }
    0x4034 DATA_CUBE_HEIGHT data_cube_height Programmed "Output height" {
        MINMAX_CTL [24:22] Code Plain "min/max control",
        HEIGHT [12:0] Pixels MinusOne "height of this task",
    }
    0x4038 DATA_CUBE_NOTCH_ADDR data_cube_notch_addr Programmed "Atoms skipped at the end of each line" {
        NOTCH_ADDR_1 [28:16] Atoms Plain "notch, always equal to NOTCH_ADDR_0",
        NOTCH_ADDR_0 [12:0] Atoms Plain "notch",
    }
    0x403c DATA_CUBE_CHANNEL data_cube_channel Programmed "Output channels" {
        ORIG_CHANNEL [28:16] Channels MinusOne "real channels",
        CHANNEL [12:0] Channels MinusOne "padded channels",
    }
    0x4040 BS_CFG bs_cfg Programmed "BS stage" {
        BS_ALU_ALGO [19:16] Code Plain "2 add, 4 subtract",
        BS_ALU_SRC [8:8] Flag Plain "ALU operand: 0 register, 1 DMA",
        BS_RELUX_EN [7:7] Flag Plain "clamp to BS_RELUX_CMP_VALUE",
        BS_RELU_BYPASS [6:6] Flag Plain "bypass of RELU",
        BS_MUL_PRELU [5:5] Flag Plain "multiply only negative values",
        BS_MUL_BYPASS [4:4] Flag Plain "bypass of the multiplier",
        BS_ALU_BYPASS [1:1] Flag Plain "bypass of the ALU",
        BS_BYPASS [0:0] Flag Plain "bypass of the stage",
    }
    0x4044 BS_ALU_CFG bs_alu_cfg Programmed "BS ALU operand" {
        BS_ALU_OPERAND [31:0] Raw Plain "int32 or fp32",
    }
    0x4048 BS_MUL_CFG bs_mul_cfg Programmed "BS multiplier" {
        BS_MUL_OPERAND [31:16] Raw Plain "int16 or fp16",
        BS_MUL_SHIFT_VALUE [13:8] Shift Plain "right shift of products that are not negative",
        BS_TRUNCATE_SRC [1:1] Flag Plain "shift: 0 register, 1 DMA",
        BS_MUL_SRC [0:0] Flag Plain "operand: 0 register, 1 DMA",
    }
    0x404c BS_RELUX_CMP_VALUE bs_relux_cmp_value Programmed "Upper clamp of BS" {
        BS_RELUX_CMP_DAT [31:0] Raw Plain "int32 or fp32",
    }
    0x4050 BS_OW_CFG bs_ow_cfg Programmed "Kernel-group surfaces, CPEND" {
        RGP_CNTER [31:28] Number Plain "regrouping counter",
        TP_ORG_EN [27:27] Flag Plain "transpose the convolution output",
        SIZE_E_2 [10:8] Surfaces MinusOne "output surfaces of a kernel group, last line",
        SIZE_E_1 [7:5] Surfaces MinusOne "output surfaces of a kernel group, middle lines",
        SIZE_E_0 [4:2] Surfaces MinusOne "output surfaces of a kernel group, first line",
        OD_BYPASS [1:1] Flag Plain "bypass of CPEND",
        OW_SRC [0:0] Flag Plain "CPEND operand: 0 OW_OP, 1 per channel by BRDMA",
    }
    0x4054 BS_OW_OP bs_ow_op Programmed "CPEND operand" {
        OW_OP [15:0] Number Signed "added to every weight, in effect",
    }
    0x4058 WDMA_SIZE_0 wdma_size_0 Programmed "Channels that the writer stores" {
        TP_PRECISION [27:27] Flag Plain "element size of the transposing writer",
        SIZE_C_WDMA [26:16] Number Plain "size C",
        CHANNEL_WDMA [12:0] Channels MinusOne "padded channels",
    }
    0x405c WDMA_SIZE_1 wdma_size_1 Programmed "Size that the writer stores" {
        HEIGHT_WDMA [28:16] Pixels MinusOne "height",
        WIDTH_WDMA [12:0] Pixels MinusOne "width",
    }
    0x4060 BN_CFG bn_cfg Programmed "BN stage" {
        BN_ALU_ALGO [19:16] Code Plain "2 add, 4 subtract",
        BN_ALU_SRC [8:8] Flag Plain "ALU operand: 0 register, 1 DMA",
        BN_RELUX_EN [7:7] Flag Plain "clamp to BN_RELUX_CMP_VALUE",
        BN_RELU_BYPASS [6:6] Flag Plain "bypass of RELU",
        BN_MUL_PRELU [5:5] Flag Plain "multiply only negative values",
        BN_MUL_BYPASS [4:4] Flag Plain "bypass of the multiplier",
        BN_ALU_BYPASS [1:1] Flag Plain "bypass of the ALU",
        BN_BYPASS [0:0] Flag Plain "bypass of the stage",
    }
    0x4064 BN_ALU_CFG bn_alu_cfg Programmed "BN ALU operand" {
        BN_ALU_OPERAND [31:0] Raw Plain "int32 or fp32",
    }
    0x4068 BN_MUL_CFG bn_mul_cfg Programmed "BN multiplier" {
        BN_MUL_OPERAND [31:16] Raw Plain "int16 or fp16",
        BN_MUL_SHIFT_VALUE [13:8] Shift Plain "right shift of products that are not negative",
        BN_TRUNCATE_SRC [1:1] Flag Plain "shift: 0 register, 1 DMA",
        BN_MUL_SRC [0:0] Flag Plain "operand: 0 register, 1 DMA",
    }
    0x406c BN_RELUX_CMP_VALUE bn_relux_cmp_value Programmed "Upper clamp of BN" {
        BN_RELUX_CMP_DAT [31:0] Raw Plain "int32 or fp32",
    }
    0x4070 EW_CFG ew_cfg Programmed "Element-wise stage" {
        EW_CVT_TYPE [31:31] Flag Plain "operand converter: 0 = multiply then add, 1 = add then multiply",
        EW_CVT_ROUND [30:30] Flag Plain "operand converter: 0 = to nearest even, 1 = half up",
        EW_DATA_MODE [29:28] Code Plain "operand: 0 per channel, 1 per pixel, 2 per channel by pixel",
        EDATA_SIZE [23:22] ElementSize Plain "operand element",
        EW_EQUAL_EN [21:21] Flag Plain "min/max: equality",
        EW_BINARY_EN [20:20] Flag Plain "min/max: binary output",
        EW_ALU_ALGO [19:16] Code Plain "0 max, 1 min, 2 add, 3 divide, 4 subtract, 5 abs, 6 negate, 7 floor, 8 ceil",
        EW_RELUX_EN [10:10] Flag Plain "clamp to EW_RELUX_CMP_VALUE",
        EW_RELU_BYPASS [9:9] Flag Plain "bypass of RELU",
        EW_OP_CVT_BYPASS [8:8] Flag Plain "bypass of the operand converter",
        EW_LUT_BYPASS [7:7] Flag Plain "bypass of the table",
        EW_OP_SRC [6:6] Flag Plain "operand: 0 EW_OP_VALUE, 1 ERDMA",
        EW_MUL_PRELU [5:5] Flag Plain "multiply only negative values",
        EW_OP_TYPE [2:2] Flag Plain "0 ALU, 1 multiply",
        EW_OP_BYPASS [1:1] Flag Plain "bypass of ALU and multiply",
        EW_BYPASS [0:0] Flag Plain "bypass of the stage",
    }
    0x4074 EW_CVT_OFFSET_VALUE ew_cvt_offset_value Programmed "Operand converter" {
        EW_OP_CVT_OFFSET [31:0] Number Signed "offset",
    }
    0x4078 EW_CVT_SCALE_VALUE ew_cvt_scale_value Programmed "Operand converter" {
        EW_TRUNCATE [31:22] Shift Plain "product shift of values that are not negative",
        EW_OP_CVT_SHIFT [21:16] Shift Plain "right shift",
        EW_OP_CVT_SCALE [15:0] Number Signed "multiplier",
    }
    0x407c EW_RELUX_CMP_VALUE ew_relux_cmp_value Programmed "Upper clamp of EW" {
        EW_RELUX_CMP_DAT [31:0] Raw Plain "int32 or fp32",
    }
    0x4080 OUT_CVT_OFFSET out_cvt_offset Programmed "Output converter" {
        OUT_CVT_OFFSET [31:0] Number Signed "offset",
    }
    0x4084 OUT_CVT_SCALE out_cvt_scale Programmed "Output converter" {
        FP32TOFP16_EN [16:16] Flag Plain "narrow to fp16",
        OUT_CVT_SCALE [15:0] Number Plain "multiplier",
    }
    0x4088 OUT_CVT_SHIFT out_cvt_shift Programmed "Output converter" {
        CVT_TYPE [31:31] Flag Plain "0 = multiply then add, 1 = add then multiply",
        CVT_ROUND [30:30] Flag Plain "0 = to nearest even, 1 = half up",
        MINUS_EXP [19:12] Number Plain "subtracted from the fp16 exponent",
        OUT_CVT_SHIFT [11:0] Shift Plain "right shift",
    }
    0x4090 EW_OP_VALUE_0 ew_op_value_0 DefaultOnly "Element-wise register operand" {
        EW_OPERAND_0 [31:0] Raw Plain "operand",
    }
    0x4094 EW_OP_VALUE_1 ew_op_value_1 DefaultOnly "Element-wise register operand" {
        EW_OPERAND_1 [31:0] Raw Plain "operand",
    }
    0x4098 EW_OP_VALUE_2 ew_op_value_2 DefaultOnly "Element-wise register operand" {
        EW_OPERAND_2 [31:0] Raw Plain "operand",
    }
    0x409c EW_OP_VALUE_3 ew_op_value_3 DefaultOnly "Element-wise register operand" {
        EW_OPERAND_3 [31:0] Raw Plain "operand",
    }
    0x40a0 EW_OP_VALUE_4 ew_op_value_4 DefaultOnly "Element-wise register operand" {
        EW_OPERAND_4 [31:0] Raw Plain "operand",
    }
    0x40a4 EW_OP_VALUE_5 ew_op_value_5 DefaultOnly "Element-wise register operand" {
        EW_OPERAND_5 [31:0] Raw Plain "operand",
    }
    0x40a8 EW_OP_VALUE_6 ew_op_value_6 DefaultOnly "Element-wise register operand" {
        EW_OPERAND_6 [31:0] Raw Plain "operand",
    }
    0x40ac EW_OP_VALUE_7 ew_op_value_7 DefaultOnly "Element-wise register operand" {
        EW_OPERAND_7 [31:0] Raw Plain "operand",
    }
    0x40c0 SURFACE_ADD surface_add Programmed "Destination pitch of kernel groups" {
        SURF_ADD [31:4] Atoms Plain "from kernel group to kernel group",
    }
    0x40c4 UNKNOWN_40C4 unknown_40c4 DefaultOnly "Not named by any source; everybody writes 0" {
        VALUE [31:0] Raw Plain "meaning unknown",
    }
    0x4100 LUT_ACCESS_CFG lut_access_cfg Programmed "Table access" {
        LUT_ACCESS_TYPE [17:17] Flag Plain "1 = write",
        LUT_TABLE_ID [16:16] Flag Plain "0 = LE, 1 = LO",
        LUT_ADDR [9:0] Number Plain "first entry",
    }
    0x4104 LUT_ACCESS_DATA lut_access_data Programmed "Table entry" {
        LUT_ACCESS_DATA [15:0] Number Signed "entry; the address counts up",
    }
    0x4108 LUT_CFG lut_cfg Programmed "Table selection" {
        LUT_CAL_SEL [7:7] Flag Plain "calculation select",
        LUT_HYBRID_PRIORITY [6:6] Flag Plain "table of hits in both: 1 = LO",
        LUT_OFLOW_PRIORITY [5:5] Flag Plain "table of overflows: 1 = LO",
        LUT_UFLOW_PRIORITY [4:4] Flag Plain "table of underflows: 1 = LO",
        LUT_LO_LE_MUX [3:2] Code Plain "table mux",
        LUT_EXPAND_EN [1:1] Flag Plain "expand",
        LUT_ROAD_SEL [0:0] Flag Plain "road select",
    }
    0x410c LUT_INFO lut_info Programmed "Table steps" {
        LUT_LO_INDEX_SELECT [23:16] Shift Plain "step of LO, log2",
        LUT_LE_INDEX_SELECT [15:8] Shift Plain "step of LE, log2",
    }
    0x4110 LUT_LE_START lut_le_start Programmed "Domain of LE" {
        LUT_LE_START [31:0] Number Signed "start",
    }
    0x4114 LUT_LE_END lut_le_end Programmed "Domain of LE" {
        LUT_LE_END [31:0] Number Signed "end",
    }
    0x4118 LUT_LO_START lut_lo_start Programmed "Domain of LO" {
        LUT_LO_START [31:0] Number Signed "start",
    }
    0x411c LUT_LO_END lut_lo_end Programmed "Domain of LO" {
        LUT_LO_END [31:0] Number Signed "end",
    }
    0x4120 LUT_LE_SLOPE_SCALE lut_le_slope_scale Programmed "Slopes outside LE" {
        LUT_LE_SLOPE_OFLOW_SCALE [31:16] Number Signed "slope above the end",
        LUT_LE_SLOPE_UFLOW_SCALE [15:0] Number Signed "slope below the start",
    }
    0x4124 LUT_LE_SLOPE_SHIFT lut_le_slope_shift Programmed "Slope shifts outside LE" {
        LUT_LE_SLOPE_OFLOW_SHIFT [9:5] Shift Plain "shift above the end",
        LUT_LE_SLOPE_UFLOW_SHIFT [4:0] Shift Plain "shift below the start",
    }
    0x4128 LUT_LO_SLOPE_SCALE lut_lo_slope_scale Programmed "Slopes outside LO" {
        LUT_LO_SLOPE_OFLOW_SCALE [31:16] Number Signed "slope above the end",
        LUT_LO_SLOPE_UFLOW_SCALE [15:0] Number Signed "slope below the start",
    }
    0x412c LUT_LO_SLOPE_SHIFT lut_lo_slope_shift Programmed "Slope shifts outside LO" {
        LUT_LO_SLOPE_OFLOW_SHIFT [9:5] Shift Plain "shift above the end",
        LUT_LO_SLOPE_UFLOW_SHIFT [4:0] Shift Plain "shift below the start",
    }
}
