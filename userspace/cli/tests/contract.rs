//! The command line's contract: JSON on standard output, exit codes, errors that help.
//! Models are those of the demonstration, which are made in this repository.

mod command;

use command::{digits, failure, ferrite, ferrite_with_state, json, path};
use ferrite_testing::{Array, npy, shared};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn keys(value: &Value) -> Vec<&str> {
    let object = value.as_object().expect("an object");
    let mut keys: Vec<&str> = object.keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// The first held-out digit as an input file.
fn case(folder: &Path) -> PathBuf {
    let images = npy(digits("test-images.npy"));
    let centred: Vec<i8> = images.data[..256]
        .iter()
        .map(|&p| (p ^ 0x80) as i8)
        .collect();
    let input = Array::new(&[1, 16, 16, 1], &centred);
    let file = folder.join("digit.npy");
    std::fs::write(&file, input.to_npy()).expect("the folder is ours");
    file
}

#[test]
fn devices_lists_all_with_reasons() {
    let report = json(&ferrite(&["devices", "--json"]));
    let devices = report["devices"].as_array().expect("a list");
    let find = |name: &str| devices.iter().find(|d| d["device"] == name);
    for name in ["cpu", "sim:rk3588"] {
        assert_eq!(find(name).expect(name)["usable"], true);
    }
    for device in devices {
        assert_eq!(
            device["usable"] == true,
            device["reason"].is_null(),
            "{device}"
        );
    }
    assert!(report["auto"].is_string());
}

#[test]
fn info_places_every_operator() {
    for model in ["digits.tflite", "digits-per-axis.tflite"] {
        let model = digits(model);
        let report = json(&ferrite(&["info", path(&model), "--json"]));
        let ops = report["ops"].as_array().expect("a list");
        let placed = |where_: &str| ops.iter().filter(|op| op["placement"] == where_).count();
        assert_eq!(report["npu_ops"], placed("npu"));
        assert_eq!(report["cpu_ops"], placed("cpu"));
        assert_eq!(placed("npu") + placed("cpu") + placed("folded"), ops.len());
        for op in ops {
            let npu = op["placement"] == "npu";
            assert_eq!(
                npu,
                op["lowering"].is_string() && op["evidence"] == "silicon",
                "{op}"
            );
            assert_eq!(op["placement"] == "cpu", op["reason"].is_string(), "{op}");
        }
        assert_eq!(report["npu_mac_fraction"], 1.0);
        let text = ferrite(&["info", path(&model)]);
        assert!(String::from_utf8_lossy(&text.stdout).contains("DEPTHWISE_CONV_2D"));
    }
}

/// What `info` says of a device is what `run` does on it.
#[test]
fn info_and_run_agree_on_a_device() {
    let model = digits("digits-per-axis.tflite");
    let image = digits("samples/3.png");
    for device in ["cpu", "sim:rk3588", "sim:a311d"] {
        let info = json(&ferrite(&[
            "info",
            path(&model),
            "--device",
            device,
            "--json",
        ]));
        let run = [
            "run",
            path(&model),
            "--device",
            device,
            "--image",
            path(&image),
        ];
        let run = json(&ferrite(&[&run[..], &["--json"]].concat()));
        assert_eq!(info["device"], device);
        for key in ["device", "npu_ops", "cpu_ops", "npu_mac_fraction"] {
            assert_eq!(info[key], run[key], "{device} {key}");
        }
    }
    let args = [
        "info",
        path(&model),
        "--device",
        "cpu",
        "--target",
        "rk3588",
    ];
    assert_eq!(failure(&args).0, 2);
}

#[test]
fn info_tells_what_is_approximate() {
    let model = digits("digits-per-axis.tflite");
    let info = |more: &[&str]| {
        let args = ["info", path(&model), "--target", "a311d", "--json"];
        json(&ferrite(&[&args, more].concat()))
    };
    let report = info(&[]);
    let ops = report["ops"].as_array().expect("a list");
    let approximate = ops.iter().filter(|op| op["approximate"] == true);
    assert_eq!(report["approximate_ops"], approximate.clone().count());
    assert!(approximate.clone().count() > 0);
    for op in approximate {
        let error = op["error_steps"].as_f64().expect("an estimate");
        assert!(0.0 < error && error <= 0.5, "{op}");
    }
    let exact = info(&["--exact"]);
    assert_eq!(exact["approximate_ops"], 0);
    assert!(exact["npu_macs"].as_u64() < report["npu_macs"].as_u64());
}

#[test]
fn selftest_checks_devices_and_reports() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("report.json");
    for (device, least) in [("cpu", 60), ("sim:rk3588", 50), ("sim:a311d", 5)] {
        let args = [
            "selftest",
            "--device",
            device,
            "--report",
            path(&file),
            "--json",
        ];
        let report = json(&ferrite(&args));
        assert_eq!(report["device"], device);
        assert_eq!(report["failed"], 0);
        assert!(report["passed"].as_u64() >= Some(least), "{report}");
        let written = std::fs::read(&file).expect("the report");
        assert_eq!(
            serde_json::from_slice::<Value>(&written).expect("JSON"),
            report
        );
        for case in report["cases"].as_array().expect("a list") {
            assert!(case["max_abs_diff"].as_i64() <= Some(1), "{case}");
            assert_eq!(
                case["outcome"] == "cpu",
                case["reason"].is_string(),
                "{case}"
            );
        }
    }
    let (code, message) = failure(&["selftest", "--device", "cpu", "--only", "no such case"]);
    assert_eq!(code, 2, "{message}");
}

