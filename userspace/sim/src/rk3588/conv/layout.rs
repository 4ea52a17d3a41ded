//! How a task's features lie in memory, and how packed pixels are converted.

use super::super::config::Config;
use super::super::fault::{Check, aligned, documented, same};
use super::super::state::Registers;
use ferrite_hw::Grade;
use ferrite_hw::rk3588::cna;

/// How features lie in memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum FeatureLayout {
    /// Cube of atoms; pitches in atoms.
    Cube {
        /// From row to row.
        line: i64,
        /// From surface to surface.
        surface: i64,
    },
    /// 1 to 4 interleaved channels per pixel, converted on entry.
    Packed {
        /// Bytes of a pixel.
        channels: u32,
        /// Pixels from row to row.
        pitch: i64,
        /// Pixels that the DMA fetches of a row.
        dma_width: u32,
        /// The input converter.
        converter: Converter,
    },
}

/// The input converter of packed pixels, per lane class (channel mod 4).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Converter {
    /// Input bytes are signed.
    pub signed: bool,
    /// Values pass unchanged.
    pub bypass: bool,
    /// Multiplier, offset and right shift of each class.
    pub lanes: [(i64, i64, u32); 4],
}

/// Strides of the feature DMA, in atoms or packed pixels.
pub(super) fn layout(
    r: &Registers<'_>,
    config: &Config,
    packed: bool,
    width: u32,
    channels_real: u32,
    channels: u32,
) -> Check<FeatureLayout> {
    use cna::{conv_con1 as con1, fc_data_size0 as dma};
    documented(
        r.word(cna::DMA_CON0) == 0x000f_000f,
        "CNA.DMA_CON0",
        r.word(cna::DMA_CON0),
        "everybody writes 0x000f000f",
    )?;
    same(
        "CNA.DMA_HEIGHT",
        r.value(cna::FC_DATA_SIZE0, dma::DMA_HEIGHT),
        "CNA.DATAIN_HEIGHT",
        r.value(cna::DATA_SIZE0, cna::data_size0::DATAIN_HEIGHT),
    )?;
    same(
        "CNA.DMA_CHANNEL",
        r.value(cna::FC_DATA_SIZE1, cna::fc_data_size1::DMA_CHANNEL),
        "CNA.DATAIN_CHANNEL",
        channels,
    )?;
    let dma_width = r.bits(cna::FC_DATA_SIZE0, dma::DMA_WIDTH);
    let line = r.value(cna::DMA_CON1, cna::dma_con1::LINE_STRIDE);
    let surface = r.value(cna::DMA_CON2, cna::dma_con2::SURF_STRIDE);
    if packed {
        let lanes = r.bits(cna::CONV_CON1, con1::ARGB_IN) - 7;
        same(
            "CNA.ARGB_IN - 7",
            lanes,
            "CNA.DATAIN_CHANNEL_REAL",
            channels_real,
        )?;
        documented(
            dma_width >= 1 && dma_width <= width,
            "CNA.DMA_WIDTH",
            dma_width,
            "wider than DATAIN_WIDTH",
        )?;
        return Ok(FeatureLayout::Packed {
            channels: lanes,
            pitch: line,
            dma_width,
            converter: converter(r, config)?,
        });
    }
    documented(
        r.flag(cna::CVT_CON0, cna::cvt_con0::CVT_BYPASS) && r.word(cna::CVT_CON5) == 0,
        "CNA.CVT_CON0",
        r.word(cna::CVT_CON0),
        "the input converter has only been used with packed pixels",
    )?;
    same("CNA.DMA_WIDTH", dma_width, "CNA.DATAIN_WIDTH", width)?;
    aligned(
        "CNA.FEATURE_DATA_ADDR",
        r.word(cna::FEATURE_DATA_ADDR),
        config.atom()?,
    )?;
    let rows = if r.flag(cna::CONV_CON1, con1::GROUP_LINE_OFF) {
        1
    } else {
        4
    };
    documented(
        line % rows == 0,
        "CNA.LINE_STRIDE",
        line as u32,
        "rows are fetched in groups of four",
    )?;
    let line = line / rows;
    // Both readings of the strides agree when the task covers whole rows.
    let surface = if line == i64::from(width) || surface == 0 {
        surface + i64::from(width) * rows
    } else {
        config.require(
            Grade::Inferred,
            "a feature row pitch larger than the task's width",
        )?;
        surface + line * rows
    };
    Ok(FeatureLayout::Cube { line, surface })
}

/// The input converter of packed pixels.
fn converter(r: &Registers<'_>, config: &Config) -> Check<Converter> {
    use cna::cvt_con0 as cvt;
    let word = r.word(cna::CVT_CON0);
    let bypass = cvt::CVT_BYPASS.get(word) != 0;
    if !bypass {
        documented(
            cvt::CVT_TYPE.get(word) == 0 && cvt::ROUND_TYPE.get(word) == 0,
            "CNA.CVT_CON0",
            word,
            "only multiply-then-add with rounding to nearest even has been used",
        )?;
        documented(
            r.word(cna::CVT_CON5) == 0xffff,
            "CNA.CVT_CON5",
            r.word(cna::CVT_CON5),
            "only seen with all 16 lanes enabled",
        )?;
    }
    let truncates = [
        cvt::CVT_TRUNCATE_0,
        cvt::CVT_TRUNCATE_1,
        cvt::CVT_TRUNCATE_2,
        cvt::CVT_TRUNCATE_3,
    ];
    let scales = [cna::CVT_CON1, cna::CVT_CON2, cna::CVT_CON3, cna::CVT_CON4];
    let lanes = std::array::from_fn(|i| {
        let lane = r.word(scales[i]);
        (
            i64::from((lane >> 16) as u16),
            i64::from(lane as u16 as i16),
            truncates[i].get(word),
        )
    });
    if r.bits(cna::CONV_CON1, cna::conv_con1::ARGB_IN) != 8 {
        config.require(
            Grade::Inferred,
            "packed int8 pixels of more than one channel",
        )?;
    }
    Ok(Converter {
        signed: cvt::DATA_SIGN.get(word) != 0,
        bypass,
        lanes,
    })
}
