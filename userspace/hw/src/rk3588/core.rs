//! MAC array and accumulator.

use super::table::registers;

registers! {
    Core;
    0x3000 S_STATUS s_status ReadOnly "State of the two register groups" {
        STATUS_1 [17:16] Code Plain "state of group 1",
        STATUS_0 [1:0] Code Plain "state of group 0",
    }
    0x3004 S_POINTER s_pointer Programmed "Which of the two register groups is written and executed" {
        EXECUTER [16:16] Flag Plain "executing group (read only)",
        EXECUTER_PP_CLEAR [5:5] Flag Plain "reset the executer's toggle",
        POINTER_PP_CLEAR [4:4] Flag Plain "reset the write pointer's toggle",
        POINTER_PP_MODE [3:3] Flag Plain "write pointer follows 0 = the executer, 1 = the pointer",
        EXECUTER_PP_EN [2:2] Flag Plain "toggle the executing group after each run",
        POINTER_PP_EN [1:1] Flag Plain "toggle the written group after each run",
        POINTER [0:0] Flag Plain "group that writes go to",
    }
    0x3008 OPERATION_ENABLE operation_enable Never "Start of this block alone, by bus writes" {
        OP_EN [0:0] Flag Plain "start",
    }
    0x300c MAC_GATING mac_gating Never "Clock gating of the MAC array" {
        SLCG_OP_EN [26:0] Raw Plain "gating enables",
    }
    0x3010 MISC_CFG misc_cfg Programmed "Mode of the MAC array" {
        SOFT_GATING [19:14] Raw Plain "gating",
        PROC_PRECISION [10:8] Precision Plain "precision",
        DW_EN [1:1] Flag Plain "depthwise",
        QD_EN [0:0] Flag Plain "also sum the data under the kernel window (for CPEND)",
    }
    0x3014 DATAOUT_SIZE_0 dataout_size_0 Programmed "Output size of this task" {
        DATAOUT_HEIGHT [31:16] Pixels MinusOne "output height",
        DATAOUT_WIDTH [15:0] Pixels MinusOne "output width",
    }
    0x3018 DATAOUT_SIZE_1 dataout_size_1 Programmed "Output channels" {
        DATAOUT_CHANNEL [15:0] Channels MinusOne "output channels padded to the kernel group",
    }
    0x301c CLIP_TRUNCATE clip_truncate Programmed "Accumulator shift" {
        ROUND_TYPE [6:6] Flag Plain "0 = to nearest even, 1 = half up",
        CLIP_TRUNCATE [4:0] Shift Plain "right shift",
    }
    0x3030 UNKNOWN_3030 unknown_3030 DefaultOnly "Not named by any source; everybody writes 0" {
        VALUE [31:0] Raw Plain "meaning unknown",
    }
}