/// A lowering that a device has passed with is used on it, on this machine.
#[test]
fn selftest_proves_lowerings() {
    let folder = tempfile::tempdir().expect("a folder");
    let (model, input) = (digits("digits.tflite"), case(folder.path()));
    let run = |state: &Path| {
        let args = [
            "run",
            path(&model),
            "--device",
            "sim:rk3588",
            "--input",
            path(&input),
        ];
        let output = ferrite_with_state(state, &[&args[..], &["-v"]].concat());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let state = folder.path().join("state");
    assert!(run(&state).contains("evidence Silicon"));
    let args = [
        "selftest",
        "--device",
        "sim:rk3588",
        "--evidence",
        "sibling",
        "--json",
    ];
    let report = json(&ferrite_with_state(&state, &args));
    assert_eq!(report["failed"], 0, "{report}");
    assert!(run(&state).contains("evidence Sibling"));
}

#[test]
fn run_classifies_pictures_and_arrays() {
    let folder = tempfile::tempdir().expect("a folder");
    let (model, labels) = (digits("digits.tflite"), digits("labels.txt"));
    for device in ["cpu", "sim:rk3588"] {
        for digit in 0..10 {
            let image = digits(&format!("samples/{digit}.png"));
            let (image, labels) = (path(&image), path(&labels));
            let args = [
                "run",
                path(&model),
                "--device",
                device,
                "--image",
                image,
                "--labels",
                labels,
            ];
            let report = json(&ferrite(&[&args[..], &["--json"]].concat()));
            let top = report["outputs"][0]["top"]
                .as_array()
                .expect("a classifier");
            assert_eq!(top.len(), 5);
            assert_eq!(top[0]["index"], digit, "{report}");
            assert!(top[0]["score"].as_f64() > Some(0.5) && top[0]["label"].is_string());
            assert_eq!(report["device"], device);
        }
    }
    let input = case(folder.path());
    let out = folder.path().join("out");
    let (input, out) = (path(&input), path(&out));
    let args = [
        "run",
        path(&model),
        "-d",
        "cpu",
        "--input",
        input,
        "-o",
        out,
        "--json",
    ];
    let report = json(&ferrite(&args));
    let written = npy(report["files"][0].as_str().expect("a path"));
    assert_eq!(written.shape, [1, 10]);
}

#[test]
fn compare_reports_exactly_the_contract_s_keys() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = case(folder.path());
    let model = digits("digits.tflite");
    let (model, input) = (path(&model), path(&input));
    let out = folder.path().join("out");
    json(&ferrite(&[
        "run",
        model,
        "-d",
        "cpu",
        "--input",
        input,
        "-o",
        path(&out),
        "--json",
    ]));
    let expected = out.join("output0.npy");
    let common = [
        "compare",
        model,
        "--input",
        input,
        "--expected",
        path(&expected),
    ];

    let exact = json(&ferrite(
        &[&common[..], &["--device", "cpu", "--json"]].concat(),
    ));
    assert_eq!(
        keys(&exact),
        [
            "cpu_ops",
            "device",
            "evidence",
            "npu_mac_fraction",
            "npu_ops",
            "outputs",
            "segments"
        ]
    );
    let output = &exact["outputs"][0];
    assert_eq!(
        keys(output),
        [
            "elements",
            "exact_fraction",
            "max_abs_diff",
            "mean_abs_diff",
            "name"
        ]
    );
    assert_eq!(
        (&output["exact_fraction"], &output["max_abs_diff"]),
        (&1.0.into(), &0.0.into())
    );
    assert_eq!(
        (&exact["npu_ops"], &exact["device"]),
        (&0.into(), &"cpu".into())
    );

    let npu = json(&ferrite(
        &[&common[..], &["--device", "sim:rk3588", "--json"]].concat(),
    ));
    assert_eq!(npu["npu_mac_fraction"], 1.0);
    assert!(npu["npu_ops"].as_u64() > Some(10) && npu["outputs"][0]["elements"] == 10);

    // A difference is no failure unless one asks.
    let mut wrong = npy(&expected);
    wrong.data[0] = wrong.data[0].wrapping_add(7);
    std::fs::write(&expected, wrong.to_npy()).expect("the folder is ours");
    let different = json(&ferrite(&[&common[..], &["-d", "cpu", "--json"]].concat()));
    assert_eq!(different["outputs"][0]["exact_fraction"], 0.9);
    let strict = ferrite(&[&common[..], &["-d", "cpu", "--json", "--max-diff", "6"]].concat());
    assert_eq!(strict.status.code(), Some(1));
    assert_eq!(
        strict.stdout,
        ferrite(&[&common[..], &["-d", "cpu", "--json"]].concat()).stdout
    );
}

