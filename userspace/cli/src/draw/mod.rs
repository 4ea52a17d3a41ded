//! A picture with what a network has found in it.

mod canvas;
mod colours;

use crate::vision::{Answer, ClassMap, Detection, Pose, SKELETON};
use canvas::Canvas;
use colours::{Colour, colour};
use image::RgbImage;

/// Points with a lower score are not drawn.
const VISIBLE: f32 = 0.3;
/// Classes of pixels that are named at most.
const MOST_NAMES: usize = 8;
const POINT: Colour = [255, 64, 32];
const BONE: Colour = [64, 224, 255];

/// Draws an answer into a picture; `name` gives the name of a class.
pub fn draw(picture: RgbImage, answer: &Answer, name: &dyn Fn(usize) -> String) -> RgbImage {
    let mut canvas = Canvas::new(picture);
    match answer {
        // The best ones last, on top of the others.
        Answer::Detections(found) => {
            for object in found.iter().rev() {
                object_box(&mut canvas, object, name);
            }
        }
        Answer::Poses(found) => found.iter().for_each(|pose| bones(&mut canvas, pose)),
        Answer::Classes(map) => mask(&mut canvas, map, name),
    }
    canvas.picture()
}

/// Writes lines of text into a picture's corner.
pub fn caption(picture: RgbImage, lines: &[String]) -> RgbImage {
    let mut canvas = Canvas::new(picture);
    for (line, text) in lines.iter().enumerate() {
        canvas.line_of_text(line, text, colour(line));
    }
    canvas.picture()
}

fn object_box(canvas: &mut Canvas, object: &Detection, name: &dyn Fn(usize) -> String) {
    let paint = colour(object.class);
    let edges = object.edges.map(|edge| edge.clamp(0.0, 1.0));
    canvas.frame(edges, paint);
    let percent = (100.0 * object.score).round();
    let text = format!("{} {percent} %", name(object.class));
    canvas.label([edges[0], edges[1]], &text, paint);
}

fn bones(canvas: &mut Canvas, pose: &Pose) {
    let seen = |index: usize| pose.points.get(index).filter(|p| p.score >= VISIBLE);
    for (a, b) in SKELETON {
        if let (Some(a), Some(b)) = (seen(a), seen(b)) {
            canvas.line([a.y, a.x], [b.y, b.x], BONE);
        }
    }
    for point in (0..pose.points.len()).filter_map(seen) {
        canvas.disc([point.y, point.x], POINT);
    }
}

/// Colours all pixels but those of class 0, which is what shows none of the others.
fn mask(canvas: &mut Canvas, map: &ClassMap, name: &dyn Fn(usize) -> String) {
    let paint = |class: usize| (class != 0).then(|| colour(class));
    canvas.blend(map.size, |cell| paint(map.classes[cell]));
    let named = map.shares().into_iter().filter(|share| share.class != 0);
    for (line, share) in named.take(MOST_NAMES).enumerate() {
        canvas.line_of_text(line, &name(share.class), colour(share.class));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::KeyPoint;
    use ferrite_ir::op::Hw;

    fn gray() -> RgbImage {
        RgbImage::from_pixel(100, 80, image::Rgb([90; 3]))
    }

    fn named(class: usize) -> String {
        format!("class {class}")
    }

    fn at(picture: &RgbImage, [x, y]: [u32; 2]) -> Colour {
        picture.get_pixel(x, y).0
    }

    #[test]
    fn a_box_has_the_colour_of_its_class_and_its_inside_is_left() {
        let object = Detection {
            class: 3,
            score: 0.75,
            edges: [0.25, 0.1, 1.5, 0.9],
        };
        let drawn = draw(gray(), &Answer::Detections(vec![object]), &named);
        assert_eq!(at(&drawn, [10, 60]), colour(3));
        // Cut off at the picture's edge.
        assert_eq!(at(&drawn, [50, 79]), colour(3));
        assert_eq!(at(&drawn, [50, 60]), [90; 3]);
        // The text is dark on the colour.
        let label: Vec<Colour> = (10..60).map(|x| at(&drawn, [x, 14])).collect();
        assert!(label.contains(&colour(3)) && label.contains(&canvas::DARK));
    }

    #[test]
    fn points_that_are_not_sure_are_left_out() {
        let mut points = vec![
            KeyPoint {
                y: 0.5,
                x: 0.5,
                score: 0.1,
            };
            17
        ];
        let drawn = draw(
            gray(),
            &Answer::Poses(vec![Pose {
                points: points.clone(),
            }]),
            &named,
        );
        assert_eq!(drawn, gray());
        for (index, x) in [(5, 0.2), (7, 0.8)] {
            points[index] = KeyPoint {
                y: 0.5,
                x,
                score: 0.9,
            };
        }
        let drawn = draw(gray(), &Answer::Poses(vec![Pose { points }]), &named);
        assert_eq!(at(&drawn, [20, 40]), POINT);
        assert_eq!(at(&drawn, [50, 40]), BONE);
    }

    /// Numbers that are none, or far from the picture, draw nothing and stop nothing.
    #[test]
    fn any_numbers_can_be_drawn() {
        let wild = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, -1e30];
        let points = wild.iter().cycle().zip(wild.iter().skip(1).cycle());
        let points = points
            .take(17)
            .map(|(&y, &x)| KeyPoint { y, x, score: 1.0 });
        let pose = Pose {
            points: points.collect(),
        };
        draw(gray(), &Answer::Poses(vec![pose]), &named);
        let object = |edges| Detection {
            class: usize::MAX,
            score: 1.0,
            edges,
        };
        let objects = wild.map(|edge| object([edge, -edge, edge, 0.5]));
        draw(gray(), &Answer::Detections(objects.to_vec()), &named);
    }

    #[test]
    fn masks_leave_the_background() {
        let map = ClassMap {
            size: Hw { h: 1, w: 2 },
            classes: vec![0, 2],
        };
        let drawn = draw(gray(), &Answer::Classes(map), &named);
        assert_eq!(at(&drawn, [20, 70]), [90; 3]);
        let [r, g, b] = colour(2).map(|v| (u16::from(v) + 90) / 2);
        assert_eq!(at(&drawn, [80, 70]).map(u16::from), [r, g, b]);
    }
}
