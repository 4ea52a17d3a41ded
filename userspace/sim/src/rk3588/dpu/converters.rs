//! Registers of the element-wise stage and of the output converter.

use super::super::config::Config;
use super::super::fault::{Check, FaultKind, documented};
use super::super::state::Registers;
use super::decode::{Alu, Elementwise, EwOperand, OutCvt, Output, relu};
use ferrite_hw::Grade;
use ferrite_hw::rk3588::dpu;

/// Decodes the element-wise stage.
pub(super) fn elementwise(r: &Registers<'_>, config: &Config) -> Check<Elementwise> {
    use dpu::{ew_cfg as ew, ew_cvt_scale_value as cvt};
    let word = r.word(dpu::EW_CFG);
    if ew::EW_BYPASS.get(word) != 0 {
        return Ok(Elementwise::default());
    }
    if ew::EW_LUT_BYPASS.get(word) == 0 {
        return Err(FaultKind::NotModelled("tables on integers"));
    }
    let unseen = ew::EW_EQUAL_EN.mask() | ew::EW_BINARY_EN.mask() | ew::EW_MUL_PRELU.mask();
    documented(
        word & unseen == 0,
        "DPU.EW_CFG",
        word,
        "comparing and PRELU modes are not modelled",
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
    if ew::EW_OP_TYPE.get(word) != 0 {
        return Err(FaultKind::NotModelled(
            "element-wise multiplication of integers",
        ));
    }
    let (alu, known) = match ew::EW_ALU_ALGO.get(word) {
        0 => (Alu::Maximum, false),
        1 => (Alu::Minimum, false),
        2 => (Alu::Add, true),
        4 => (Alu::Subtract, false),
        _ => return Err(FaultKind::NotModelled("element-wise functions on integers")),
    };
    if !known {
        config.require(
            Grade::Inferred,
            "element-wise functions of integers other than add",
        )?;
    }
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
    Ok(Elementwise {
        operand: Some(operand),
        relu,
    })
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
