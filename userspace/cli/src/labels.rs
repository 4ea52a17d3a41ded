//! Class names, and the best classes of an output.

use crate::error::CliError;
use ferrite_ir::{DType, Tensor};
use ferrite_runtime::cpu::Value;
use std::path::Path;

/// Reads class names, one a line. Numbered lists (`17 hen`, `17: hen`) lose their numbers if every
/// line has its own.
pub fn read(path: &Path) -> Result<Vec<String>, CliError> {
    let text = std::fs::read_to_string(path).map_err(CliError::io(path))?;
    Ok(parse(&text))
}

fn parse(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let numbered: Option<Vec<String>> = lines
        .iter()
        .enumerate()
        .map(|(index, line)| {
            let rest = line.strip_prefix(&index.to_string())?;
            let name = rest.strip_prefix(':').unwrap_or(rest);
            let separated = name.starts_with(char::is_whitespace) || rest != name;
            separated.then(|| name.trim().to_owned())
        })
        .collect();
    numbered.unwrap_or_else(|| lines.into_iter().map(str::to_owned).collect())
}

/// One class of a classifier's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Class {
    /// Position in the output.
    pub index: usize,
    /// Real value of the output.
    pub score: f64,
}

/// Whether an output is a vector of class scores: one row, of real numbers. Without labels to prove
/// it, it must have no more dimensions than the batch and the classes.
pub fn is_classifier(tensor: &Tensor, labels: Option<&[String]>) -> bool {
    let scores = matches!(tensor.dtype, DType::F32 | DType::U8 | DType::I8)
        && (tensor.dtype == DType::F32 || tensor.quant.is_some());
    let classes = tensor.shape.last().copied().unwrap_or(0);
    let one_row = classes > 1 && tensor.elements() == classes;
    let named = labels.is_some_and(|l| l.len() == classes);
    scores && one_row && (tensor.shape.len() <= 2 || named)
}

/// The classes with the highest scores, best first, the lower index first among equals.
pub fn best(tensor: &Tensor, value: &Value, count: usize) -> Vec<Class> {
    let mut classes: Vec<Class> = real_values(tensor, value)
        .into_iter()
        .enumerate()
        .map(|(index, score)| Class { index, score })
        .collect();
    classes.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.index.cmp(&b.index)));
    classes.truncate(count);
    classes
}

/// Dequantised elements; plain ones as they are.
pub fn real_values(tensor: &Tensor, value: &Value) -> Vec<f64> {
    let raw = crate::arrays::from_value(value).to_f64();
    match &tensor.quant {
        Some(quant) if quant.is_per_tensor() && !quant.zero_points.is_empty() => {
            let (scale, zero) = (f64::from(quant.scales[0]), f64::from(quant.zero_points[0]));
            raw.into_iter().map(|v| scale * (v - zero)).collect()
        }
        _ => raw,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrite_ir::Quant;

    #[test]
    fn numbers_go_only_if_all_lines_have_them() {
        assert_eq!(parse("0 a b\n1: c\n"), ["a b", "c"]);
        assert_eq!(parse("0 a\n2 c\n"), ["0 a", "2 c"]);
        assert_eq!(
            parse("background\n10 things\n"),
            ["background", "10 things"]
        );
    }

    #[test]
    fn best_classes_are_dequantised_and_ordered() {
        let tensor = Tensor {
            name: "scores".to_owned(),
            shape: [1, 5].as_slice().into(),
            dtype: DType::I8,
            quant: Some(Quant::per_tensor(1.0 / 256.0, -128)),
            data: None,
            variable: false,
        };
        assert!(is_classifier(&tensor, None));
        let value = Value::from_slice::<i8>([1, 5], &[-128, 0, 64, 0, -127]).unwrap();
        let best = best(&tensor, &value, 3);
        let indices: Vec<usize> = best.iter().map(|c| c.index).collect();
        assert_eq!(indices, [2, 1, 3]);
        assert_eq!(best[0].score, 0.75);
    }
}
