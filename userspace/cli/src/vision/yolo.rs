//! Boxes of the YOLO family, whose exports end in one tensor.
//!
//! | networks | shape | a box |
//! |---|---|---|
//! | YOLOv5, v7 | `[1, 3 * cells, 5 + classes]` | centre, size, objectness, scores |
//! | YOLOv8, v9, 11 | `[1, 4 + classes, cells]`, also transposed | centre, size, scores |
//! | YOLOv10, 26 | `[1, boxes, 6]` | corners, score, class |
//! | YOLOv8, 11 for poses | `[1, 56, cells]`, also transposed | centre, size, score, 17 points with scores |
//!
//! `cells` are those of the maps with strides 8, 16 and 32. Coordinates are in pixels or, in
//! exports of TFLite models, fractions of the picture.

use super::detection::{Detection, suppress, suppress_with};
use super::outputs::{Outputs, largest};
use super::pose::{KeyPoint, POINTS, Pose};
use ferrite_ir::op::Hw;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// With objectness.
    V5 { classes: usize },
    /// Without; `transposed`: one box's numbers lie together.
    V8 { classes: usize, transposed: bool },
    /// Suppressed by the network itself.
    EndToEnd,
    /// People with their key points.
    Poses { transposed: bool },
}

/// A tensor of boxes.
#[derive(Clone, Debug, PartialEq)]
pub struct Yolo {
    kind: Kind,
    picture: Hw,
}

/// Boxes that a network with suppression of its own gives at most.
const END_TO_END_MOST: usize = 1000;

/// Numbers of a person: a box, a score, and x, y and score of each point.
const PERSON: usize = 5 + 3 * POINTS;

impl Yolo {
    pub fn of(outputs: &[&[usize]], picture: Hw, named: &dyn Fn(usize) -> bool) -> Option<Yolo> {
        let [&[1, rows, columns]] = *outputs else {
            return None;
        };
        let map = |stride: usize| picture.h.div_ceil(stride) * picture.w.div_ceil(stride);
        let cells = map(8) + map(16) + map(32);
        let kind = if rows == 3 * cells && columns > 5 {
            Kind::V5 {
                classes: columns - 5,
            }
        } else if [[rows, columns], [columns, rows]].contains(&[PERSON, cells])
            && !named(PERSON - 4)
        {
            Kind::Poses {
                transposed: rows == cells,
            }
        } else if columns == cells && rows > 4 {
            Kind::V8 {
                classes: rows - 4,
                transposed: false,
            }
        } else if rows == cells && columns > 4 {
            Kind::V8 {
                classes: columns - 4,
                transposed: true,
            }
        } else if columns == 6 && rows <= END_TO_END_MOST {
            Kind::EndToEnd
        } else {
            return None;
        };
        Some(Yolo { kind, picture })
    }

    pub fn classes(&self) -> Option<usize> {
        match self.kind {
            Kind::V5 { classes } | Kind::V8 { classes, .. } => Some(classes),
            Kind::EndToEnd | Kind::Poses { .. } => None,
        }
    }

    /// Whether these are people with key points.
    pub fn has_poses(&self) -> bool {
        matches!(self.kind, Kind::Poses { .. })
    }

    /// The people, best first.
    pub fn poses(&self, outputs: &Outputs<'_>, threshold: f32) -> Vec<Pose> {
        let values = outputs.reals(0);
        let rows = match self.kind {
            Kind::Poses { transposed: false } => columns(&values, PERSON),
            _ => rows(&values, PERSON),
        };
        let unit = self.unit(rows.iter().map(|row| row[0].max(row[1])));
        let people = rows.iter().filter(|row| row[4] >= threshold).map(|row| {
            let person = Detection::around([row[1], row[0], row[3], row[2]], 0, row[4]);
            let point = |&[x, y, score]: &[f32; 3]| KeyPoint {
                y: y / unit[1],
                x: x / unit[0],
                score,
            };
            let points = row[5..].as_chunks::<3>().0.iter().map(point).collect();
            (person, Pose { points })
        });
        let kept = suppress_with(people.collect()).into_iter();
        kept.map(|(_, pose)| pose).collect()
    }

    pub fn read(&self, outputs: &Outputs<'_>, threshold: f32) -> Vec<Detection> {
        let values = outputs.reals(0);
        let (rows, objectness) = match self.kind {
            Kind::V5 { classes } => (rows(&values, 5 + classes), true),
            Kind::V8 {
                classes,
                transposed: true,
            } => (rows(&values, 4 + classes), false),
            Kind::V8 { classes, .. } => (columns(&values, 4 + classes), false),
            Kind::EndToEnd => return self.end_to_end(&values, threshold),
            Kind::Poses { .. } => return Vec::new(),
        };
        let unit = self.unit(rows.iter().map(|row| row[0].max(row[1])));
        let found = rows.iter().filter_map(|row| {
            let (certainty, scores) = match objectness {
                true => (row[4], &row[5..]),
                false => (1.0, &row[4..]),
            };
            let (class, score) = largest(scores.iter().copied())?;
            let score = certainty * score;
            let [x, y, w, h] = [0, 1, 2, 3].map(|at| row[at] / unit[at % 2]);
            (score >= threshold).then(|| Detection::around([y, x, h, w], class, score))
        });
        suppress(found.collect())
    }

