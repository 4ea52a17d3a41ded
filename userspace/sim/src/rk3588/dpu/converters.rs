//! Registers of the element-wise stage and of the output converter.

use super::super::config::Config;
use super::super::fault::{Check, FaultKind, documented};
use super::super::state::Registers;
use super::decode::{Alu, Elementwise, EwOperand, Feed, OutCvt, Output, relu};
use ferrite_hw::Grade;
use ferrite_hw::rk3588::codes::elementwise as known;
use ferrite_hw::rk3588::dpu;
use ferrite_hw::rk3588::parameters::RK3588;

/// Decodes the element-wise stage.
pub(super) fn elementwise(r: &Registers<'_>, config: &Config, feed: Feed) -> Check<Elementwise> {
    use dpu::{ew_cfg as ew, ew_cvt_scale_value as cvt};
    let word = r.word(dpu::EW_CFG);
    if ew::EW_BYPASS.get(word) != 0 {
        return Ok(Elementwise::default());
    }
    let unseen = ew::EW_BINARY_EN.mask() | ew::EW_MUL_PRELU.mask();
    documented(
        word & unseen == 0,
        "DPU.EW_CFG",
        word,
        "binary results and PRELU modes are not modelled",
    )?;
    let relu = relu(
        config,
        ew::EW_RELU_BYPASS.get(word) != 0,
        ew::EW_RELUX_EN.get(word) != 0,
        r.word(dpu::EW_RELUX_CMP_VALUE),
    )?;
    if ew::EW_OP_BYPASS.get(word) != 0 {
        return Ok(Elementwise {
            operand: None,
            relu,
        });
    }
    if ew::EW_OP_SRC.get(word) == 0 {
        return Err(FaultKind::NotModelled("element-wise register operands"));
    }
    if ew::EW_DATA_MODE.get(word) != 1 {
        return Err(FaultKind::NotModelled(
            "element-wise operands that are not per pixel",
        ));
    }
    let alu = function(r, config, feed)?;
    let bytes = match ew::EDATA_SIZE.get(word) {
        1 => 1,
        3 => 4,
        _ => {
            return Err(FaultKind::NotModelled(
                "element-wise operands of 4 or 16 bits",
            ));
        }
    };
    let scale = r.word(dpu::EW_CVT_SCALE_VALUE);
    let operand = if ew::EW_OP_CVT_BYPASS.get(word) != 0 {
        if bytes == 1 {
            config.require(Grade::Inferred, "8-bit operands that bypass the converter")?;
        }
        EwOperand {
            alu,
            bytes,
            add_first: false,
            offset: 0,
            scale: 1,
            shift: 0,
        }
    } else {
        documented(
            ew::EW_CVT_ROUND.get(word) == 0,
            "DPU.EW_CFG",
            word,
            "only rounding to nearest even has been used",
        )?;
        let add_first = ew::EW_CVT_TYPE.get(word) != 0;
        if !add_first && r.word(dpu::EW_CVT_OFFSET_VALUE) != 0 {
            config.require(Grade::Inferred, "operand converter that multiplies first")?;
        }
        EwOperand {
            alu,
            bytes,
            add_first,
            offset: r.word(dpu::EW_CVT_OFFSET_VALUE) as i32,
            scale: cvt::EW_OP_CVT_SCALE.value(scale) as i16,
            shift: cvt::EW_OP_CVT_SHIFT.get(scale),
        }
    };
    if alu == Alu::Multiply {
        check_factor(&operand)?;
    }
    Ok(Elementwise {
        operand: Some(operand),
        relu,
    })
}

