//! Read DMA of the pooling block.

use super::table::registers;

registers! {
    PpuRdma;
    0x7000 S_STATUS s_status ReadOnly "State of the two register groups" {
        STATUS_1 [17:16] Code Plain "state of group 1",
        STATUS_0 [1:0] Code Plain "state of group 0",
    }
    0x7004 S_POINTER s_pointer Programmed "Which of the two register groups is written and executed" {
        EXECUTER [16:16] Flag Plain "executing group (read only)",
        EXECUTER_PP_CLEAR [5:5] Flag Plain "reset the executer's toggle",
        POINTER_PP_CLEAR [4:4] Flag Plain "reset the write pointer's toggle",
        POINTER_PP_MODE [3:3] Flag Plain "write pointer follows 0 = the executer, 1 = the pointer",
        EXECUTER_PP_EN [2:2] Flag Plain "toggle the executing group after each run",
        POINTER_PP_EN [1:1] Flag Plain "toggle the written group after each run",
        POINTER [0:0] Flag Plain "group that writes go to",
    }
    0x7008 OPERATION_ENABLE operation_enable Never "Start of this block alone, by bus writes" {
        OP_EN [0:0] Flag Plain "start",
    }
    0x700c CUBE_IN_WIDTH cube_in_width Programmed "Input width" {
        CUBE_IN_WIDTH [12:0] Pixels MinusOne "width",
    }
    0x7010 CUBE_IN_HEIGHT cube_in_height Programmed "Input height" {
        CUBE_IN_HEIGHT [12:0] Pixels MinusOne "height",
    }
    0x7014 CUBE_IN_CHANNEL cube_in_channel Programmed "Input channels" {
        CUBE_IN_CHANNEL [12:0] Channels MinusOne "channels",
    }
    0x701c SRC_BASE_ADDR src_base_addr Programmed "Source" {
        SRC_BASE_ADDR [31:0] Address Plain "first atom",
    }
    0x7024 SRC_LINE_STRIDE src_line_stride Programmed "Source" {
        SRC_LINE_STRIDE [31:4] Atoms Plain "line pitch",
    }
    0x7028 SRC_SURF_STRIDE src_surf_stride Programmed "Source" {
        SRC_SURF_STRIDE [31:4] Atoms Plain "surface pitch",
    }
    0x7030 DATA_FORMAT data_format Programmed "Format" {
        IN_PRECISION [1:0] ElementSize Plain "element",
    }
}