    fn end_to_end(&self, values: &[f32], threshold: f32) -> Vec<Detection> {
        let rows = values.as_chunks::<6>().0;
        let unit = self.unit(rows.iter().map(|row| row[2].max(row[3])));
        let found = rows.iter().filter(|row| row[4] >= threshold);
        let object = |&[left, top, right, bottom, score, class]: &[f32; 6]| Detection {
            class: class.max(0.0) as usize,
            score,
            edges: [
                top / unit[1],
                left / unit[0],
                bottom / unit[1],
                right / unit[0],
            ],
        };
        found.map(object).collect()
    }

    /// What x and y have to be divided by to become fractions of the picture. `places` are those of
    /// all boxes, which lie all over it: in pixels some are far beyond one.
    fn unit(&self, places: impl Iterator<Item = f32>) -> [f32; 2] {
        let Hw { h, w } = self.picture;
        match places.fold(0.0, f32::max) > 2.0 {
            true => [w as f32, h as f32],
            false => [1.0, 1.0],
        }
    }
}

/// Rows of `width` numbers that lie together.
fn rows(values: &[f32], width: usize) -> Vec<Vec<f32>> {
    values.chunks_exact(width).map(<[f32]>::to_vec).collect()
}

/// Rows of `width` numbers whose first ones come first, then the second ones, and so on.
fn columns(values: &[f32], width: usize) -> Vec<Vec<f32>> {
    let count = values.len() / width;
    let row = |index: usize| values[index..].iter().step_by(count).copied().collect();
    (0..count).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::Answer;
    use crate::vision::cases::{case, read};

    /// Cells of a picture of 64 by 64: 8 * 8 + 4 * 4 + 2 * 2.
    const CELLS: usize = 84;

    fn detections(shape: Vec<usize>, values: Vec<f32>) -> Vec<Detection> {
        let case = case([64, 64], vec![(shape, values)]);
        match read(&case, None, 0.4) {
            (_, Some(Answer::Detections(found))) => found,
            (head, _) => panic!("{head:?}"),
        }
    }

    fn expect(found: &[Detection], class: usize, score: f32) {
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].class, class);
        assert!((found[0].score - score).abs() < 1e-6);
        assert_eq!(found[0].edges, [0.125, 0.25, 0.375, 0.75]);
    }

    #[test]
    fn people_have_points_and_count_once() {
        let mut values = vec![0.0; 56 * CELLS];
        // Two cells see the same person, the second one better.
        for (cell, score) in [(7, 0.6), (8, 0.9)] {
            let row = [32.0, 16.0, 32.0, 16.0, score];
            for (number, value) in row.into_iter().enumerate() {
                values[number * CELLS + cell] = value;
            }
            values[(5 + 3 * 9) * CELLS + cell] = 48.0;
            values[(6 + 3 * 9) * CELLS + cell] = 8.0 * score;
        }
        let case = case([64, 64], vec![(vec![1, 56, CELLS], values.clone())]);
        let (_, Some(Answer::Poses(found))) = read(&case, None, 0.4) else {
            panic!("no poses");
        };
        assert_eq!(found.len(), 1);
        let point = found[0].points[9];
        assert!(
            (point.x - 0.75).abs() < 1e-6 && (point.y - 0.1125).abs() < 1e-6,
            "{point:?}"
        );
        // With as many names they are classes.
        let (head, answer) = read(&case, Some(52), 0.4);
        assert!(matches!(answer, Some(Answer::Detections(_))), "{head:?}");
    }

    /// A box that reaches far out of the picture does not make fractions pixels.
    #[test]
    fn large_boxes_are_fractions_too() {
        let mut values = vec![0.0; CELLS * 6];
        values[..6].copy_from_slice(&[0.9, 0.5, 2.5, 0.5, 0.8, 0.1]);
        let found = detections(vec![1, CELLS, 6], values);
        assert!((found[0].edges[3] - 2.15).abs() < 1e-6, "{found:?}");
    }

    /// x, y, width, height.
    const BOX: [f32; 4] = [0.5, 0.25, 0.5, 0.25];

    #[test]
    fn objectness_counts_in_v5() {
        let row = |objectness, scores: [f32; 2]| [&BOX[..], &[objectness], &scores].concat();
        let mut values = vec![0.0; 3 * CELLS * 7];
        values[70..77].copy_from_slice(&row(0.5, [0.1, 1.0]));
        // Below the threshold by its objectness, or by both together.
        values[77..84].copy_from_slice(&row(0.3, [1.0, 1.0]));
        values[84..91].copy_from_slice(&row(0.5, [0.5, 0.5]));
        expect(&detections(vec![1, 3 * CELLS, 7], values), 1, 0.5);
    }

    #[test]
    fn v8_is_read_either_way_round_in_fractions_and_in_pixels() {
        for unit in [1.0, 64.0] {
            let row = [&BOX.map(|v| v * unit)[..], &[0.1, 0.2, 0.75]].concat();
            let mut upright = vec![0.0; CELLS * 7];
            upright[7 * 30..7 * 31].copy_from_slice(&row);
            let mut across = vec![0.0; 7 * CELLS];
            for (number, value) in row.into_iter().enumerate() {
                across[number * CELLS + 30] = value;
            }
            expect(&detections(vec![1, CELLS, 7], upright), 2, 0.75);
            expect(&detections(vec![1, 7, CELLS], across), 2, 0.75);
        }
    }

    #[test]
    fn end_to_end_heads_have_corners_and_classes() {
        let mut values = vec![0.0; 300 * 6];
        values[..6].copy_from_slice(&[16.0, 8.0, 48.0, 24.0, 0.9, 17.0]);
        expect(&detections(vec![1, 300, 6], values), 17, 0.9);
    }
}
