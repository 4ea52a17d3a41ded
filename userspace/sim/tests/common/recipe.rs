//! Command lists for test convolutions, after the recipe of the hardware document (appendix B).
#![allow(dead_code, reason = "each test uses its part")]

use ferrite_hw::rk3588::parameters::RK3588;
use ferrite_hw::rk3588::table::Register;
use ferrite_hw::rk3588::{cna, codes, command, core, dpu, dpu_rdma};
use ferrite_sim::rk3588::conv::cbuf;

/// An int8 convolution of one task.
#[derive(Clone, Debug)]
pub struct Layer {
    pub width: u32,
    pub height: u32,
    pub channels: u32,
    pub kernels: u32,
    pub kernel: [u32; 2],
    pub stride: [u32; 2],
    pub dilation: [u32; 2],
    /// Top, bottom, left, right.
    pub pad: [u32; 4],
    pub pad_value: i8,
    pub depthwise: bool,
    /// CPEND operand; `None` bypasses it.
    pub ow_op: Option<i16>,
    pub truncate: u32,
    /// int8 output with this scale, shift, offset; `None` for raw int32.
    pub requant: Option<(u16, u32, i32)>,
    /// Per-channel multipliers with this shift.
    pub multiplier_shift: Option<u32>,
    /// CPEND operands per channel beside the multipliers, in place of `ow_op`.
    pub channel_cpend: bool,
    /// Fused element-wise operand: offset, scale, shift.
    pub add: Option<(i32, i16, u32)>,
}

/// Addresses of a layer's buffers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Places {
    pub input: u32,
    pub weights: u32,
    pub bias: u32,
    pub output: u32,
    pub operand: u32,
}

impl Layer {
    /// A 1x1 convolution of 16 channels to 32.
    pub fn pointwise(width: u32, height: u32) -> Layer {
        Layer {
            width,
            height,
            channels: 16,
            kernels: 32,
            kernel: [1, 1],
            stride: [1, 1],
            dilation: [1, 1],
            pad: [0; 4],
            pad_value: 0,
            depthwise: false,
            ow_op: None,
            truncate: 0,
            requant: Some((16384, 14, 0)),
            multiplier_shift: None,
            channel_cpend: false,
            add: None,
        }
    }

    /// Stored input channels.
    pub fn stored_channels(&self) -> u32 {
        self.channels.next_multiple_of(16)
    }

    pub fn outputs(&self) -> u32 {
        if self.depthwise {
            self.channels
        } else {
            self.kernels
        }
    }

    /// Output channels that are written.
    pub fn written_channels(&self) -> u32 {
        let group = if self.depthwise { 64 } else { 32 };
        self.outputs().next_multiple_of(group)
    }

    /// PAD_CON1 as everybody writes it: a depthwise convolution has a byte for odd channels of its own,
    /// a direct one reads only the first.
    fn pad_word(&self) -> u32 {
        match self.depthwise {
            true => u32::from(self.pad_value as u8) * 0x0101_0101,
            false => i32::from(self.pad_value) as u32,
        }
    }

    pub fn out_size(&self) -> [u32; 2] {
        let out = |input, axis: usize, pad: u32| {
            (input + pad - (self.kernel[axis] - 1) * self.dilation[axis] - 1) / self.stride[axis]
                + 1
        };
        [
            out(self.height, 0, self.pad[0] + self.pad[1]),
            out(self.width, 1, self.pad[2] + self.pad[3]),
        ]
    }

    /// Rows of input that a task may have.
    pub fn rows_per_task(&self, data_banks: u32) -> u32 {
        data_banks * 512 / cbuf::row_entries(&RK3588, self.width, self.stored_channels() / 16)
    }

    /// The whole layer as one task.
    pub fn words(&self, at: Places) -> Vec<u64> {
        let [out_height, _] = self.out_size();
        self.rows_words(at, 0..out_height, self.pad[0], 0..self.height, false)
    }

