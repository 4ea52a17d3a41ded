//! Pooling and its write DMA.

use super::table::registers;

registers! {
    Ppu;
    0x6000 S_STATUS s_status ReadOnly "State of the two register groups" {
        STATUS_1 [17:16] Code Plain "state of group 1",
        STATUS_0 [1:0] Code Plain "state of group 0",
    }
    0x6004 S_POINTER s_pointer Programmed "Which of the two register groups is written and executed" {
        EXECUTER [16:16] Flag Plain "executing group (read only)",
        EXECUTER_PP_CLEAR [5:5] Flag Plain "reset the executer's toggle",
        POINTER_PP_CLEAR [4:4] Flag Plain "reset the write pointer's toggle",
        POINTER_PP_MODE [3:3] Flag Plain "write pointer follows 0 = the executer, 1 = the pointer",
        EXECUTER_PP_EN [2:2] Flag Plain "toggle the executing group after each run",
        POINTER_PP_EN [1:1] Flag Plain "toggle the written group after each run",
        POINTER [0:0] Flag Plain "group that writes go to",
    }
    0x6008 OPERATION_ENABLE operation_enable Never "Start of this block alone, by bus writes" {
        OP_EN [0:0] Flag Plain "start",
    }
    0x600c DATA_CUBE_IN_WIDTH data_cube_in_width Programmed "Input width" {
        CUBE_IN_WIDTH [12:0] Pixels MinusOne "width",
    }
    0x6010 DATA_CUBE_IN_HEIGHT data_cube_in_height Programmed "Input height" {
        CUBE_IN_HEIGHT [12:0] Pixels MinusOne "height",
    }
    0x6014 DATA_CUBE_IN_CHANNEL data_cube_in_channel Programmed "Input channels" {
        CUBE_IN_CHANNEL [12:0] Channels MinusOne "channels",
    }
    0x6018 DATA_CUBE_OUT_WIDTH data_cube_out_width Programmed "Output width" {
        CUBE_OUT_WIDTH [12:0] Pixels MinusOne "width",
    }
    0x601c DATA_CUBE_OUT_HEIGHT data_cube_out_height Programmed "Output height" {
        CUBE_OUT_HEIGHT [12:0] Pixels MinusOne "height",
    }
    0x6020 DATA_CUBE_OUT_CHANNEL data_cube_out_channel Programmed "Output channels" {
        CUBE_OUT_CHANNEL [12:0] Channels MinusOne "channels",
    }
    0x6024 OPERATION_MODE_CFG operation_mode_cfg Programmed "Mode" {
        INDEX_EN [30:30] Flag Plain "also write the index of the maximum",
        NOTCH_ADDR [28:16] Atoms Plain "atoms skipped at the end of each line",
        USE_CNT [7:5] Number Plain "uses",
        FLYING_MODE [4:4] Flag Plain "source: 0 the DPU, 1 memory",
        POOLING_METHOD [1:0] Code Plain "0 average, 1 maximum, 2 minimum",
    }
    0x6034 POOLING_KERNEL_CFG pooling_kernel_cfg Programmed "Kernel" {
        KERNEL_STRIDE_HEIGHT [23:20] Pixels MinusOne "vertical stride",
        KERNEL_STRIDE_WIDTH [19:16] Pixels MinusOne "horizontal stride",
        KERNEL_HEIGHT [11:8] Pixels MinusOne "height",
        KERNEL_WIDTH [3:0] Pixels MinusOne "width",
    }
    0x6038 RECIP_KERNEL_WIDTH recip_kernel_width Programmed "Divisor" {
        RECIP_KERNEL_WIDTH [16:0] Number Plain "2^16 / width (integers) or a 17-bit float",
    }
    0x603c RECIP_KERNEL_HEIGHT recip_kernel_height Programmed "Divisor" {
        RECIP_KERNEL_HEIGHT [16:0] Number Plain "2^16 / height (integers) or a 17-bit float",
    }
    0x6040 POOLING_PADDING_CFG pooling_padding_cfg Programmed "Padding" {
        PAD_BOTTOM [14:12] Pixels Plain "rows below",
        PAD_RIGHT [10:8] Pixels Plain "columns to the right",
        PAD_TOP [6:4] Pixels Plain "rows above",
        PAD_LEFT [2:0] Pixels Plain "columns to the left",
    }
    0x6044 PADDING_VALUE_1_CFG padding_value_1_cfg Programmed "Padding value" {
        PAD_VALUE_0 [31:0] Raw Plain "low 32 bits",
    }
    0x6048 PADDING_VALUE_2_CFG padding_value_2_cfg DefaultOnly "Padding value" {
        PAD_VALUE_1 [2:0] Raw Plain "high 3 bits",
    }
    0x6070 DST_BASE_ADDR dst_base_addr Programmed "Destination" {
        DST_BASE_ADDR [31:4] Address16 Plain "first atom, 16-byte granules",
    }
    0x607c DST_SURF_STRIDE dst_surf_stride Programmed "Destination" {
        DST_SURF_STRIDE [31:4] Atoms Plain "surface pitch",
    }
    0x6084 DATA_FORMAT data_format Programmed "Format" {
        INDEX_ADD [31:4] Atoms Plain "destination surface pitch, unless indices are written",
        DPU_FLYIN [3:3] Flag Plain "input from the DPU",
        PROC_PRECISION [2:0] Precision Plain "precision",
    }
    0x60dc MISC_CTRL misc_ctrl Programmed "Writer" {
        SURF_LEN [31:16] Number Plain "bytes / 8 of a contiguous surface",
        MC_SURF_OUT [8:8] Flag Plain "several surfaces serially",
        NONALIGN [7:7] Flag Plain "contiguous output",
        BURST_LEN [3:0] Beats MinusOne "write burst",
    }
}