/// What the stage makes of both operands. Measured on cubes of 8 and 32 bits; behind a convolution only
/// additions were.
fn function(r: &Registers<'_>, config: &Config, feed: Feed) -> Check<Alu> {
    use dpu::ew_cfg as ew;
    let word = r.word(dpu::EW_CFG);
    let (algorithm, equal) = (ew::EW_ALU_ALGO.get(word), ew::EW_EQUAL_EN.get(word) != 0);
    let alu = match (ew::EW_OP_TYPE.get(word), algorithm) {
        (0, known::MAXIMUM) => Alu::Maximum,
        (0, known::MINIMUM) => Alu::Minimum,
        (0, known::ADD) => Alu::Add,
        (0, known::SUBTRACT) => Alu::Subtract,
        (1, 0) => Alu::Multiply,
        (1, _) => {
            return Err(FaultKind::Undocumented {
                register: "DPU.EW_CFG",
                value: word,
                why: "products have always had 0 as EW_ALU_ALGO",
            });
        }
        _ => return Err(FaultKind::NotModelled("element-wise functions on integers")),
    };
    documented(
        equal == matches!(alu, Alu::Maximum | Alu::Minimum),
        "DPU.EW_CFG",
        word,
        "EW_EQUAL_EN has been set for the larger and the smaller of two values, and only for these",
    )?;
    let (above, below) = (
        dpu::ew_cvt_scale_value::EW_TRUNCATE.get(r.word(dpu::EW_CVT_SCALE_VALUE)),
        dpu::data_format::EW_TRUNCATE_NEG.get(r.word(dpu::DATA_FORMAT)),
    );
    documented(
        alu != Alu::Multiply || (above, below) == (0, 0),
        "DPU.EW_TRUNCATE",
        above.max(below),
        "products have never been shifted",
    )?;
    if alu != Alu::Add && feed != Feed::Flying {
        config.require(
            Grade::Inferred,
            "element-wise functions of convolutions other than add",
        )?;
    }
    Ok(alu)
}

/// A factor of 8 bits must still have no more than 16 behind its converter: what becomes of others was
/// seen with 32-bit cubes only.
fn check_factor(operand: &EwOperand) -> Check {
    if operand.bytes != 1 {
        return Ok(());
    }
    let reach = 128 + i64::from(operand.offset).abs();
    let scaled = reach.saturating_mul(i64::from(operand.scale).abs()) >> operand.shift;
    if scaled < 1 << (RK3588.multiplicand_bits - 1) {
        return Ok(());
    }
    Err(FaultKind::NotModelled(
        "products of 8-bit values with converted ones of more than 16 bits",
    ))
}

/// Decodes the output converter.
pub(super) fn out_cvt(r: &Registers<'_>, config: &Config, output: Output) -> Check<OutCvt> {
    use dpu::{out_cvt_scale as scale, out_cvt_shift as shift};
    let (scale_word, shift_word) = (r.word(dpu::OUT_CVT_SCALE), r.word(dpu::OUT_CVT_SHIFT));
    let cvt = OutCvt {
        offset: r.word(dpu::OUT_CVT_OFFSET) as i32,
        scale: scale::OUT_CVT_SCALE.get(scale_word) as u16,
        shift: shift::OUT_CVT_SHIFT.get(shift_word),
        add_first: shift::CVT_TYPE.get(shift_word) != 0,
    };
    documented(
        scale::FP32TOFP16_EN.get(scale_word) == 0,
        "DPU.OUT_CVT_SCALE",
        scale_word,
        "narrowing to fp16 of integers",
    )?;
    documented(
        cvt.scale < 0x8000,
        "DPU.OUT_CVT_SCALE",
        scale_word,
        "whether bit 15 is a sign is unknown",
    )?;
    documented(
        shift::MINUS_EXP.get(shift_word) == 0,
        "DPU.OUT_CVT_SHIFT",
        shift_word,
        "MINUS_EXP is about fp16",
    )?;
    documented(
        shift::CVT_ROUND.get(shift_word) == 0,
        "DPU.OUT_CVT_SHIFT",
        shift_word,
        "only rounding to nearest even has been used",
    )?;
    if cvt.add_first {
        config.require(Grade::Inferred, "integer output converter that adds first")?;
    }
    if output == Output::Fp32 && cvt.offset != 0 {
        config.require(Grade::Inferred, "offset of an fp32 output")?;
    }
    Ok(cvt)
}
