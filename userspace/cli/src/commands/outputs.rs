//! What `ferrite run` says about single outputs: the best classes, or how large the elements are.

use super::info::type_name;
use crate::arrays::{self, real_values};
use crate::labels::Labels;
use crate::ranking::{best, is_classifier};
use crate::table::{shape, table};
use ferrite_ir::{DType, Graph, TensorId};
use ferrite_runtime::cpu::Value as TensorValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Adds an output to the text, and returns it as JSON. A ranking of classes is made where `ranked`.
pub fn describe(
    graph: &Graph,
    id: TensorId,
    value: &TensorValue,
    labels: &Labels,
    ranked: bool,
    text: &mut String,
) -> Value {
    let tensor = graph.tensor(id);
    let mut json = json!({
        "name": tensor.name,
        "dtype": type_name(tensor),
        "shape": value.shape(),
    });
    if ranked && is_classifier(graph, id, &|classes| labels.are(classes)) {
        let names = labels.of(Some(value.elements()));
        let raw = arrays::from_value(value).to_f64();
        let classes = best(tensor, value, 5);
        let mut rows = Vec::new();
        let mut entries = Vec::new();
        for class in &classes {
            let name = names.get(class.index);
            rows.push(vec![
                format!("{:.4}", class.score),
                class.index.to_string(),
                name.cloned().unwrap_or_default(),
            ]);
            entries.push(json!({
                "index": class.index,
                "score": class.score,
                "raw": raw[class.index],
                "label": name,
            }));
        }
        *text += &table(&rows, &[0, 1]);
        json["top"] = entries.into();
        return json;
    }
    let real = real_values(tensor, value);
    let finite = || real.iter().copied().filter(|v| v.is_finite());
    let (min, max) = finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), v| {
        (min.min(v), max.max(v))
    });
    let mean = finite().sum::<f64>() / (finite().count().max(1) as f64);
    let _ = writeln!(
        text,
        "{}  {} {}  min {min:.6}, mean {mean:.6}, max {max:.6}",
        tensor.name,
        type_name(tensor),
        shape(value.shape()),
    );
    json["min"] = min.into();
    json["max"] = max.into();
    json["mean"] = mean.into();
    if matches!(tensor.dtype, DType::I32 | DType::I64) && value.elements() > 1 {
        json["most_frequent"] = most_frequent(&real, &labels.of(None));
    }
    json
}

/// The integers that appear most often.
fn most_frequent(values: &[f64], names: &[String]) -> Value {
    let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
    for &value in values {
        *counts.entry(value as i64).or_default() += 1;
    }
    let mut counts: Vec<(i64, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|&(value, count)| (std::cmp::Reverse(count), value));
    counts.truncate(5);
    let name = |value: i64| names.get(usize::try_from(value).ok()?);
    let entry = |&(value, count): &(i64, usize)| json!({ "value": value, "count": count, "label": name(value) });
    counts.iter().map(entry).collect::<Vec<_>>().into()
}
