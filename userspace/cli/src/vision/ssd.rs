//! SSD without an operator for its end: offsets of the anchors, and a score for each class.

use super::anchors;
use super::detection::{Detection, suppress};
use super::outputs::{Outputs, largest, to_probabilities};
use ferrite_ir::op::Hw;

/// Where the outputs are, and what they hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Ssd {
    boxes: usize,
    scores: usize,
    pixels: usize,
    /// Number of classes without the background.
    pub classes: usize,
}

/// Offsets are stored times this: of the centre (y, x) and of the size's logarithm (h, w).
const SCALES: [f32; 4] = [10.0, 10.0, 5.0, 5.0];

impl Ssd {
    pub fn of(outputs: &[&[usize]], picture: Hw) -> Option<Ssd> {
        let [first, second] = *outputs else {
            return None;
        };
        let count = anchors::count(picture.w);
        // The background's scores come first.
        let classes = |boxes: &[usize], scores: &[usize]| match (boxes, scores) {
            (&[1, n, 4] | &[1, n, 1, 4], &[1, m, columns]) if n == count && m == count => {
                columns.checked_sub(1).filter(|&classes| classes > 0)
            }
            _ => None,
        };
        if picture.h != picture.w {
            return None;
        }
        let order = |boxes, scores, classes| Ssd {
            boxes,
            scores,
            pixels: picture.w,
            classes,
        };
        classes(first, second)
            .map(|classes| order(0, 1, classes))
            .or_else(|| classes(second, first).map(|classes| order(1, 0, classes)))
    }

    pub fn read(&self, outputs: &Outputs<'_>, threshold: f32) -> Vec<Detection> {
        let offsets = outputs.reals(self.boxes);
        let mut scores = outputs.reals(self.scores);
        to_probabilities(&mut scores);
        let anchors = anchors::ssd(self.pixels);
        let rows = scores.chunks_exact(self.classes + 1);
        let found = offsets.as_chunks::<4>().0.iter().zip(&anchors).zip(rows);
        let objects = found.filter_map(|((offset, anchor), row)| {
            let (class, score) = largest(row[1..].iter().copied())?;
            (score >= threshold).then(|| Detection::around(decode(offset, anchor), class, score))
        });
        suppress(objects.collect())
    }
}

/// The box that an anchor with its offsets stands for: y, x, h, w.
fn decode(offset: &[f32; 4], anchor: &[f32; 4]) -> [f32; 4] {
    let scaled = |i: usize| offset[i] / SCALES[i];
    let [y, x, h, w] = *anchor;
    [
        y + scaled(0) * h,
        x + scaled(1) * w,
        h * scaled(2).exp(),
        w * scaled(3).exp(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::cases::{case, read};
    use crate::vision::{Answer, Head};
    use ferrite_runtime::Session;
    use ferrite_runtime::session::cpu_only;
    use std::sync::Arc;

    #[test]
    fn offsets_move_and_stretch_their_anchors() {
        // Two heights down, none to the side, twice as high.
        let offset = [20.0, 0.0, 5.0 * 2f32.ln(), 0.0];
        let [y, x, h, w] = decode(&offset, &[0.5, 0.25, 0.1, 0.2]);
        assert!((y - 0.7).abs() < 1e-6 && x == 0.25 && (h - 0.2).abs() < 1e-6 && w == 0.2);
    }

    /// One anchor in the middle of the last map, which is the whole picture, shows a class.
    #[test]
    fn a_head_of_offsets_and_logits_becomes_boxes() {
        let count = anchors::count(300);
        let mut logits = vec![-9.0f32; 3 * count];
        let last = count - 6;
        logits[3 * last + 2] = 2.0;
        let offsets = vec![0f32; 4 * count];
        for swapped in [false, true] {
            let mut outputs = vec![
                (vec![1, count, 4], offsets.clone()),
                (vec![1, count, 3], logits.clone()),
            ];
            if swapped {
                outputs.reverse();
            }
            let case = case([300, 300], outputs);
            let (head, answer) = read(&case, None, 0.5);
            assert_eq!(head.as_ref().and_then(Head::classes), Some(2));
            let Some(Answer::Detections(found)) = answer else {
                panic!("{head:?}");
            };
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].class, 1);
            assert!((found[0].score - 0.880_797).abs() < 1e-5);
            let edges = [0.025, 0.025, 0.975, 0.975];
            let far = |(a, b): (f32, f32)| (a - b).abs() > 1e-5;
            assert!(!found[0].edges.into_iter().zip(edges).any(far), "{found:?}");
        }
    }

    /// What a published detector gives to its custom operator says the same without the operator.
    #[test]
    fn a_public_detector_without_its_last_operator_sees_the_same() {
        let Some(shared) = ferrite_testing::shared() else {
            return;
        };
        let folder = shared.join("models2");
        let name = "ssd_mobilenet_v1_quant_detect";
        let file = ferrite_testing::bytes(folder.join(format!("{name}.tflite")));
        let mut graph = ferrite_ir::tflite::read(&file).unwrap();
        let last = graph.op_ids().next_back().unwrap();
        graph.outputs = graph.node(last).inputs[..2]
            .iter()
            .flatten()
            .copied()
            .collect();
        let rest: Vec<_> = graph.op_ids().filter(|&op| op != last).collect();
        graph.keep_ops(&rest);

        let graph = Arc::new(graph);
        let executable = Arc::new(cpu_only(&graph));
        let mut session = Session::new(Arc::clone(&graph), executable, None).unwrap();
        let input = ferrite_testing::npy(folder.join("inputs/grace_hopper_300x300x3_uint8.npy"));
        let input = crate::arrays::to_value(&input, graph.tensor(graph.inputs[0])).unwrap();
        let values = session.run(&[input]).unwrap();

        let head = Head::of(&graph, &|_| false).unwrap();
        assert_eq!(head.classes(), Some(90));
        let Answer::Detections(found) = head.read(&graph, &values, 0.6) else {
            panic!("{head:?}");
        };
        let expected = |output: usize| {
            let file = folder.join(format!("expected/{name}.grace_hopper.{output}.npy"));
            ferrite_testing::npy(file).to_f64()
        };
        let (boxes, classes, scores) = (expected(0), expected(1), expected(2));
        let count = scores.iter().filter(|&&score| score >= 0.6).count();
        assert_eq!(found.len(), count);
        assert!(count >= 2, "{scores:?}");
        for (index, object) in found.iter().enumerate() {
            assert_eq!(object.class as f64, classes[index]);
            assert_eq!(f64::from(object.score), scores[index]);
            for (edge, expected) in object.edges.iter().zip(&boxes[4 * index..]) {
                // The operator's anchors are rounded to bytes.
                assert!((f64::from(*edge) - expected).abs() < 0.01, "{object:?}");
            }
        }
    }
}