    /// Row tiles of the layer, each a command list.
    pub fn tiles(&self, at: Places) -> Vec<Vec<u64>> {
        let banks = 12 - self.weight_banks();
        let most = self.rows_per_task(banks).min(self.height);
        let [out_height, _] = self.out_size();
        let extent = (self.kernel[0] - 1) * self.dilation[0] + 1;
        let mut tiles = Vec::new();
        let mut first = 0;
        while first < out_height {
            let start = (first * self.stride[0]).saturating_sub(self.pad[0]);
            let pad = (self.pad[0]).saturating_sub(first * self.stride[0]);
            let rows = most.min(self.height - start);
            let whole = (rows + pad).saturating_sub(extent) / self.stride[0] + 1;
            let last = if start + rows == self.height {
                out_height
            } else {
                (first + whole).min(out_height)
            };
            let used = ((last - first - 1) * self.stride[0] + extent - pad).min(rows);
            tiles.push(self.rows_words(at, first..last, pad, start..start + used, first > 0));
            first = last;
        }
        tiles
    }

    fn weight_bytes(&self) -> u32 {
        let kernels = if self.depthwise { 1 } else { self.kernels };
        self.kernel[0] * self.kernel[1] * self.stored_channels() * kernels
    }

    fn weight_banks(&self) -> u32 {
        self.weight_bytes().div_ceil(32768).clamp(1, 5)
    }

