//! What the outputs of networks for pictures mean: boxes, key points, or a class for each pixel.
//!
//! [`Head::of`] recognises a network's head by the shapes of its outputs, and by the operator that
//! makes them where that is one of a kind. [`Head::read`] turns the outputs of a run into an
//! [`Answer`]. Coordinates are fractions of the picture's width and height.

mod anchors;
#[cfg(test)]
mod cases;
mod detection;
mod outputs;
mod pose;
mod postprocess;
mod segmentation;
mod ssd;
mod yolo;

pub use detection::Detection;
pub use pose::{KeyPoint, NAMES, Pose, SKELETON};
pub use segmentation::{ClassMap, Share};

use ferrite_ir::Graph;
use ferrite_runtime::cpu::Value;
use outputs::Outputs;

/// What a network says about a picture.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Objects, best first.
    Detections(Vec<Detection>),
    /// Key points of people.
    Poses(Vec<Pose>),
    /// The class of each pixel.
    Classes(ClassMap),
}

/// A kind of head, with what is needed to read its outputs.
#[derive(Clone, Debug, PartialEq)]
pub enum Head {
    /// The custom operator TFLite_Detection_PostProcess.
    PostProcess(postprocess::PostProcess),
    /// Offsets and scores of SSD's anchors.
    Ssd(ssd::Ssd),
    /// Boxes of YOLO.
    Yolo(yolo::Yolo),
    /// Key points.
    Pose(pose::PoseHead),
    /// A class for each pixel, or scores of them.
    Segmentation(segmentation::Segmentation),
}

impl Head {
    /// The head of a network, `None` if it is of no kind that is known here. `named` tells whether
    /// there are names for a number of classes, which decides where shapes leave it open.
    pub fn of(graph: &Graph, named: &dyn Fn(usize) -> bool) -> Option<Head> {
        let outputs = outputs::shapes(graph);
        let picture = outputs::picture(graph);
        postprocess::PostProcess::of(graph)
            .map(Head::PostProcess)
            .or_else(|| ssd::Ssd::of(&outputs, picture?).map(Head::Ssd))
            .or_else(|| yolo::Yolo::of(&outputs, picture?, named).map(Head::Yolo))
            .or_else(|| pose::PoseHead::of(&outputs, picture?).map(Head::Pose))
            .or_else(|| {
                segmentation::Segmentation::of(graph, picture?, named).map(Head::Segmentation)
            })
    }

    /// What the head is called.
    pub fn name(&self) -> &'static str {
        match self {
            Head::PostProcess(_) => "detector (TFLite_Detection_PostProcess)",
            Head::Ssd(_) => "detector (SSD)",
            Head::Yolo(head) if head.has_poses() => "key points (YOLO)",
            Head::Yolo(_) => "detector (YOLO)",
            Head::Pose(_) => "key points",
            Head::Segmentation(_) => "segmentation",
        }
    }

    /// Number of classes, if the graph says it.
    pub fn classes(&self) -> Option<usize> {
        match self {
            Head::PostProcess(head) => Some(head.classes),
            Head::Ssd(head) => Some(head.classes),
            Head::Yolo(head) => head.classes(),
            Head::Pose(_) => None,
            Head::Segmentation(head) => head.classes(),
        }
    }

    /// Reads the outputs of a run. What scores less than `threshold` is left out.
    pub fn read(&self, graph: &Graph, values: &[Value], threshold: f32) -> Answer {
        let outputs = Outputs { graph, values };
        match self {
            Head::PostProcess(head) => Answer::Detections(head.read(&outputs, threshold)),
            Head::Ssd(head) => Answer::Detections(head.read(&outputs, threshold)),
            Head::Yolo(head) if head.has_poses() => Answer::Poses(head.poses(&outputs, threshold)),
            Head::Yolo(head) => Answer::Detections(head.read(&outputs, threshold)),
            Head::Pose(head) => Answer::Poses(head.read(&outputs)),
            Head::Segmentation(head) => Answer::Classes(head.read(&outputs)),
        }
    }
}
