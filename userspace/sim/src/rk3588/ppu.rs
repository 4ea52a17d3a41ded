//! Pooling tasks: PPU_RDMA -> PPU, int8. No source has run int8 pooling on the chip to the end, so
//! all of it rests on inferred evidence.

use super::config::Config;
use super::core::Core;
use super::counters::Counters;
use super::fault::{Check, DmaUnit, FaultKind, aligned, bounded, documented, same};
use super::state::{Registers, Running};
use crate::memory::Memory;
use ferrite_hw::Grade;
use ferrite_hw::rk3588::table::{Field, Register};
use ferrite_hw::rk3588::{Precision, ppu, ppu_rdma};
use ferrite_process::parallel;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Method {
    /// Both reciprocals in units of 2^-16.
    Average([u32; 2]),
    Maximum,
    Minimum,
}

/// A decoded pooling task. Pairs are vertical, horizontal.
struct Pool {
    /// Bytes of an atom.
    atom: u32,
    method: Method,
    input: [u32; 2],
    output: [u32; 2],
    channels: u32,
    kernel: [u32; 2],
    stride: [u32; 2],
    /// Above, left.
    pad: [u32; 2],
    pad_value: i8,
    source: u32,
    /// Bytes.
    source_line: u32,
    source_surface: u32,
    destination: u32,
    /// Atoms.
    surface: u32,
    notch: u32,
}

impl Core {
    /// Runs a pooling task.
    pub(super) fn run_pooling(
        &mut self,
        memory: &dyn Memory,
        running: Running,
        counters: &mut Counters,
    ) -> Check {
        let pool = Pool::decode(&self.state.view(running), &self.config)?;
        let surfaces = u64::from(pool.channels / pool.atom);
        let atoms = |size: [u32; 2]| surfaces * u64::from(size[0]) * u64::from(size[1]);
        counters.pool_bytes += atoms(pool.input) * u64::from(pool.atom);
        counters.output_bytes += atoms(pool.output) * u64::from(pool.atom);
        counters.atoms += atoms(pool.output);
        parallel::try_each((pool.channels / pool.atom) as usize, |s| {
            pool.surface(s as u32, memory)
        })
    }
}

impl Pool {
    fn decode(r: &Registers<'_>, config: &Config) -> Check<Pool> {
        if Precision::from_code(r.bits(ppu::DATA_FORMAT, ppu::data_format::PROC_PRECISION))
            != Precision::Int8
        {
            return Err(FaultKind::NotModelled("pooling of other types than int8"));
        }
        config.require(Grade::Inferred, "int8 pooling")?;
        documented(
            r.word(ppu_rdma::DATA_FORMAT) == 1,
            "PPU_RDMA.DATA_FORMAT",
            r.word(ppu_rdma::DATA_FORMAT),
            "8-bit elements have code 1",
        )?;
        let pair = |height: (Register, Field), width: (Register, Field)| {
            [height, width].map(|(register, field)| r.value(register, field) as u32)
        };
        let kernel = pair(
            (
                ppu::POOLING_KERNEL_CFG,
                ppu::pooling_kernel_cfg::KERNEL_HEIGHT,
            ),
            (
                ppu::POOLING_KERNEL_CFG,
                ppu::pooling_kernel_cfg::KERNEL_WIDTH,
            ),
        );
        let pad_word = r.word(ppu::PADDING_VALUE_1_CFG);
        let pool = Pool {
            atom: config.atom()?,
            method: method(r, kernel)?,
            input: pair(
                (
                    ppu::DATA_CUBE_IN_HEIGHT,
                    ppu::data_cube_in_height::CUBE_IN_HEIGHT,
                ),
                (
                    ppu::DATA_CUBE_IN_WIDTH,
                    ppu::data_cube_in_width::CUBE_IN_WIDTH,
                ),
            ),
            output: pair(
                (
                    ppu::DATA_CUBE_OUT_HEIGHT,
                    ppu::data_cube_out_height::CUBE_OUT_HEIGHT,
                ),
                (
                    ppu::DATA_CUBE_OUT_WIDTH,
                    ppu::data_cube_out_width::CUBE_OUT_WIDTH,
                ),
            ),
            channels: r.value(
                ppu::DATA_CUBE_OUT_CHANNEL,
                ppu::data_cube_out_channel::CUBE_OUT_CHANNEL,
            ) as u32,
            kernel,
            stride: pair(
                (
                    ppu::POOLING_KERNEL_CFG,
                    ppu::pooling_kernel_cfg::KERNEL_STRIDE_HEIGHT,
                ),
                (
                    ppu::POOLING_KERNEL_CFG,
                    ppu::pooling_kernel_cfg::KERNEL_STRIDE_WIDTH,
                ),
            ),
            pad: pair(
                (ppu::POOLING_PADDING_CFG, ppu::pooling_padding_cfg::PAD_TOP),
                (ppu::POOLING_PADDING_CFG, ppu::pooling_padding_cfg::PAD_LEFT),
            ),
            pad_value: pad_word as i8,
            source: r.word(ppu_rdma::SRC_BASE_ADDR),
            source_line: r.word(ppu_rdma::SRC_LINE_STRIDE),
            source_surface: r.word(ppu_rdma::SRC_SURF_STRIDE),
            destination: r.word(ppu::DST_BASE_ADDR),
            surface: r.bits(ppu::DST_SURF_STRIDE, ppu::dst_surf_stride::DST_SURF_STRIDE),
            notch: r.bits(ppu::OPERATION_MODE_CFG, ppu::operation_mode_cfg::NOTCH_ADDR),
        };
        if r.word(ppu::POOLING_PADDING_CFG) != 0 {
            let byte = pool.pad_value;
            documented(
                pad_word == i32::from(byte) as u32 || pad_word == u32::from(byte as u8),
                "PPU.PADDING_VALUE_1_CFG",
                pad_word,
                "the padding value of int8 must be a byte",
            )?;
        }
        pool.check(r)?;
        Ok(pool)
    }