#[test]
fn bench_counts_the_same_each_time() {
    let model = digits("digits.tflite");
    let bench = |runs: &str| {
        let args = [
            "bench",
            path(&model),
            "-d",
            "sim:rk3588",
            "--runs",
            runs,
            "--json",
        ];
        json(&ferrite(&args))
    };
    let (one, three) = (bench("1"), bench("3"));
    assert_eq!(one["counters"], three["counters"]);
    assert!(one["counters"]["macs"].as_u64() > Some(0), "{one}");
    assert_eq!(one["counters"]["faults"], 0);
    for time in ["compile_ms", "load_ms"] {
        assert!(one[time].as_f64() > Some(0.0), "{one}");
    }
    assert!(three["inference_ms"]["min"].as_f64() <= three["inference_ms"]["max"].as_f64());
}

#[test]
fn inferences_at_a_time_have_a_core_each() {
    let model = digits("digits.tflite");
    let bench = |count: &str| {
        let common = ["bench", path(&model), "-d", "sim:rk3588", "--runs", "2"];
        json(&ferrite(
            &[&common[..], &["--in-flight", count, "--json"]].concat(),
        ))
    };
    let (one, three) = (bench("1"), bench("3"));
    assert_eq!(one["counters"], three["counters"]);
    assert_eq!(three["kicks"], 1);
    for core in three["cores"].as_array().unwrap() {
        assert_eq!(core["kicks"], 1, "{three}");
    }
    let time = |report: &Value| report["estimated_ns"].as_f64().unwrap();
    assert!(time(&three) <= 0.45 * time(&one), "{one} {three}");
    assert!(three["inferences_per_second"].as_f64() > Some(0.0));
}

#[test]
fn compiled_models_are_printed_and_assembled_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name);
    let (model, compiled) = (digits("digits.tflite"), file("digits.ferrite"));
    let (listing, raw, again) = (file("a.s"), file("a.bin"), file("b.s"));
    let args = [
        "compile",
        path(&model),
        "--target",
        "rk3588",
        "-o",
        path(&compiled),
        "--json",
    ];
    let report = json(&ferrite(&args));
    assert_eq!(
        report["bytes"],
        std::fs::metadata(&compiled).expect("a file").len()
    );
    json(&ferrite(&[
        "disasm",
        path(&compiled),
        "-o",
        path(&listing),
        "--json",
    ]));
    let text = std::fs::read_to_string(&listing).expect("text");
    assert!(text.contains("CNA.") && text.contains("enable "));
    let assemble = [
        "disasm",
        path(&listing),
        "--assemble",
        "-o",
        path(&raw),
        "--json",
    ];
    assert!(json(&ferrite(&assemble))["words"].as_u64() > Some(100));
    json(&ferrite(&[
        "disasm",
        path(&raw),
        "--raw",
        "-o",
        path(&again),
        "--json",
    ]));
    let commands = |text: &str| -> Vec<String> {
        let lines = text
            .lines()
            .filter(|l| !l.is_empty() && !l.starts_with(';'));
        let code = lines.map(|line| line.split(" ;").next().unwrap_or_default());
        code.map(str::to_owned).collect()
    };
    let again = std::fs::read_to_string(again).expect("text");
    assert_eq!(commands(&text), commands(&again));

    let mut damaged = std::fs::read(&compiled).expect("a file");
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    std::fs::write(&compiled, damaged).expect("the folder is ours");
    let (code, message) = failure(&["disasm", path(&compiled), "--json"]);
    assert!(code == 1 && message.contains("checksum"), "{message}");
}

