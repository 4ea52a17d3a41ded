//! Program counter: fetches command segments, raises interrupts.

use super::table::registers;

registers! {
    Pc;
    0x0000 VERSION version ReadOnly "Version of the NPU; reads 0x46495245 (\"FIRE\")" {
        VERSION [31:0] Raw Plain "version",
    }
    0x0004 VERSION_NUM version_num ReadOnly "Second version word" {
        VERSION_NUM [31:0] Raw Plain "version number",
    }
    0x0008 OPERATION_ENABLE operation_enable Programmed "Start: the edge from 0 to 1 starts fetching" {
        OP_EN [0:0] Flag Plain "start",
    }
    0x0010 BASE_ADDRESS base_address Programmed "Address of the first command segment" {
        PC_SOURCE_ADDR [31:4] Address16 Plain "segment address, 16-byte granules",
        PC_SEL [0:0] Flag Plain "1 = registers are written by the bus (slave mode), 0 = fetched by the PC",
    }
    0x0014 REGISTER_AMOUNTS register_amounts Programmed "Length of the (next) command segment" {
        PC_DATA_AMOUNT [15:0] Fetches MinusOne "128-bit fetches of the segment, tail included",
    }
    0x0020 INTERRUPT_MASK interrupt_mask Programmed "Events that raise the interrupt line" {
        DMA_WRITE_ERROR [13:13] Flag Plain "error on a DMA write",
        DMA_READ_ERROR [12:12] Flag Plain "error on a DMA read",
        PPU_1 [11:11] Flag Plain "pooling done, register group 1",
        PPU_0 [10:10] Flag Plain "pooling done, register group 0",
        DPU_1 [9:9] Flag Plain "post-processing done, register group 1",
        DPU_0 [8:8] Flag Plain "post-processing done, register group 0",
        CORE_1 [7:7] Flag Plain "MAC array done, register group 1",
        CORE_0 [6:6] Flag Plain "MAC array done, register group 0",
        CNA_CSC_1 [5:5] Flag Plain "sequencer done, register group 1",
        CNA_CSC_0 [4:4] Flag Plain "sequencer done, register group 0",
        CNA_WEIGHT_1 [3:3] Flag Plain "weights fetched, register group 1",
        CNA_WEIGHT_0 [2:2] Flag Plain "weights fetched, register group 0",
        CNA_FEATURE_1 [1:1] Flag Plain "features fetched, register group 1",
        CNA_FEATURE_0 [0:0] Flag Plain "features fetched, register group 0",
    }
    0x0024 INTERRUPT_CLEAR interrupt_clear Programmed "Write 1 to clear raw events" {
        DMA_WRITE_ERROR [13:13] Flag Plain "error on a DMA write",
        DMA_READ_ERROR [12:12] Flag Plain "error on a DMA read",
        PPU_1 [11:11] Flag Plain "pooling done, register group 1",
        PPU_0 [10:10] Flag Plain "pooling done, register group 0",
        DPU_1 [9:9] Flag Plain "post-processing done, register group 1",
        DPU_0 [8:8] Flag Plain "post-processing done, register group 0",
        CORE_1 [7:7] Flag Plain "MAC array done, register group 1",
        CORE_0 [6:6] Flag Plain "MAC array done, register group 0",
        CNA_CSC_1 [5:5] Flag Plain "sequencer done, register group 1",
        CNA_CSC_0 [4:4] Flag Plain "sequencer done, register group 0",
        CNA_WEIGHT_1 [3:3] Flag Plain "weights fetched, register group 1",
        CNA_WEIGHT_0 [2:2] Flag Plain "weights fetched, register group 0",
        CNA_FEATURE_1 [1:1] Flag Plain "features fetched, register group 1",
        CNA_FEATURE_0 [0:0] Flag Plain "features fetched, register group 0",
    }
    0x0028 INTERRUPT_STATUS interrupt_status ReadOnly "Raw events and mask" {
        DMA_WRITE_ERROR [13:13] Flag Plain "error on a DMA write",
        DMA_READ_ERROR [12:12] Flag Plain "error on a DMA read",
        PPU_1 [11:11] Flag Plain "pooling done, register group 1",
        PPU_0 [10:10] Flag Plain "pooling done, register group 0",
        DPU_1 [9:9] Flag Plain "post-processing done, register group 1",
        DPU_0 [8:8] Flag Plain "post-processing done, register group 0",
        CORE_1 [7:7] Flag Plain "MAC array done, register group 1",
        CORE_0 [6:6] Flag Plain "MAC array done, register group 0",
        CNA_CSC_1 [5:5] Flag Plain "sequencer done, register group 1",
        CNA_CSC_0 [4:4] Flag Plain "sequencer done, register group 0",
        CNA_WEIGHT_1 [3:3] Flag Plain "weights fetched, register group 1",
        CNA_WEIGHT_0 [2:2] Flag Plain "weights fetched, register group 0",
        CNA_FEATURE_1 [1:1] Flag Plain "features fetched, register group 1",
        CNA_FEATURE_0 [0:0] Flag Plain "features fetched, register group 0",
    }
    0x002c INTERRUPT_RAW_STATUS interrupt_raw_status ReadOnly "Raw events" {
        DMA_WRITE_ERROR [13:13] Flag Plain "error on a DMA write",
        DMA_READ_ERROR [12:12] Flag Plain "error on a DMA read",
        PPU_1 [11:11] Flag Plain "pooling done, register group 1",
        PPU_0 [10:10] Flag Plain "pooling done, register group 0",
        DPU_1 [9:9] Flag Plain "post-processing done, register group 1",
        DPU_0 [8:8] Flag Plain "post-processing done, register group 0",
        CORE_1 [7:7] Flag Plain "MAC array done, register group 1",
        CORE_0 [6:6] Flag Plain "MAC array done, register group 0",
        CNA_CSC_1 [5:5] Flag Plain "sequencer done, register group 1",
        CNA_CSC_0 [4:4] Flag Plain "sequencer done, register group 0",
        CNA_WEIGHT_1 [3:3] Flag Plain "weights fetched, register group 1",
        CNA_WEIGHT_0 [2:2] Flag Plain "weights fetched, register group 0",
        CNA_FEATURE_1 [1:1] Flag Plain "features fetched, register group 1",
        CNA_FEATURE_0 [0:0] Flag Plain "features fetched, register group 0",
    }
    0x0030 TASK_CON task_con Programmed "Task counting" {
        TASK_COUNT_CLEAR [13:13] Flag Plain "clear the task counter",
        TASK_PP_EN [12:12] Flag Plain "ping-pong between tasks",
        TASK_NUMBER [11:0] Tasks Plain "segments to run before the interrupt",
    }
    0x0034 TASK_DMA_BASE_ADDR task_dma_base_addr Programmed "Base of task fetches; anything but 0 stalls the job" {
        DMA_BASE_ADDR [31:4] Address16 Plain "base address, 16-byte granules",
    }
    0x003c TASK_STATUS task_status ReadOnly "Progress" {
        TASK_STATUS [27:0] Raw Plain "finished tasks in the low 12 bits, in the vendor driver's reading",
    }
}
