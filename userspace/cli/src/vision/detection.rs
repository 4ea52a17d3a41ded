//! Objects with boxes, and the suppression of boxes that show the same object.

/// An object in a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Detection {
    /// Number of its class.
    pub class: usize,
    /// How sure the network is, at most 1.
    pub score: f32,
    /// Top, left, bottom and right edge, as fractions of the picture's height and width.
    pub edges: [f32; 4],
}

impl Detection {
    /// An object of the box around a point.
    pub fn around([y, x, h, w]: [f32; 4], class: usize, score: f32) -> Detection {
        Detection {
            class,
            score,
            edges: [y - h / 2.0, x - w / 2.0, y + h / 2.0, x + w / 2.0],
        }
    }

    fn area(&self) -> f32 {
        let [top, left, bottom, right] = self.edges;
        (bottom - top).max(0.0) * (right - left).max(0.0)
    }

    /// Common area of two boxes over the area of both together.
    fn overlap(&self, other: &Detection) -> f32 {
        let [top, left] = [0, 1].map(|i| self.edges[i].max(other.edges[i]));
        let [bottom, right] = [2, 3].map(|i| self.edges[i].min(other.edges[i]));
        let common = (bottom - top).max(0.0) * (right - left).max(0.0);
        let union = self.area() + other.area() - common;
        if union > 0.0 { common / union } else { 0.0 }
    }
}

/// Of boxes of one class that overlap by more than this the best one counts.
const OVERLAP: f32 = 0.5;
/// Objects that an answer has at most.
const MOST: usize = 100;

/// Leaves the best boxes of each class, best first.
pub fn suppress(found: Vec<Detection>) -> Vec<Detection> {
    let found = found.into_iter().map(|object| (object, ())).collect();
    let kept = suppress_with(found).into_iter();
    kept.map(|(object, ())| object).collect()
}

/// The same for boxes with something that belongs to each.
pub fn suppress_with<T>(mut found: Vec<(Detection, T)>) -> Vec<(Detection, T)> {
    let order = |a: &Detection, b: &Detection| {
        let better = b.score.total_cmp(&a.score);
        better.then(a.class.cmp(&b.class))
    };
    found.sort_by(|(a, _), (b, _)| order(a, b));
    let mut kept: Vec<(Detection, T)> = Vec::new();
    for candidate in found {
        let same = |(other, _): &(Detection, T)| {
            other.class == candidate.0.class && other.overlap(&candidate.0) > OVERLAP
        };
        if !kept.iter().any(same) {
            kept.push(candidate);
        }
        if kept.len() == MOST {
            break;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(class: usize, score: f32, edges: [f32; 4]) -> Detection {
        Detection {
            class,
            score,
            edges,
        }
    }

    #[test]
    fn the_best_of_overlapping_boxes_of_a_class_stays() {
        let low = object(1, 0.5, [0.0, 0.0, 1.0, 1.0]);
        let high = object(1, 0.9, [0.0, 0.0, 1.0, 0.9]);
        let other_class = object(2, 0.4, [0.0, 0.0, 1.0, 1.0]);
        let elsewhere = object(1, 0.3, [0.0, 0.6, 1.0, 1.5]);
        let all = vec![low, elsewhere.clone(), high.clone(), other_class.clone()];
        assert_eq!(suppress(all), [high, other_class, elsewhere]);
    }
}
