//! A class for each pixel, as DeepLab and U-Net say it: as numbers, or as scores of all classes.

use super::outputs::{Outputs, is_integer, largest};
use ferrite_ir::op::{Hw, OpKind};
use ferrite_ir::{Graph, TensorId};
use std::collections::BTreeMap;

/// The classes of pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassMap {
    /// Height and width.
    pub size: Hw,
    /// Row by row.
    pub classes: Vec<usize>,
}

/// How much of a picture shows a class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// Number of the class.
    pub class: usize,
    /// Fraction of the pixels.
    pub fraction: f64,
}

impl ClassMap {
    /// The classes that there are, the largest first.
    pub fn shares(&self) -> Vec<Share> {
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        for &class in &self.classes {
            *counts.entry(class).or_default() += 1;
        }
        let mut counts: Vec<(usize, usize)> = counts.into_iter().collect();
        counts.sort_by_key(|&(class, count)| (std::cmp::Reverse(count), class));
        let share = |(class, count)| Share {
            class,
            fraction: count as f64 / self.classes.len() as f64,
        };
        counts.into_iter().map(share).collect()
    }
}

/// How the classes are told.
#[derive(Clone, Debug, PartialEq)]
pub struct Segmentation {
    size: Hw,
    /// Scores for each pixel; `None`: the number of its class.
    scores: Option<usize>,
}

/// Classes that a map of features, which are no classes, has more of.
const MOST_CLASSES: usize = 256;
/// With fewer channels a map may as well be a picture.
const PICTURE_CHANNELS: usize = 3;
/// A map of classes is at most this much smaller than the picture, in each direction.
const SMALLEST: usize = 8;

impl Segmentation {
    pub fn of(graph: &Graph, picture: Hw, named: &dyn Fn(usize) -> bool) -> Option<Segmentation> {
        let &[output] = &graph.outputs[..] else {
            return None;
        };
        let tensor = graph.tensor(output);
        let near = |h: usize, w: usize| h * SMALLEST >= picture.h && w * SMALLEST >= picture.w;
        match tensor.shape[..] {
            [1, h, w] | [1, h, w, 1] if is_integer(tensor) && near(h, w) => Some(Segmentation {
                size: Hw { h, w },
                scores: None,
            }),
            [1, h, w, classes @ 2..=MOST_CLASSES] if near(h, w) && !is_integer(tensor) => {
                let scores =
                    classes > PICTURE_CHANNELS || named(classes) || is_softmax(graph, output);
                scores.then_some(Segmentation {
                    size: Hw { h, w },
                    scores: Some(classes),
                })
            }
            _ => None,
        }
    }

    pub fn classes(&self) -> Option<usize> {
        self.scores
    }

    pub fn read(&self, outputs: &Outputs<'_>) -> ClassMap {
        let values = outputs.reals(0);
        let classes = match self.scores {
            None => values.iter().map(|&v| v.max(0.0) as usize).collect(),
            Some(classes) => values
                .chunks_exact(classes)
                .map(|scores| largest(scores.iter().copied()).map_or(0, |(class, _)| class))
                .collect(),
        };
        ClassMap {
            size: self.size,
            classes,
        }
    }
}

/// Whether a tensor is the result of SOFTMAX, perhaps of another type.
fn is_softmax(graph: &Graph, mut id: TensorId) -> bool {
    let uses = graph.uses();
    while let Some(op) = uses.producer(id) {
        let node = graph.node(op);
        match (&node.kind, node.inputs.first()) {
            (OpKind::Softmax { .. }, _) => return true,
            (OpKind::Quantize | OpKind::Dequantize, Some(&Some(input))) => id = input,
            _ => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::cases::{case, read};
    use crate::vision::{Answer, Head};

    fn classes(values: Vec<f32>, depth: usize, names: Option<usize>) -> Option<Vec<usize>> {
        let case = case([2, 2], vec![(vec![1, 2, 2, depth], values)]);
        match read(&case, names, 0.4) {
            (_, Some(Answer::Classes(map))) => {
                assert_eq!(map.size, Hw { h: 2, w: 2 });
                Some(map.classes)
            }
            (head, _) => {
                assert_eq!(head, None);
                None
            }
        }
    }

    #[test]
    fn the_class_of_a_pixel_has_the_largest_score() {
        let mut scores = vec![0.0; 4 * 5];
        for (pixel, class) in [4, 0, 3, 1].into_iter().enumerate() {
            scores[5 * pixel + class] = 1.0;
        }
        assert_eq!(classes(scores, 5, None), Some(vec![4, 0, 3, 1]));
    }

    #[test]
    fn few_channels_are_a_picture_unless_they_have_names() {
        let values = vec![0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.5, 0.0];
        assert_eq!(classes(values.clone(), 2, None), None);
        assert_eq!(classes(values, 2, Some(2)), Some(vec![1, 0, 1, 0]));
    }

    #[test]
    fn a_public_network_s_classes_are_numbers() {
        let Some(shared) = ferrite_testing::shared() else {
            return;
        };
        let file = shared.join("models/deeplabv3_mnv2_dm05_pascal_quant.tflite");
        let graph = ferrite_ir::tflite::read(&ferrite_testing::bytes(file)).unwrap();
        let head = Head::of(&graph, &|_| false);
        let Some(Head::Segmentation(head)) = head else {
            panic!("{head:?}");
        };
        let size = Hw { h: 513, w: 513 };
        assert_eq!((head.size, head.scores), (size, None));
    }
}
