//! Outputs of the custom operator TFLite_Detection_PostProcess: boxes, classes, scores and their
//! number, in whatever order the graph lists them.

use super::Detection;
use super::outputs::Outputs;
use ferrite_ir::Graph;
use ferrite_ir::op::OpKind;

/// Where the graph's outputs have the operator's results.
#[derive(Clone, Debug, PartialEq)]
pub struct PostProcess {
    boxes: usize,
    classes_of: usize,
    scores: usize,
    count: usize,
    /// Number of classes without the background.
    pub classes: usize,
}

impl PostProcess {
    pub fn of(graph: &Graph) -> Option<PostProcess> {
        graph.nodes().find_map(|node| {
            let OpKind::DetectionPostProcess(params) = &node.kind else {
                return None;
            };
            let place = |index: usize| {
                let id = node.outputs.get(index)?;
                graph.outputs.iter().position(|output| output == id)
            };
            Some(PostProcess {
                boxes: place(0)?,
                classes_of: place(1)?,
                scores: place(2)?,
                count: place(3)?,
                classes: params.num_classes,
            })
        })
    }

    pub fn read(&self, outputs: &Outputs<'_>, threshold: f32) -> Vec<Detection> {
        let boxes = outputs.reals(self.boxes);
        let classes = outputs.reals(self.classes_of);
        let scores = outputs.reals(self.scores);
        let count = outputs
            .reals(self.count)
            .first()
            .map_or(0, |&n| n.max(0.0) as usize);
        let boxes = boxes.as_chunks::<4>().0.iter();
        boxes
            .zip(classes)
            .zip(scores)
            .take(count)
            .filter(|(_, score)| *score >= threshold)
            .map(|((&edges, class), score)| Detection {
                class: class.max(0.0) as usize,
                score,
                edges,
            })
            .collect()
    }
}