#[test]
fn stages_of_a_compilation_are_printed() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name);
    let model = digits("digits.tflite");
    let emit = |model: &Path, stage: &str, more: &[&str]| {
        let args = [
            "compile",
            path(model),
            "--target",
            "rk3588",
            "--emit",
            stage,
        ];
        ferrite(&[&args[..], more].concat())
    };
    for (stage, sign) in [
        ("graph", "CONV_2D(%0,"),
        ("npu", "%29 = depthwise %28 weights"),
        ("layers", "leave t39 = %15"),
        ("jobs", "FEATURE_DATA_ADDR=activations+0x"),
        ("asm", "CNA.FEATURE_DATA_ADDR ; + activations+0x"),
    ] {
        let report = json(&emit(&model, stage, &["--json"]));
        let text = report["emitted"].as_str().expect("text");
        assert!(text.contains(sign), "{stage}: {text}");
    }
    // With a file to write, both are done.
    let compiled = file("digits.ferrite");
    let report = json(&emit(&model, "npu", &["-o", path(&compiled), "--json"]));
    assert_eq!(
        report["bytes"],
        std::fs::metadata(&compiled).expect("a file").len()
    );
    assert!(report["emitted"].is_string(), "{report}");

    // A graph as text is a model, whatever its file is called and whatever follows it.
    let graph = r#"; One operator.
graph "main"
inputs %0
outputs %1
%0 "x": int8[1,2,2,1] scale 0.5 zero 0
%1 "y": int8[1,2,2,1] scale 0.25 zero 3
%1 = QUANTIZE(%0)
----
"#;
    for name in ["graph.txt", "graph"] {
        std::fs::write(file(name), graph).expect("the folder is ours");
        let report = json(&emit(&file(name), "layers", &["--json"]));
        assert!(
            report["emitted"]
                .as_str()
                .expect("text")
                .contains("requantise"),
            "{report}"
        );
        let info = json(&ferrite(&["info", path(&file(name)), "--json"]));
        assert_eq!(info["ops"][0]["op"], "QUANTIZE");
    }
    for (wrong, message) in [
        (
            graph.replace("QUANTIZE", "QUANTISE"),
            "line 7, column 6: expected an operator",
        ),
        (
            graph.replace("%1 \"y\": int8[1,2", "%1 \"y\": int8[1,3"),
            "operator 0 QUANTIZE",
        ),
    ] {
        std::fs::write(file("wrong.txt"), wrong).expect("the folder is ours");
        let wrong = file("wrong.txt");
        let args = ["info", path(&wrong), "--json"];
        let (code, found) = failure(&args);
        assert!(code == 1 && found.contains(message), "{found}");
    }
    let args = ["compile", path(&model), "--target", "rk3588", "--json"];
    assert_eq!(failure(&args).0, 2, "neither a file nor a stage");
}