    fn check(&self, r: &Registers<'_>) -> Check {
        bounded(self.input[1], self.input[0])?;
        bounded(self.output[1], self.output[0])?;
        aligned("PPU.DST_BASE_ADDR", self.destination, self.atom)?;
        aligned("PPU_RDMA.SRC_BASE_ADDR", self.source, self.atom)?;
        same(
            "PPU channels modulo an atom",
            self.channels % self.atom,
            "remainder",
            0,
        )?;
        for (name, value, expected) in [
            (
                "PPU.CUBE_IN_CHANNEL",
                r.value(
                    ppu::DATA_CUBE_IN_CHANNEL,
                    ppu::data_cube_in_channel::CUBE_IN_CHANNEL,
                ),
                self.channels,
            ),
            (
                "PPU_RDMA.CUBE_IN_CHANNEL",
                r.value(
                    ppu_rdma::CUBE_IN_CHANNEL,
                    ppu_rdma::cube_in_channel::CUBE_IN_CHANNEL,
                ),
                self.channels,
            ),
            (
                "PPU_RDMA.CUBE_IN_HEIGHT",
                r.value(
                    ppu_rdma::CUBE_IN_HEIGHT,
                    ppu_rdma::cube_in_height::CUBE_IN_HEIGHT,
                ),
                self.input[0],
            ),
            (
                "PPU_RDMA.CUBE_IN_WIDTH",
                r.value(
                    ppu_rdma::CUBE_IN_WIDTH,
                    ppu_rdma::cube_in_width::CUBE_IN_WIDTH,
                ),
                self.input[1],
            ),
        ] {
            same(name, value, "PPU cube", expected)?;
        }
        same(
            "PPU.INDEX_ADD",
            r.bits(ppu::DATA_FORMAT, ppu::data_format::INDEX_ADD),
            "PPU.DST_SURF_STRIDE",
            self.surface,
        )?;
        documented(
            r.word(ppu::MISC_CTRL) == 3,
            "PPU.MISC_CTRL",
            r.word(ppu::MISC_CTRL),
            "everybody writes 3",
        )?;
        let after = [
            ppu::pooling_padding_cfg::PAD_BOTTOM,
            ppu::pooling_padding_cfg::PAD_RIGHT,
        ]
        .map(|f| r.bits(ppu::POOLING_PADDING_CFG, f));
        for (i, name) in ["PPU.CUBE_OUT_HEIGHT", "PPU.CUBE_OUT_WIDTH"]
            .into_iter()
            .enumerate()
        {
            let covered = (self.output[i] - 1) * self.stride[i] + self.kernel[i];
            documented(
                covered <= self.input[i] + self.pad[i] + after[i],
                name,
                self.output[i],
                "windows reach beyond the padded input",
            )?;
            documented(
                self.pad[i] < self.kernel[i] && after[i] < self.kernel[i],
                "PPU.POOLING_PADDING_CFG",
                r.word(ppu::POOLING_PADDING_CFG),
                "windows lie entirely in the padding",
            )?;
        }
        Ok(())
    }

