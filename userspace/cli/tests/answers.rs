//! What `ferrite run` says and draws of networks for pictures, and what is said of models that are not
//! for the NPU.

mod command;

use command::{digits, failure, ferrite, json, path};
use ferrite_testing::{npy, shared};
use serde_json::Value;
use std::path::Path;

/// Runs a model on the CPU, where results are TFLite's to the bit.
fn run(model: &Path, input: &Path, more: &[&str]) -> Value {
    let args = [
        "run",
        path(model),
        "-d",
        "cpu",
        "--input",
        path(input),
        "--json",
    ];
    json(&ferrite(&[&args, more].concat()))
}

/// A number in single precision: reading JSON may lose the last bit of a double.
fn single(value: &Value) -> f32 {
    value.as_f64().expect("a number") as f32
}

/// Boxes, classes, scores and their number equal those of TFLite's reference kernels.
#[test]
fn a_detector_s_objects_are_tflite_s() {
    let Some(shared) = shared() else { return };
    let folder = shared.join("models2");
    let name = "ssd_mobilenet_v1_quant_detect";
    let out = tempfile::tempdir().expect("a folder");
    let picture = out.path().join("found.png");
    let labels = out.path().join("labels.txt");
    let names: Vec<String> = (0..90).map(|class| format!("thing {class}")).collect();
    std::fs::write(&labels, format!("???\n{}\n", names.join("\n"))).expect("the folder is ours");
    for case in ["grace_hopper", "0001"] {
        let report = run(
            &folder.join(format!("{name}.tflite")),
            &folder.join(format!("inputs/{case}_300x300x3_uint8.npy")),
            &[
                "--threshold",
                "0",
                "--picture",
                path(&picture),
                "--labels",
                path(&labels),
            ],
        );
        let expected =
            |output| npy(folder.join(format!("expected/{name}.{case}.{output}.npy"))).to_f64();
        let [boxes, classes, scores, count] = [0, 1, 2, 3].map(expected);
        let objects = report["detections"].as_array().expect("objects");
        assert_eq!(objects.len() as f64, count[0]);
        assert!(objects.len() >= 10);
        for (index, object) in objects.iter().enumerate() {
            let edges = ["top", "left", "bottom", "right"].map(|edge| single(&object["box"][edge]));
            assert_eq!(
                edges,
                [0, 1, 2, 3].map(|edge| boxes[4 * index + edge] as f32),
                "{object}"
            );
            assert_eq!(object["class"].as_f64(), Some(classes[index]));
            assert_eq!(single(&object["score"]), scores[index] as f32);
            assert_eq!(object["label"], names[classes[index] as usize]);
        }
        // Scores of objects are no ranking of classes.
        for output in report["outputs"].as_array().expect("outputs") {
            assert!(output["top"].is_null(), "{output}");
        }
        let drawn = image::open(&picture).expect("a picture").into_rgb8();
        let input = npy(folder.join(format!("inputs/{case}_300x300x3_uint8.npy")));
        assert_eq!(drawn.dimensions(), (300, 300));
        let changed = drawn
            .as_raw()
            .iter()
            .zip(&input.data)
            .filter(|(a, b)| a != b)
            .count();
        assert!(
            changed > 300 && changed < input.data.len(),
            "{changed} samples"
        );
    }
}

#[test]
fn a_segmentation_s_classes_are_counted() {
    let Some(shared) = shared() else { return };
    let folder = shared.join("models");
    let name = "deeplabv3_mnv2_dm05_pascal_quant";
    let labels = folder.join("labels/pascal_voc_segmentation_labels.txt");
    let report = run(
        &folder.join(format!("{name}.tflite")),
        &folder.join("inputs/bird_segmentation_513x513x3_uint8.npy"),
        &["--labels", path(&labels)],
    );
    let expected = npy(folder.join(format!("expected/{name}.bird_segmentation.0.npy"))).to_f64();
    let pixels = report["pixels"].as_array().expect("classes");
    assert_eq!(pixels[0]["label"], "background");
    assert_eq!(pixels[1]["label"], "bird");
    for share in pixels {
        let count = expected
            .iter()
            .filter(|&&class| Some(class) == share["class"].as_f64())
            .count();
        assert_eq!(
            share["fraction"].as_f64(),
            Some(count as f64 / expected.len() as f64),
            "{share}"
        );
    }
}

/// Names are in the archive that the model carries behind its end.
#[test]
fn a_public_classifier_brings_its_names() {
    let Some(shared) = shared() else { return };
    let folder = shared.join("models");
    let report = run(
        &folder.join("mobilenet_v2_1.0_224_quant.tflite"),
        &folder.join("inputs/cat_224x224x3_uint8.npy"),
        &[],
    );
    assert_eq!(report["outputs"][0]["top"][0]["label"], "Egyptian cat");
}

