//! What a convolution task asks of CNA and CORE, checked against what is known to work.

use super::super::config::Config;
use super::super::fault::{Check, FaultKind, aligned, documented, same};
use super::super::state::Registers;
use super::cbuf::{self, Split};
use super::layout::{FeatureLayout, layout};
use ferrite_hw::Grade;
use ferrite_hw::rk3588::parameters::RK3588;
use ferrite_hw::rk3588::table::{Field, Register};
use ferrite_hw::rk3588::{Precision, cna, core};

/// A decoded convolution.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Conv {
    pub depthwise: bool,
    pub in_width: u32,
    pub in_height: u32,
    /// Channels as stored, whole atoms.
    pub channels: u32,
    /// Bytes of an atom.
    pub atom: u32,
    pub out_width: u32,
    pub out_height: u32,
    pub kernels: u32,
    /// Output channels padded to the kernel group.
    pub out_channels: u32,
    pub kernel: [u32; 2],
    pub stride: [u32; 2],
    pub dilation: [u32; 2],
    /// Rows above, columns to the left.
    pub pad: [u32; 2],
    /// Padding value, and that of odd channels of depthwise convolutions.
    pub pad_value: [i8; 2],
    pub feature_address: u32,
    pub layout: FeatureLayout,
    pub weight_address: u32,
    pub kernel_bytes: u32,
    pub split: Split,
    pub entries: u32,
    pub reuse_data: bool,
    pub reuse_weights: bool,
    /// The MAC array also sums the data.
    pub data_sum: bool,
    /// Right shift of the accumulator.
    pub truncate: u32,
}

/// Kernels that are computed together.
pub(crate) const KERNEL_GROUP: u32 = RK3588.kernel_group as u32;
/// Channels that depthwise convolution computes together.
pub(crate) const DEPTHWISE_GROUP: u32 = RK3588.depthwise_group as u32;

impl Conv {
    /// Rows, columns that a kernel spans.
    pub(crate) fn extent(&self) -> [u32; 2] {
        [0, 1].map(|i| (self.kernel[i] - 1) * self.dilation[i] + 1)
    }

    /// Channels or kernels of a group.
    pub(crate) fn group(&self) -> u32 {
        if self.depthwise {
            DEPTHWISE_GROUP
        } else {
            KERNEL_GROUP
        }
    }

    /// Bytes of all weights.
    pub(crate) fn weight_bytes(&self) -> u64 {
        u64::from(self.kernel_bytes) * u64::from(self.kernels)
    }