    fn surface(&self, surface: u32, memory: &dyn Memory) -> Check {
        let atom = self.atom as usize;
        let [height, width] = self.input.map(|v| v as usize);
        let mut source = vec![0u8; height * width * atom];
        for (y, row) in source.chunks_exact_mut(width * atom).enumerate() {
            let offset = u64::from(surface) * u64::from(self.source_surface)
                + y as u64 * u64::from(self.source_line);
            memory
                .read(u64::from(self.source) + offset, row)
                .map_err(FaultKind::memory(DmaUnit::PoolSource))?;
        }
        let [out_height, out_width] = self.output.map(|v| v as usize);
        let line = out_width + self.notch as usize;
        let mut row = vec![0u8; out_width * atom];
        for y in 0..out_height {
            for (x, lanes) in row.chunks_exact_mut(atom).enumerate() {
                for (lane, to) in lanes.iter_mut().enumerate() {
                    *to = self.output_value(&source, y as u32, x as u32, lane) as u8;
                }
            }
            let atoms = u64::from(surface) * u64::from(self.surface) + (y * line) as u64;
            memory
                .write(
                    u64::from(self.destination) + atoms * u64::from(self.atom),
                    &row,
                )
                .map_err(FaultKind::memory(DmaUnit::Output))?;
        }
        Ok(())
    }

    fn output_value(&self, source: &[u8], y: u32, x: u32, lane: usize) -> i8 {
        let [height, width] = self.input;
        let window = (0..self.kernel[0] * self.kernel[1]).map(|i| {
            let at = [
                (y * self.stride[0] + i / self.kernel[1]).checked_sub(self.pad[0]),
                (x * self.stride[1] + i % self.kernel[1]).checked_sub(self.pad[1]),
            ];
            match at {
                [Some(y), Some(x)] if y < height && x < width => {
                    source[((y * width + x) * self.atom) as usize + lane] as i8
                }
                _ => self.pad_value,
            }
        });
        match self.method {
            Method::Maximum => window.max().unwrap_or_default(),
            Method::Minimum => window.min().unwrap_or_default(),
            Method::Average(reciprocals) => {
                let sum: i64 = window.map(i64::from).sum();
                let product = sum * i64::from(reciprocals[0]) * i64::from(reciprocals[1]);
                super::dpu::round_shift(product, 32).clamp(-128, 127) as i8
            }
        }
    }
}

fn method(r: &Registers<'_>, kernel: [u32; 2]) -> Check<Method> {
    use ppu::operation_mode_cfg as mode;
    let word = r.word(ppu::OPERATION_MODE_CFG);
    documented(
        mode::FLYING_MODE.get(word) == 1
            && mode::INDEX_EN.get(word) == 0
            && mode::USE_CNT.get(word) == 0
            && r.bits(ppu::DATA_FORMAT, ppu::data_format::DPU_FLYIN) == 0,
        "PPU.OPERATION_MODE_CFG",
        word,
        "only pooling from memory, without indices, has been used",
    )?;
    match mode::POOLING_METHOD.get(word) {
        0 => {
            let reciprocals = [
                r.word(ppu::RECIP_KERNEL_HEIGHT),
                r.word(ppu::RECIP_KERNEL_WIDTH),
            ];
            for (i, name) in ["PPU.RECIP_KERNEL_HEIGHT", "PPU.RECIP_KERNEL_WIDTH"]
                .into_iter()
                .enumerate()
            {
                let exact = 65536.0 / f64::from(kernel[i]);
                documented(
                    (f64::from(reciprocals[i]) - exact).abs() < 1.0,
                    name,
                    reciprocals[i],
                    "must be 2^16 / kernel size",
                )?;
            }
            Ok(Method::Average(reciprocals))
        }
        1 => Ok(Method::Maximum),
        2 => Ok(Method::Minimum),
        _ => Err(FaultKind::Undocumented {
            register: "PPU.POOLING_METHOD",
            value: word,
            why: "only 0 (average), 1 (maximum) and 2 (minimum) are known",
        }),
    }
}