    fn rows_words(
        &self,
        at: Places,
        out_rows: std::ops::Range<u32>,
        pad_top: u32,
        in_rows: std::ops::Range<u32>,
        later: bool,
    ) -> Vec<u64> {
        let (stored, written) = (self.stored_channels(), self.written_channels());
        let [out_height, out_width] = self.out_size();
        let (rows, height) = (out_rows.len() as u32, in_rows.len() as u32);
        let taps = self.kernel[0] * self.kernel[1];
        let kernels = if self.depthwise { 1 } else { self.kernels };
        let banks = self.weight_banks();
        let reuse = u32::from(later && self.weight_bytes() <= banks * 32768) << 13;
        let surfaces = match (self.depthwise, self.requant) {
            (false, Some(_)) => 2,
            (true, Some(_)) => 4,
            (_, None) => 8,
        };
        let size_e = surfaces - 1;
        let dw = if self.depthwise { 3 } else { 0 };
        let input = at.input + in_rows.start * self.width * 16;
        let output = at.output + out_rows.start * out_width * 16;
        let plane = out_width * out_height;
        let size = height | self.width << 16;
        let wdma = (rows - 1) << 16 | (out_width - 1);
        let word = |v: i32| v as u32;
        let mut list: Vec<(Register, u32)> = vec![
            (dpu::S_POINTER, codes::S_POINTER_PING_PONG),
            (dpu_rdma::S_POINTER, codes::S_POINTER_PING_PONG),
            (cna::CONV_CON1, dw),
            (cna::CONV_CON2, (self.kernel[0] + self.stride[0] + 1) << 4),
            (
                cna::CONV_CON3,
                self.stride[0] << 3
                    | self.stride[1]
                    | (self.dilation[0] - 1) << 21
                    | (self.dilation[1] - 1) << 16,
            ),
            (cna::DATA_SIZE0, size),
            (cna::DATA_SIZE1, (self.channels - 1) << 16 | stored),
            (cna::DATA_SIZE2, out_width),
            (cna::DATA_SIZE3, out_width * rows),
            (cna::WEIGHT_SIZE0, taps * stored * kernels),
            (cna::WEIGHT_SIZE1, taps * stored),
            (
                cna::WEIGHT_SIZE2,
                self.kernel[1] << 24 | self.kernel[0] << 16 | kernels,
            ),
            (cna::CBUF_CON0, reuse | banks << 4 | (12 - banks)),
            (
                cna::CBUF_CON1,
                cbuf::row_entries(&RK3588, self.width, stored / 16),
            ),
            (cna::CVT_CON0, 0xb),
            (cna::CVT_CON5, 0),
            (cna::PAD_CON0, self.pad[2] << 4 | pad_top),
            (cna::FEATURE_DATA_ADDR, input),
            (cna::DMA_CON0, 0x000f_000f),
            (cna::DMA_CON1, 4 * self.width),
            (
                cna::DMA_CON2,
                word(self.width as i32 * (self.height as i32 - 4)) & 0x0fff_ffff,
            ),
            (cna::FC_DATA_SIZE0, size),
            (cna::FC_DATA_SIZE1, stored),
            (cna::DCOMP_ADDR0, at.weights),
            (cna::PAD_CON1, self.pad_word()),
            (core::MISC_CFG, if self.depthwise { 3 } else { 1 }),
            (core::DATAOUT_SIZE_0, wdma),
            (core::DATAOUT_SIZE_1, written - 1),
            (core::CLIP_TRUNCATE, self.truncate),
            (dpu::FEATURE_MODE_CFG, 0x1e4 | dw << 3),
            (
                dpu::DATA_FORMAT,
                if self.requant.is_some() { 0 } else { 4 << 29 }
                    | self.multiplier_shift.unwrap_or(0) << 4,
            ),
            (dpu::OFFSET_PEND, 0),
            (dpu::DST_BASE_ADDR, output),
            (dpu::DST_SURF_STRIDE, plane << 4),
            (dpu::DATA_CUBE_WIDTH, out_width - 1),
            (dpu::DATA_CUBE_HEIGHT, rows - 1),
            (dpu::DATA_CUBE_NOTCH_ADDR, 0),
            (
                dpu::DATA_CUBE_CHANNEL,
                (self.outputs() - 1) << 16 | (written - 1),
            ),
            (
                dpu::BS_CFG,
                if self.multiplier_shift.is_some() {
                    0x20140
                } else {
                    0x20150
                },
            ),
            (
                dpu::BS_MUL_CFG,
                self.multiplier_shift.map_or(0, |shift| shift << 8 | 1),
            ),
            (
                dpu::BS_OW_CFG,
                size_e << 2
                    | size_e << 5
                    | size_e << 8
                    | if self.channel_cpend {
                        1
                    } else {
                        u32::from(self.ow_op.is_none()) << 1
                    },
            ),
            (dpu::BS_OW_OP, self.ow_op.unwrap_or(0) as u16 as u32),
            (dpu::WDMA_SIZE_0, written - 1),
            (dpu::WDMA_SIZE_1, wdma),
            (dpu::BN_CFG, 0x53),
            (
                dpu::EW_CFG,
                if self.add.is_some() {
                    0x9042_02c0
                } else {
                    0x383
                },
            ),
            (dpu::EW_CVT_OFFSET_VALUE, word(self.add.map_or(0, |a| a.0))),
            (
                dpu::EW_CVT_SCALE_VALUE,
                self.add.map_or(1, |a| a.2 << 16 | a.1 as u16 as u32),
            ),
            (dpu::OUT_CVT_OFFSET, word(self.requant.map_or(0, |r| r.2))),
            (
                dpu::OUT_CVT_SCALE,
                self.requant.map_or(1, |r| u32::from(r.0)),
            ),
            (dpu::OUT_CVT_SHIFT, self.requant.map_or(0, |r| r.1)),
            (dpu::SURFACE_ADD, (surfaces * plane) << 4),
            (dpu_rdma::DATA_CUBE_WIDTH, out_width - 1),
            (dpu_rdma::DATA_CUBE_HEIGHT, rows - 1),
            (dpu_rdma::DATA_CUBE_CHANNEL, written - 1),
            (
                dpu_rdma::BRDMA_CFG,
                match (self.multiplier_shift.is_some(), self.channel_cpend) {
                    (true, true) => 0xe,
                    (true, false) => 0xa,
                    _ => 0x2,
                },
            ),
            (dpu_rdma::BS_BASE_ADDR, at.bias),
            (dpu_rdma::ERDMA_CFG, 1),
            (dpu_rdma::FEATURE_MODE_CFG, 0x7810 | dw << 1),
            (dpu_rdma::WEIGHT, 0x0101_0101),
        ];
        if self.add.is_some() {
            let operand = at.operand + out_rows.start * out_width * 16;
            let notch = 2 * plane - out_width * rows;
            list.extend([
                (dpu_rdma::SRC_BASE_ADDR, operand),
                (dpu_rdma::EW_BASE_ADDR, operand + plane * 16),
                (dpu_rdma::EW_SURF_STRIDE, plane << 4),
                (dpu_rdma::SURF_NOTCH, notch << 4),
                (dpu_rdma::EW_SURF_NOTCH, notch << 4),
                (dpu_rdma::ERDMA_CFG, 0x4000_0004),
                (dpu_rdma::FEATURE_MODE_CFG, 0x7d00),
            ]);
        }
        list.into_iter()
            .map(|(register, value)| register.write(value).expect("a block with a target"))
            .chain(command::tail(None, codes::enable::CONVOLUTION_RDMA))
            .map(|c| c.encode())
            .collect()
    }
}