    /// Decodes and checks the registers.
    pub(crate) fn decode(r: &Registers<'_>, config: &Config) -> Check<Conv> {
        let (mode, chip) = (mode(r)?, config.chip);
        if (chip.kernel_group, chip.depthwise_group)
            != (RK3588.kernel_group, RK3588.depthwise_group)
        {
            return Err(FaultKind::NotModelled(
                "groups of the MAC array other than the RK3588's",
            ));
        }
        let atom = config.atom()?;
        let size = |register: Register, field: Field| -> Check<u32> {
            let value = r.value(register, field);
            documented(value > 0, field.name, value as u32, "must not be 0")?;
            Ok(value as u32)
        };
        let in_width = size(cna::DATA_SIZE0, cna::data_size0::DATAIN_WIDTH)?;
        let in_height = size(cna::DATA_SIZE0, cna::data_size0::DATAIN_HEIGHT)?;
        let channels = size(cna::DATA_SIZE1, cna::data_size1::DATAIN_CHANNEL)?;
        documented(
            channels.is_multiple_of(atom),
            "CNA.DATAIN_CHANNEL",
            channels,
            "int8 channels come in whole atoms",
        )?;
        let channels_real = size(cna::DATA_SIZE1, cna::data_size1::DATAIN_CHANNEL_REAL)?;
        documented(
            channels_real <= channels,
            "CNA.DATAIN_CHANNEL_REAL",
            channels_real,
            "more real channels than padded ones",
        )?;
        let out_width = size(core::DATAOUT_SIZE_0, core::dataout_size_0::DATAOUT_WIDTH)?;
        let out_height = size(core::DATAOUT_SIZE_0, core::dataout_size_0::DATAOUT_HEIGHT)?;
        same(
            "CNA.DATAOUT_WIDTH",
            r.value(cna::DATA_SIZE2, cna::data_size2::DATAOUT_WIDTH),
            "CORE.DATAOUT_WIDTH",
            out_width,
        )?;
        documented(
            r.bits(cna::DATA_SIZE3, cna::data_size3::SURF_MODE) == 0,
            "CNA.SURF_MODE",
            r.word(cna::DATA_SIZE3),
            "no source sets it",
        )?;
        same(
            "CNA.DATAOUT_ATOMICS",
            r.value(cna::DATA_SIZE3, cna::data_size3::DATAOUT_ATOMICS),
            "output width * height",
            i64::from(out_width) * i64::from(out_height),
        )?;
        let kernel = [
            size(cna::WEIGHT_SIZE2, cna::weight_size2::WEIGHT_HEIGHT)?,
            size(cna::WEIGHT_SIZE2, cna::weight_size2::WEIGHT_WIDTH)?,
        ];
        let kernels = size(cna::WEIGHT_SIZE2, cna::weight_size2::WEIGHT_KERNELS)?;
        let kernel_bytes = r.word(cna::WEIGHT_SIZE1);
        same(
            "CNA.WEIGHT_BYTES_PER_KERNEL",
            kernel_bytes,
            "kernel height * width * channels",
            i64::from(kernel[0] * kernel[1]) * i64::from(channels),
        )?;
        same(
            "CNA.WEIGHT_BYTES",
            r.word(cna::WEIGHT_SIZE0),
            "bytes per kernel * kernels",
            i64::from(kernel_bytes) * i64::from(kernels),
        )?;
        let split = Split {
            data: r.bits(cna::CBUF_CON0, cna::cbuf_con0::DATA_BANK),
            weights: r.bits(cna::CBUF_CON0, cna::cbuf_con0::WEIGHT_BANK),
            chip,
        };
        let weight_address = r.word(cna::DCOMP_ADDR0);
        aligned("CNA.DCOMP_ADDR0", weight_address, 16)?;
        raw_weights(r)?;
        let conv = Conv {
            depthwise: mode.depthwise,
            in_width,
            in_height,
            channels,
            atom,
            out_width,
            out_height,
            kernels,
            out_channels: size(core::DATAOUT_SIZE_1, core::dataout_size_1::DATAOUT_CHANNEL)?,
            kernel,
            stride: [
                size(cna::CONV_CON3, cna::conv_con3::CONV_Y_STRIDE)?,
                size(cna::CONV_CON3, cna::conv_con3::CONV_X_STRIDE)?,
            ],
            dilation: [
                r.value(cna::CONV_CON3, cna::conv_con3::ATROUS_Y_DILATION) as u32,
                r.value(cna::CONV_CON3, cna::conv_con3::ATROUS_X_DILATION) as u32,
            ],
            pad: [
                r.bits(cna::PAD_CON0, cna::pad_con0::PAD_TOP),
                r.bits(cna::PAD_CON0, cna::pad_con0::PAD_LEFT),
            ],
            pad_value: [0, 8].map(|shift| (r.word(cna::PAD_CON1) >> shift) as i8),
            feature_address: r.word(cna::FEATURE_DATA_ADDR),
            layout: layout(r, config, mode.packed, in_width, channels_real, channels)?,
            weight_address,
            kernel_bytes,
            split,
            entries: r.bits(cna::CBUF_CON1, cna::cbuf_con1::DATA_ENTRIES),
            reuse_data: r.flag(cna::CBUF_CON0, cna::cbuf_con0::DATA_REUSE),
            reuse_weights: r.flag(cna::CBUF_CON0, cna::cbuf_con0::WEIGHT_REUSE),
            data_sum: r.flag(core::MISC_CFG, core::misc_cfg::QD_EN),
            truncate: r.bits(core::CLIP_TRUNCATE, core::clip_truncate::CLIP_TRUNCATE),
        };
        conv.check(r, config)?;
        Ok(conv)
    }

    fn check(&self, r: &Registers<'_>, config: &Config) -> Check {
        if self.truncate > 0 {
            documented(
                !r.flag(core::CLIP_TRUNCATE, core::clip_truncate::ROUND_TYPE),
                "CORE.CLIP_TRUNCATE",
                r.word(core::CLIP_TRUNCATE),
                "rounding half up has not been seen",
            )?;
        }
        if self.dilation != [1, 1] {
            documented(
                self.dilation.iter().all(|&d| d <= 2) || config.evidence >= Grade::Inferred,
                "CNA.ATROUS_DILATION",
                r.word(cna::CONV_CON3),
                "dilation above 2 has not been run on silicon",
            )?;
        }
        let extent = self.extent();
        for (i, [out, input]) in [
            [self.out_height, self.in_height],
            [self.out_width, self.in_width],
        ]
        .into_iter()
        .enumerate()
        {
            let last = i64::from(out - 1) * i64::from(self.stride[i]) - i64::from(self.pad[i]);
            documented(
                last < i64::from(input) && extent[i] > self.pad[i],
                ["CORE.DATAOUT_HEIGHT", "CORE.DATAOUT_WIDTH"][i],
                out,
                "outputs lie entirely in the padding",
            )?;
        }
        if self.depthwise {
            same("CNA.WEIGHT_KERNELS", self.kernels, "depthwise kernels", 1)?;
        }
        let produced = if self.depthwise {
            self.channels
        } else {
            self.kernels
        };
        same(
            "CORE.DATAOUT_CHANNEL",
            self.out_channels,
            "kernels rounded up to their group",
            produced.next_multiple_of(self.group()),
        )?;
        self.check_buffer()
    }