#[test]
fn the_a311d_is_served_alike() {
    let folder = tempfile::tempdir().expect("a folder");
    let (model, compiled) = (
        digits("digits.tflite"),
        folder.path().join("digits.ferrite"),
    );
    let args = ["compile", path(&model), "--target", "a311d", "-o"];
    json(&ferrite(
        &[&args[..], &[path(&compiled), "--json"]].concat(),
    ));
    let listing = json(&ferrite(&["disasm", path(&compiled), "--json"]));
    assert_eq!(listing["target"], "a311d");
    let task = &listing["submissions"][0]["jobs"][0]["tasks"][0];
    let lines = |name: &str| task[name].as_array().expect("a list").clone();
    let starts = lines("commands")
        .iter()
        .filter(|line| {
            let line = line.as_str().expect("text");
            line.starts_with("load PS_NN_INST_ADDR")
        })
        .count();
    let descriptors = lines("descriptors");
    assert!(starts > 10 && descriptors.len() == starts, "{starts}");
    for descriptor in descriptors {
        let text = descriptor.as_str().expect("text");
        assert!(text.starts_with("nn\n") && text.contains("KERNEL_X_SIZE = "));
        assert_eq!(text.matches("_ADDRESS + ").count(), 3, "{text}");
    }
    let input = case(folder.path());
    let class = |device: &str| {
        let run = ["run", path(&model), "--device", device, "--input"];
        let report = json(&ferrite(&[&run[..], &[path(&input), "--json"]].concat()));
        report["outputs"][0]["top"][0]["index"].clone()
    };
    assert_eq!(class("sim:a311d"), class("cpu"));
    let bench = [
        "bench",
        path(&model),
        "--device",
        "sim:a311d",
        "--runs",
        "1",
    ];
    let counters = json(&ferrite(&[&bench[..], &["--json"]].concat()))["counters"].clone();
    for name in [
        "coefficient_bytes",
        "image_bytes",
        "output_bytes",
        "nn_jobs",
    ] {
        assert!(counters[name].as_u64() > Some(0), "{name}: {counters}");
    }
}

#[test]
fn graph_draws_every_operator() {
    let folder = tempfile::tempdir().expect("a folder");
    let svg = folder.path().join("digits.svg");
    let model = digits("digits.tflite");
    let report = json(&ferrite(&[
        "graph",
        path(&model),
        "-o",
        path(&svg),
        "--json",
    ]));
    let picture = std::fs::read_to_string(&svg).expect("text");
    let operators = picture.matches("class=\"number\"").count();
    assert_eq!(report["operators"], operators);
    assert!(picture.contains("1×16×16×1 ") && picture.contains("class=\"npu\""));
    // One submission, and the host's last operator.
    let marks = |mark: &str| picture.matches(&format!(">{mark}</text>")).count();
    assert_eq!(report["segments"], 1);
    assert_eq!(report["npu_ops"], marks("N1"));
    assert_eq!(report["cpu_ops"], marks("host") - 1, "one is in the legend");
    let model = digits("digits-per-axis.tflite");
    let args = [
        "graph",
        path(&model),
        "--target",
        "a311d",
        "-o",
        path(&svg),
        "--json",
    ];
    let report = json(&ferrite(&args));
    let picture = std::fs::read_to_string(&svg).expect("text");
    let approximate = picture.matches("rect class=\"approximate\"").count() - 1;
    assert_eq!(report["approximate_ops"], approximate);
    assert!(approximate > 0);
}

/// Each step is in the time line, and what the cores did in submissions.
#[test]
fn traces_have_every_step_and_core() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("trace.json");
    let model = digits("digits.tflite");
    let args = ["bench", path(&model), "-d", "sim:rk3588", "--runs", "2"];
    let report = json(&ferrite(
        &[&args[..], &["--trace", path(&file), "--json"]].concat(),
    ));
    let trace: Value =
        serde_json::from_slice(&std::fs::read(&file).expect("a file")).expect("JSON");
    let events = trace["traceEvents"].as_array().expect("events");
    let spans = |category: &str| {
        let of = events.iter().filter(move |event| event["cat"] == category);
        of.collect::<Vec<&Value>>()
    };
    assert_eq!(spans("submission").len() as u64, report["segments"]);
    assert_eq!(spans("CPU operator").len() as u64, report["cpu_ops"]);
    assert!(spans("layout").len() >= 2);
    let cores = spans("estimated");
    let estimated: f64 = cores
        .iter()
        .map(|core| core["dur"].as_f64().expect("a number"))
        .sum();
    assert_eq!(
        (1e3 * estimated).round() as u64,
        report["counters"]["estimated_ns"]
    );
    for event in spans("submission").into_iter().chain(cores) {
        assert!(
            event["dur"].as_f64() >= Some(0.0) && event["name"].is_string(),
            "{event}"
        );
    }
    // On the CPU there is no NPU.
    let args = [
        "bench",
        path(&model),
        "-d",
        "cpu",
        "--runs",
        "1",
        "--trace",
        path(&file),
    ];
    assert_eq!(ferrite(&args).status.code(), Some(0));
    let trace = std::fs::read_to_string(&file).expect("a file");
    assert!(trace.contains("CONV_2D") && !trace.contains("core 0"));
}