#[test]
fn a_person_s_points_are_named_and_drawn() {
    let Some(shared) = shared() else { return };
    let folder = shared.join("models");
    let out = tempfile::tempdir().expect("a folder");
    let picture = out.path().join("pose.png");
    let name = "movenet_single_pose_lightning_ptq";
    let report = run(
        &folder.join(format!("{name}.tflite")),
        &folder.join("inputs/squat_192x192x3_uint8.npy"),
        &["--picture", path(&picture)],
    );
    let expected = npy(folder.join(format!("expected/{name}.squat.0.npy"))).to_f64();
    let points = report["poses"][0]["points"].as_array().expect("points");
    assert_eq!(points.len(), 17);
    for (point, expected) in points.iter().zip(expected.chunks(3)) {
        let found = ["y", "x", "score"].map(|key| single(&point[key]));
        assert_eq!(found, [0, 1, 2].map(|at| expected[at] as f32), "{point}");
    }
    assert_eq!(points[0]["name"], "nose");
    assert!(image::open(&picture).is_ok());
}

#[test]
fn a_classifier_s_picture_has_a_caption_and_nothing_else_is_drawn() {
    let out = tempfile::tempdir().expect("a folder");
    let picture = out.path().join("digit.png");
    let image = digits("samples/3.png");
    let model = digits("digits.tflite");
    let args = ["run", path(&model), "-d", "cpu", "--image", path(&image)];
    let report = json(&ferrite(
        &[&args[..], &["--picture", path(&picture), "--json"]].concat(),
    ));
    assert_eq!(report["files"][0], path(&picture));
    assert!(image::open(&picture).is_ok());

    let text = out.path().join("plain.txt");
    let graph = "graph \"g\"\ninputs %0\noutputs %1\n\n%0 \"x\": float32[1,8,8,3]\n\
                 %1 \"y\": float32[1,8,8,3]\n\n%1 = RELU(%0)\n";
    std::fs::write(&text, graph).expect("the folder is ours");
    let args = ["run", path(&text), "-d", "cpu", "--image", path(&image)];
    let (code, message) = failure(&[&args[..], &["--picture", path(&picture)]].concat());
    assert_eq!(code, 2, "{message}");
    assert!(
        message.contains("--picture") && message.contains("--output"),
        "{message}"
    );
}

/// Models that cannot be run are refused with what is so and what to do, and described by `info`.
#[test]
fn situations_are_named_with_their_remedies() {
    let out = tempfile::tempdir().expect("a folder");
    let convolution = "%1 \"w\": float32[1,1,1,3] = x\"0000803f0000803f0000803f\"\n\
         %2 \"y\": float32[1,8,8,1]\n\n\
         %2 = CONV_2D(%0, %1, none) padding=SAME stride=1x1 dilation=1x1 activation=NONE\n";
    let foreign = "%1 \"unused\": float32[1]\n%2 \"y\": float32[1,10]\n\n\
         %2 = unknown \"edgetpu-custom-op\"(%0)\n";
    let image = digits("samples/3.png");
    let cases = [
        (convolution, "float", "float model", "TFLITE_BUILTINS_INT8"),
        (foreign, "edge-tpu", "Edge TPU", "edgetpu_compiler"),
    ];
    for (rest, situation, words, remedy) in cases {
        let model = out.path().join("model.txt");
        let head = "graph \"g\"\ninputs %0\noutputs %2\n\n%0 \"x\": float32[1,8,8,3]\n";
        std::fs::write(&model, format!("{head}{rest}")).expect("the folder is ours");
        let run: &[&str] = &["run", path(&model), "-d", "cpu", "--image", path(&image)];
        let bench: &[&str] = &["bench", path(&model), "-d", "cpu"];
        for args in [run, bench] {
            let (code, message) = failure(args);
            assert_eq!(code, 1, "{message}");
            assert!(
                message.contains(words) && message.contains(remedy),
                "{message}"
            );
        }
        let info = ["info", path(&model)];
        let report = json(&ferrite(&[&info[..], &["--json"]].concat()));
        assert_eq!(report["situations"][0]["situation"], situation);
        let text = String::from_utf8_lossy(&ferrite(&info).stdout).into_owned();
        assert!(text.contains(words) && text.contains(remedy), "{text}");
    }
}

/// So are those that cannot even be read.
#[test]
fn streaming_models_are_refused_with_a_remedy() {
    let Some(shared) = shared() else { return };
    let model = shared.join("models2/mww_okay_nabu_int8.tflite");
    let (code, message) = failure(&["info", path(&model)]);
    assert_eq!(code, 1, "{message}");
    assert!(
        message.contains("RESOURCE") && message.contains("state as inputs"),
        "{message}"
    );
}
