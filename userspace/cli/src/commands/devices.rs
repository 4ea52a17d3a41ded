//! `ferrite devices`

use crate::report::Report;
use crate::table::table;
use ferrite_runtime::device::{self, DeviceSpec};
use serde_json::json;

pub fn run() -> Report {
    let survey = device::survey();
    let auto = device::open(&DeviceSpec::Auto)
        .ok()
        .flatten()
        .map(|device| device.name());
    let rows: Vec<Vec<String>> = survey
        .iter()
        .map(|candidate| {
            let mark = match (
                &candidate.obstacle,
                auto.as_ref() == Some(&candidate.device),
            ) {
                (None, true) => "auto",
                (None, false) => "yes",
                (Some(_), _) => "no",
            };
            let description = match &candidate.obstacle {
                None => candidate.description.clone(),
                Some(obstacle) => format!("{}: {obstacle}", candidate.description),
            };
            vec![mark.to_owned(), candidate.device.clone(), description]
        })
        .collect();
    let entries: Vec<_> = survey
        .iter()
        .map(|candidate| {
            json!({
                "device": candidate.device,
                "description": candidate.description,
                "usable": candidate.obstacle.is_none(),
                "reason": candidate.obstacle,
            })
        })
        .collect();
    Report::new(
        table(&rows, &[]),
        json!({ "devices": entries, "auto": auto }),
    )
}
