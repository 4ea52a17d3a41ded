//! TFLite_Detection_PostProcess: decodes boxes against anchors and suppresses overlapping ones.

use super::context::{Affine, Context};
use super::{KernelError, Value};
use ferrite_ir::DType;
use ferrite_ir::op::DetectionParams;

/// Corners: ymin, xmin, ymax, xmax.
type Corners = [f32; 4];

/// Detections that a run may report.
const MAX_DETECTIONS: usize = 1 << 20;

pub(super) fn run(ctx: &Context<'_>, params: &DetectionParams) -> Result<Vec<Value>, KernelError> {
    let input = Inputs::new(ctx, params)?;
    let boxes = input.decode(params);
    let picked = if params.use_regular_nms {
        input.suppress_by_class(params, &boxes)?
    } else {
        input.suppress_by_anchor(params, &boxes)?
    };
    let per_anchor = params.max_classes_per_detection.max(1);
    let slots = params
        .max_detections
        .checked_mul(per_anchor)
        .filter(|&n| n <= MAX_DETECTIONS)
        .ok_or(KernelError::Parameter {
            what: "the number of detections",
            value: params.max_detections as i64,
        })?;
    let mut places = vec![0f32; slots * 4];
    let mut classes = vec![0f32; slots];
    let mut scores = vec![0f32; slots];
    for (slot, found) in picked
        .found
        .iter()
        .filter(|(s, _)| *s < slots)
        .map(|f| (f.0, &f.1))
    {
        places[slot * 4..][..4].copy_from_slice(&boxes[found.anchor]);
        classes[slot] = found.class as f32;
        scores[slot] = found.score;
    }
    Ok(vec![
        Value::from_slice([1, slots, 4], &places)?,
        Value::from_slice([1, slots], &classes)?,
        Value::from_slice([1, slots], &scores)?,
        Value::from_slice([1], &[picked.count as f32])?,
    ])
}

struct Found {
    anchor: usize,
    class: usize,
    score: f32,
}

/// Detections with the output slots they go to, and the number to report.
struct Picked {
    found: Vec<(usize, Found)>,
    count: usize,
}

struct Inputs {
    /// y, x, h, w of each box, relative to its anchor.
    encodings: Vec<[f32; 4]>,
    anchors: Vec<[f32; 4]>,
    /// `classes` scores for each box, without the background's.
    scores: Vec<Vec<f32>>,
}

impl Inputs {
    fn new(ctx: &Context<'_>, params: &DetectionParams) -> Result<Inputs, KernelError> {
        let shapes: Vec<Vec<usize>> = (0..3)
            .map(|i| ctx.input(i).map(|v| v.shape().to_vec()))
            .collect::<Result<_, _>>()?;
        let bad = || KernelError::Shape {
            what: "boxes [1, n, 4 or more], scores [1, n, classes] and anchors [n, 4]",
            shapes: shapes.clone(),
        };
        let (&[1, boxes, coordinates], &[1, rows, columns], &[anchors, 4]) =
            (&shapes[0][..], &shapes[1][..], &shapes[2][..])
        else {
            return Err(bad());
        };
        // A background class may come first.
        let background = columns.checked_sub(params.num_classes).filter(|&b| b <= 1);
        let background = background.ok_or_else(bad)?;
        if coordinates < 4 || rows != boxes || anchors < boxes || params.num_classes == 0 {
            return Err(bad());
        }
        let four = |values: Vec<f32>, width: usize| -> Vec<[f32; 4]> {
            let rows = values.chunks_exact(width).take(boxes);
            rows.map(|r| [r[0], r[1], r[2], r[3]]).collect()
        };
        let scores = real_values(ctx, 1, |q, v| {
            (f64::from(q.scale) * f64::from(v - q.zero_point)) as f32
        })?;
        let scale = |q: Affine, v: i32| (v as f32 - q.zero_point as f32) * q.scale;
        Ok(Inputs {
            encodings: four(real_values(ctx, 0, scale)?, coordinates),
            anchors: four(real_values(ctx, 2, scale)?, 4),
            scores: scores
                .chunks_exact(columns)
                .map(|row| row[background..].to_vec())
                .collect(),
        })
    }

    fn decode(&self, params: &DetectionParams) -> Vec<Corners> {
        let [sy, sx, sh, sw] = params.scales.map(f64::from);
        let pairs = self.encodings.iter().zip(&self.anchors);
        pairs
            .map(|(e, a)| {
                let ([y, x, h, w], [ay, ax, ah, aw]) = (e.map(f64::from), a.map(f64::from));
                let cy = (y / sy * ah + ay) as f32;
                let cx = (x / sx * aw + ax) as f32;
                let half_h = (0.5 * (h / sh).exp() * ah) as f32;
                let half_w = (0.5 * (w / sw).exp() * aw) as f32;
                [cy - half_h, cx - half_w, cy + half_h, cx + half_w]
            })
            .collect()
    }