    fn check_buffer(&self) -> Check {
        self.split.check()?;
        match self.layout {
            FeatureLayout::Cube { .. } => {
                let needed =
                    cbuf::row_entries(self.split.chip, self.in_width, self.channels / self.atom);
                documented(
                    self.entries >= needed,
                    "CNA.DATA_ENTRIES",
                    self.entries,
                    "fewer than a row's entries; a chip then ends the job with values that are wrong in a way not known",
                )?;
                same("CNA.DATA_ENTRIES", self.entries, "entries of a row", needed)?;
                self.split.check_data(self.entries, self.in_height)?;
            }
            // How packed pixels fill the banks is unknown; the register is known.
            FeatureLayout::Packed { .. } => same(
                "CNA.DATA_ENTRIES",
                self.entries,
                "pixels of the task",
                self.in_width * self.in_height,
            )?,
        }
        self.split
            .check_weights(u64::from(self.kernel_bytes) * u64::from(self.kernels.min(KERNEL_GROUP)))
    }
}

struct Mode {
    depthwise: bool,
    packed: bool,
}

fn mode(r: &Registers<'_>) -> Check<Mode> {
    use cna::{conv_con1 as con1, conv_con2 as con2, conv_con3 as con3};
    let word = r.word(cna::CONV_CON1);
    let depthwise = match con1::CONV_MODE.get(word) {
        0 => false,
        3 => true,
        _ => {
            return Err(FaultKind::Undocumented {
                register: "CNA.CONV_MODE",
                value: word,
                why: "only 0 (direct) and 3 (depthwise) are known",
            });
        }
    };
    for field in [con1::IN_PRECISION, con1::PROC_PRECISION] {
        if Precision::from_code(field.get(word)) != Precision::Int8 {
            return Err(FaultKind::NotModelled(
                "convolution in other types than int8",
            ));
        }
    }
    documented(
        con1::DECONV.get(word) == 0,
        "CNA.CONV_CON1",
        word,
        "transposed convolution has never been used",
    )?;
    let packed = con1::NONALIGN_DMA.get(word) != 0;
    let argb = con1::ARGB_IN.get(word);
    documented(
        if packed {
            (8..=11).contains(&argb) && con1::GROUP_LINE_OFF.get(word) != 0 && !depthwise
        } else {
            argb == 0
        },
        "CNA.CONV_CON1",
        word,
        "packed pixels need ARGB_IN 8..11 with NONALIGN_DMA and GROUP_LINE_OFF, cubes ARGB_IN 0",
    )?;
    let word = r.word(cna::CONV_CON2);
    documented(
        word & !con2::FEATURE_GRAINS.mask() == 0,
        "CNA.CONV_CON2",
        word,
        "only FEATURE_GRAINS is ever set by a single core",
    )?;
    documented(
        con2::FEATURE_GRAINS.get(word)
            >= r.bits(cna::WEIGHT_SIZE2, cna::weight_size2::WEIGHT_HEIGHT),
        "CNA.FEATURE_GRAINS",
        word,
        "fewer rows than the kernel needs",
    )?;
    let word = r.word(cna::CONV_CON3);
    let others = con3::NN_MODE.mask() | con3::DECONV_X_STRIDE.mask() | con3::DECONV_Y_STRIDE.mask();
    documented(
        word & others == 0,
        "CNA.CONV_CON3",
        word,
        "co-work and transposed convolution are unknown",
    )?;
    for (register, name) in [
        (cna::FC_CON0, "CNA.FC_CON0"),
        (cna::FC_CON1, "CNA.FC_CON1"),
        (cna::FC_CON2, "CNA.FC_CON2"),
    ] {
        documented(
            r.word(register) == 0,
            name,
            r.word(register),
            "zero skipping is unknown",
        )?;
    }
    let word = r.word(core::MISC_CFG);
    let defined = core::misc_cfg::QD_EN.mask()
        | core::misc_cfg::DW_EN.mask()
        | core::misc_cfg::PROC_PRECISION.mask();
    documented(
        word & !defined == 0,
        "CORE.MISC_CFG",
        word,
        "gating is never set",
    )?;
    same(
        "CORE.PROC_PRECISION",
        core::misc_cfg::PROC_PRECISION.get(word),
        "CNA.PROC_PRECISION",
        con1::PROC_PRECISION.get(r.word(cna::CONV_CON1)),
    )?;
    same(
        "CORE.DW_EN",
        core::misc_cfg::DW_EN.get(word),
        "CNA depthwise",
        u32::from(depthwise),
    )?;
    Ok(Mode { depthwise, packed })
}

/// Weight decompression must be off.
fn raw_weights(r: &Registers<'_>) -> Check {
    let amounts = (0..16).map(|i| cna::DCOMP_AMOUNT0.offset + 4 * i);
    let compressed = amounts
        .filter_map(|offset| ferrite_hw::rk3588::Block::Cna.register(offset))
        .chain([&cna::DCOMP_CTRL, &cna::DCOMP_REGNUM])
        .any(|register| r.word(*register) != 0);
    if compressed {
        return Err(FaultKind::NotModelled("compressed weights"));
    }
    Ok(())
}
