//! Key points of people: MoveNet's, and one person's of PoseNet.

use super::outputs::{Outputs, largest, sigmoid};
use ferrite_ir::op::Hw;

/// A point of a body.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KeyPoint {
    /// As fractions of the picture's height and width.
    pub y: f32,
    /// See `y`.
    pub x: f32,
    /// How sure the network is, at most 1.
    pub score: f32,
}

/// A person.
#[derive(Clone, Debug, PartialEq)]
pub struct Pose {
    /// In the order of [`NAMES`].
    pub points: Vec<KeyPoint>,
}

/// Number of the points of a body.
pub(super) const POINTS: usize = 17;

/// Names of the points, in the order of the COCO data set.
pub const NAMES: [&str; POINTS] = [
    "nose",
    "left eye",
    "right eye",
    "left ear",
    "right ear",
    "left shoulder",
    "right shoulder",
    "left elbow",
    "right elbow",
    "left wrist",
    "right wrist",
    "left hip",
    "right hip",
    "left knee",
    "right knee",
    "left ankle",
    "right ankle",
];

/// Points that a picture joins by lines.
pub const SKELETON: [(usize, usize); 16] = [
    (0, 1),
    (0, 2),
    (1, 3),
    (2, 4),
    (5, 6),
    (5, 7),
    (7, 9),
    (6, 8),
    (8, 10),
    (5, 11),
    (6, 12),
    (11, 12),
    (11, 13),
    (13, 15),
    (12, 14),
    (14, 16),
];

/// How key points are told.
#[derive(Clone, Debug, PartialEq)]
pub enum PoseHead {
    /// `[1, 1, 17, 3]`: y, x and score of each.
    Single,
    /// `[1, people, 56]`: 17 points, and a box with a score.
    Multi,
    /// Maps of scores for each point, and of the distances to it in pixels.
    Maps {
        scores: usize,
        offsets: usize,
        /// Size of the maps.
        map: Hw,
        picture: Hw,
    },
}

impl PoseHead {
    pub fn of(outputs: &[&[usize]], picture: Hw) -> Option<PoseHead> {
        match *outputs {
            [&[1, 1, POINTS, 3]] => return Some(PoseHead::Single),
            [&[1, people, 56]] if people <= 32 => return Some(PoseHead::Multi),
            _ => {}
        }
        let map_of = |depth: usize| {
            outputs.iter().enumerate().find_map(|(index, &shape)| {
                let &[1, h, w, d] = shape else { return None };
                (d == depth && h > 1 && w > 1).then_some((index, Hw { h, w }))
            })
        };
        let (scores, map) = map_of(POINTS)?;
        let (offsets, other) = map_of(2 * POINTS)?;
        (map == other).then_some(PoseHead::Maps {
            scores,
            offsets,
            map,
            picture,
        })
    }

    pub fn read(&self, outputs: &Outputs<'_>) -> Vec<Pose> {
        let triples = |values: &[f32]| Pose {
            points: values.as_chunks::<3>().0[..POINTS]
                .iter()
                .map(|&[y, x, score]| KeyPoint { y, x, score })
                .collect(),
        };
        match *self {
            PoseHead::Single => vec![triples(&outputs.reals(0))],
            PoseHead::Multi => {
                let values = outputs.reals(0);
                let people = values.as_chunks::<56>().0.iter();
                people
                    .filter(|person| person[55] >= PERSON)
                    .map(|person| triples(person))
                    .collect()
            }
            PoseHead::Maps {
                scores,
                offsets,
                map,
                picture,
            } => vec![from_maps(
                &outputs.reals(scores),
                &outputs.reals(offsets),
                map,
                picture,
            )],
        }
    }
}

/// People with a lower score do not count.
const PERSON: f32 = 0.2;

/// One person: each point is where its map has the largest score, and moved by the offset there.
fn from_maps(scores: &[f32], offsets: &[f32], map: Hw, picture: Hw) -> Pose {
    let stride = |pixels: usize, cells: usize| (pixels as f32 - 1.0) / (cells as f32 - 1.0);
    let point = |point: usize| {
        let column = scores.iter().skip(point).step_by(POINTS).copied();
        let (cell, score) = largest(column).unwrap_or((0, f32::NEG_INFINITY));
        let offset = |axis: usize| offsets[(2 * cell + axis) * POINTS + point];
        let y = (cell / map.w) as f32 * stride(picture.h, map.h) + offset(0);
        let x = (cell % map.w) as f32 * stride(picture.w, map.w) + offset(1);
        KeyPoint {
            y: y / picture.h as f32,
            x: x / picture.w as f32,
            score: sigmoid(score),
        }
    };
    Pose {
        points: (0..POINTS).map(point).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::Answer;
    use crate::vision::cases::{case, read};

    fn poses(picture: [usize; 2], outputs: Vec<(Vec<usize>, Vec<f32>)>) -> Vec<Pose> {
        match read(&case(picture, outputs), None, 0.4) {
            (_, Some(Answer::Poses(found))) => found,
            (head, _) => panic!("{head:?}"),
        }
    }

    #[test]
    fn movenet_tells_points_as_they_are() {
        let values: Vec<f32> = (0..51).map(|v| v as f32 / 64.0).collect();
        let found = poses([192, 192], vec![(vec![1, 1, 17, 3], values)]);
        let second = KeyPoint {
            y: 3.0 / 64.0,
            x: 4.0 / 64.0,
            score: 5.0 / 64.0,
        };
        assert_eq!((found.len(), found[0].points[1]), (1, second));
    }

    #[test]
    fn people_without_a_score_do_not_count() {
        let mut values = vec![0.5; 6 * 56];
        for person in 1..6 {
            values[56 * person + 55] = 0.1;
        }
        assert_eq!(poses([256, 256], vec![(vec![1, 6, 56], values)]).len(), 1);
    }

    #[test]
    fn posenet_points_are_moved_by_their_offsets() {
        // Maps of 3 by 5 for a picture of 33 by 65: a stride of 16.
        let mut scores = vec![-4.0; 15 * POINTS];
        let mut offsets = vec![0.0; 15 * 2 * POINTS];
        let cell = 2 * 5 + 3;
        scores[cell * POINTS + 9] = 0.0;
        offsets[cell * 2 * POINTS + 9] = -2.0;
        offsets[cell * 2 * POINTS + POINTS + 9] = 5.0;
        let outputs = vec![
            (vec![1, 3, 5, POINTS], scores),
            (vec![1, 3, 5, 2 * POINTS], offsets),
        ];
        let found = poses([33, 65], outputs);
        let expected = KeyPoint {
            y: 30.0 / 33.0,
            x: 53.0 / 65.0,
            score: 0.5,
        };
        assert_eq!(found[0].points[9], expected);
    }
}
