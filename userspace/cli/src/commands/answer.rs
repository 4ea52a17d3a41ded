//! What `ferrite run` says about a network's answer: objects, key points, classes of pixels.

use crate::table::table;
use crate::vision::{Answer, ClassMap, Detection, KeyPoint, NAMES, Pose, Share};
use image::RgbImage;
use serde_json::{Value, json};

/// Names of classes by number.
pub struct Names(pub Vec<String>);

impl Names {
    fn get(&self, class: usize) -> Option<&str> {
        let name = self.0.get(class).map(String::as_str);
        name.filter(|name| !name.is_empty())
    }

    /// The name, or the number.
    pub fn word(&self, class: usize) -> String {
        match self.get(class) {
            Some(name) => name.to_owned(),
            None => format!("class {class}"),
        }
    }
}

/// The answer for people, with places in pixels of the picture, and under its key in JSON.
pub fn describe(
    answer: &Answer,
    names: &Names,
    picture: Option<&RgbImage>,
) -> (String, &'static str, Value) {
    let size = picture.map(|p| [p.height() as f32, p.width() as f32]);
    match answer {
        Answer::Detections(found) => {
            let rows: Vec<_> = found.iter().map(|o| object_row(o, names, size)).collect();
            let text = match found.is_empty() {
                true => "no objects\n".to_owned(),
                false => table(&rows, &[0]),
            };
            let objects: Vec<Value> = found.iter().map(|o| object_json(o, names)).collect();
            (text, "detections", objects.into())
        }
        Answer::Poses(found) => {
            let rows: Vec<_> = found
                .iter()
                .flat_map(|pose| pose_rows(pose, size))
                .collect();
            let poses: Vec<Value> = found.iter().map(pose_json).collect();
            (table(&rows, &[0]), "poses", poses.into())
        }
        Answer::Classes(map) => classes(map, names),
    }
}

/// A fraction of a side, in pixels if the side's length is known.
fn place(fraction: f32, side: Option<f32>) -> String {
    match side {
        // Plus nothing, which makes a zero of a negative one.
        Some(pixels) => format!("{}", (fraction * pixels).round() + 0.0),
        None => format!("{fraction:.3}"),
    }
}

fn object_row(object: &Detection, names: &Names, size: Option<[f32; 2]>) -> Vec<String> {
    let [height, width] = [0, 1].map(|axis| size.map(|size| size[axis]));
    let [top, left, bottom, right] = object.edges;
    vec![
        format!("{:.4}", object.score),
        names.word(object.class),
        format!(
            "at {},{} to {},{}",
            place(left, width),
            place(top, height),
            place(right, width),
            place(bottom, height)
        ),
    ]
}

fn object_json(object: &Detection, names: &Names) -> Value {
    let [top, left, bottom, right] = object.edges;
    json!({
        "class": object.class,
        "label": names.get(object.class),
        "score": object.score,
        "box": { "top": top, "left": left, "bottom": bottom, "right": right },
    })
}

fn pose_rows(pose: &Pose, size: Option<[f32; 2]>) -> Vec<Vec<String>> {
    let [height, width] = [0, 1].map(|axis| size.map(|size| size[axis]));
    let row = |(name, point): (&&str, &KeyPoint)| {
        vec![
            format!("{:.4}", point.score),
            (*name).to_owned(),
            format!("at {},{}", place(point.x, width), place(point.y, height)),
        ]
    };
    NAMES.iter().zip(&pose.points).map(row).collect()
}

fn pose_json(pose: &Pose) -> Value {
    let point = |(name, point): (&&str, &KeyPoint)| json!({ "name": name, "y": point.y, "x": point.x, "score": point.score });
    let points: Vec<Value> = NAMES.iter().zip(&pose.points).map(point).collect();
    json!({ "points": points })
}

fn classes(map: &ClassMap, names: &Names) -> (String, &'static str, Value) {
    let shares = map.shares();
    let row = |share: &Share| {
        vec![
            format!("{:.2} %", 100.0 * share.fraction),
            names.word(share.class),
        ]
    };
    let rows: Vec<Vec<String>> = shares.iter().take(10).map(row).collect();
    let entry = |share: &Share| json!({ "class": share.class, "label": names.get(share.class), "fraction": share.fraction });
    let json: Vec<Value> = shares.iter().map(entry).collect();
    (table(&rows, &[0]), "pixels", json.into())
}