#[test]
fn misuse_is_two_and_failure_is_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = digits("digits.tflite");
    let model = path(&model);
    let input = case(folder.path());
    let input = path(&input);
    let broken = folder.path().join("broken.tflite");
    let bytes = std::fs::read(model).expect("the model");
    std::fs::write(&broken, &bytes[..bytes.len() / 2]).expect("the folder is ours");
    let scalar = folder.path().join("scalar.npy");
    std::fs::write(&scalar, Array::new(&[], &[1u8]).to_npy()).expect("the folder is ours");
    let (broken, scalar) = (path(&broken), path(&scalar));
    let cases: [(i32, &str, &[&str]); 15] = [
        (2, "Usage", &[]),
        (2, "unrecognized subcommand", &["walk"]),
        (
            2,
            "sim:rk3588",
            &["run", model, "--device", "npu", "--input", input],
        ),
        (2, "--image", &["run", model, "-d", "cpu"]),
        (
            2,
            "2 files",
            &["run", model, "-d", "cpu", "--input", input, input],
        ),
        (2, "nothing to compare", &["compare", model, "-d", "cpu"]),
        (2, "0", &["bench", model, "--runs", "0"]),
        (1, "absent.tflite", &["info", "absent.tflite"]),
        (1, "broken.tflite", &["info", broken]),
        (1, "shape", &["run", model, "-d", "cpu", "--input", scalar]),
        (
            1,
            "does not exist",
            &["run", model, "-d", "/dev/accel/accel99", "--input", input],
        ),
        (1, "not a compiled model", &["disasm", model]),
        (
            2,
            "known are: low",
            &["bench", model, "--priority", "urgent"],
        ),
        (
            1,
            "knows no priorities",
            &["bench", model, "-d", "sim:rk3588", "--priority", "low"],
        ),
        (2, "in-flight", &["bench", model, "--in-flight", "0"]),
    ];
    for (code, words, args) in cases {
        for json in [&[][..], &["--json"]] {
            let args = [args, json].concat();
            let (found, message) = failure(&args);
            assert_eq!(found, code, "{args:?}: {message}");
            assert!(message.contains(words), "{args:?}: {message}");
            assert!(!message.contains("panicked"), "{args:?}: {message}");
        }
    }
}

#[test]
fn manual_pages_and_completions_are_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let man = ferrite(&["man", path(folder.path())]);
    assert_eq!(man.status.code(), Some(0));
    for page in ["ferrite.1", "ferrite-compare.1"] {
        let page = std::fs::read_to_string(folder.path().join(page)).expect("a page");
        assert!(page.contains(".TH"), "{page}");
    }
    let bash = ferrite(&["completions", "bash"]);
    assert!(String::from_utf8_lossy(&bash.stdout).contains("_ferrite"));
}

/// The reference kernels' answers, on the CPU: every public model whose end is exact there.
#[test]
fn public_models_are_exact_on_the_cpu() {
    let Some(shared) = shared() else { return };
    let model = "mobilenet_v1_0.25_128_quant";
    let models = shared.join("models");
    let report = json(&ferrite(&[
        "compare",
        path(&models.join(format!("{model}.tflite"))),
        "--input",
        path(&models.join("inputs/cat_128x128x3_uint8.npy")),
        "--expected",
        path(&models.join(format!("expected/{model}.cat.0.npy"))),
        "--device",
        "cpu",
        "--json",
    ]));
    assert_eq!(report["outputs"][0]["exact_fraction"], 1.0);
}

/// Each operator of a network by itself, fed with the reference's tensors: one step at most.
#[test]
fn layers_of_a_public_model_stay_within_a_step() {
    let Some(shared) = shared() else { return };
    let model = "mobilenet_v1_0.25_128_quant";
    let models = shared.join("models");
    let report = json(&ferrite(&[
        "compare",
        path(&models.join(format!("{model}.tflite"))),
        "--layers",
        path(&models.join(format!("layers/{model}.grace_hopper.npz"))),
        "--device",
        "sim:rk3588",
        "--json",
        "--max-diff",
        "1",
    ]));
    let layers = report["layers"].as_array().expect("a list");
    let skipped = report["skipped"].as_array().expect("a list");
    assert_eq!(layers.len() + skipped.len(), 31, "{skipped:?}");
    assert!(layers.len() >= 28, "{skipped:?}");
}