    /// The fast rule: each anchor competes once, with its best class.
    fn suppress_by_anchor(
        &self,
        params: &DetectionParams,
        boxes: &[Corners],
    ) -> Result<Picked, KernelError> {
        let kept = params.max_classes_per_detection.min(params.num_classes);
        if kept == 0 {
            return Err(KernelError::Parameter {
                what: "the classes for each detection",
                value: 0,
            });
        }
        let ranked: Vec<Vec<usize>> = self.scores.iter().map(|s| decreasing(s)).collect();
        let best: Vec<f32> = ranked
            .iter()
            .zip(&self.scores)
            .map(|(order, scores)| scores[order[0]])
            .collect();
        let selected = suppress(params, boxes, &best, params.max_detections)?;
        let mut found = Vec::new();
        for (place, &anchor) in selected.iter().enumerate() {
            for (column, &class) in ranked[anchor][..kept].iter().enumerate() {
                found.push((
                    params.max_classes_per_detection * place + column,
                    Found {
                        anchor,
                        class,
                        score: self.scores[anchor][class],
                    },
                ));
            }
        }
        Ok(Picked {
            found,
            count: selected.len(),
        })
    }

    /// The regular rule: suppression within each class, then the best of all.
    fn suppress_by_class(
        &self,
        params: &DetectionParams,
        boxes: &[Corners],
    ) -> Result<Picked, KernelError> {
        let limit = params.detections_per_class.min(params.max_detections);
        let mut all: Vec<Found> = Vec::new();
        for class in 0..params.num_classes {
            let scores: Vec<f32> = self.scores.iter().map(|s| s[class]).collect();
            for anchor in suppress(params, boxes, &scores, limit)? {
                all.push(Found {
                    anchor,
                    class,
                    score: scores[anchor],
                });
            }
            // Stable: earlier classes stay in front among equals.
            all.sort_by(|a, b| b.score.total_cmp(&a.score));
            all.truncate(params.max_detections);
        }
        let count = all.len();
        Ok(Picked {
            found: all.into_iter().enumerate().collect(),
            count,
        })
    }
}

/// An operand as real numbers: floats as they are, uint8 through `scale`.
fn real_values(
    ctx: &Context<'_>,
    index: usize,
    scale: impl Fn(Affine, i32) -> f32,
) -> Result<Vec<f32>, KernelError> {
    let x = ctx.input(index)?;
    if x.dtype() == DType::F32 {
        return Ok(x.view::<f32>()?.to_vec());
    }
    let q = ctx.input_affine(index)?;
    let values = x.view::<u8>()?.iter();
    Ok(values.map(|&v| scale(q, v.into())).collect())
}

/// Indices in order of decreasing value, earlier ones first among equals.
fn decreasing(values: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    order
}

/// Greedy suppression: the anchors that stay, best first.
fn suppress(
    params: &DetectionParams,
    boxes: &[Corners],
    scores: &[f32],
    limit: usize,
) -> Result<Vec<usize>, KernelError> {
    let threshold = params.nms_iou_threshold;
    if !(threshold > 0.0 && threshold <= 1.0) {
        return Err(KernelError::Parameter {
            what: "the overlap threshold in percent",
            value: (threshold * 100.0) as i64,
        });
    }
    if boxes.iter().any(|b| b[0] > b[2] || b[1] > b[3]) {
        return Err(KernelError::Parameter {
            what: "the extent of a box",
            value: -1,
        });
    }
    let above: Vec<usize> = (0..scores.len())
        .filter(|&i| scores[i] >= params.nms_score_threshold)
        .collect();
    let kept: Vec<f32> = above.iter().map(|&i| scores[i]).collect();
    let order: Vec<usize> = decreasing(&kept).into_iter().map(|i| above[i]).collect();
    let mut active = vec![true; order.len()];
    let mut selected = Vec::new();
    for i in 0..order.len() {
        if selected.len() >= limit {
            break;
        }
        if !active[i] {
            continue;
        }
        selected.push(order[i]);
        for j in i + 1..order.len() {
            if active[j] && overlap(&boxes[order[i]], &boxes[order[j]]) > threshold {
                active[j] = false;
            }
        }
    }
    Ok(selected)
}

/// Intersection over union; zero for empty boxes.
fn overlap(a: &Corners, b: &Corners) -> f32 {
    let area = |c: &Corners| (c[2] - c[0]) * (c[3] - c[1]);
    let (area_a, area_b) = (area(a), area(b));
    if area_a <= 0.0 || area_b <= 0.0 {
        return 0.0;
    }
    let height = (a[2].min(b[2]) - a[0].max(b[0])).max(0.0);
    let width = (a[3].min(b[3]) - a[1].max(b[1])).max(0.0);
    let common = height * width;
    common / (area_a + area_b - common)
}
