//! The reference files can be read, and hold what their manifests say.

use ferrite_testing::{cases, models};

#[test]
fn cases_have_as_many_arrays_as_the_manifest_says() {
    for case in cases::public() {
        let (inputs, outputs) = case.arrays();
        assert!(!inputs.is_empty() && !outputs.is_empty(), "{}", case.id);
        assert!(case.model().len() > 8, "{}", case.id);
    }
}

#[test]
fn models_have_their_inputs_outputs_and_layers() {
    for model in models::public() {
        for case in &model.cases {
            assert!(!model.inputs(case).is_empty(), "{} {}", model.name, case.id);
            assert!(
                !model.outputs(case).is_empty(),
                "{} {}",
                model.name,
                case.id
            );
        }
        let (case, tensors) = model.layers().expect("each model has one case with layers");
        assert!(!tensors.is_empty(), "{} {case}", model.name);
    }
}
