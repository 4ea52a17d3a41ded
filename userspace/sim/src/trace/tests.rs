//! Traces read back as they were written; damaged ones are refused with a reason.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::*;
use crate::memory::{Memory, MemoryFault, Refusal};

/// Pages that exist, and nothing else.
#[derive(Default)]
struct Pages(Mutex<BTreeMap<u64, [u8; PAGE]>>);

impl Memory for Pages {
    fn read(&self, address: u64, out: &mut [u8]) -> Result<(), MemoryFault> {
        let pages = self.0.lock().unwrap();
        for (offset, byte) in out.iter_mut().enumerate() {
            let at = address + offset as u64;
            let page = pages.get(&(at & !0xfff));
            *byte = page.ok_or(MemoryFault {
                address: at,
                len: 1,
                write: false,
                why: Refusal::Unmapped,
            })?[at as usize & 0xfff];
        }
        Ok(())
    }

    fn write(&self, address: u64, data: &[u8]) -> Result<(), MemoryFault> {
        let mut pages = self.0.lock().unwrap();
        for (offset, byte) in data.iter().enumerate() {
            let at = address + offset as u64;
            let page = pages.get_mut(&(at & !0xfff));
            page.ok_or(MemoryFault {
                address: at,
                len: 1,
                write: true,
                why: Refusal::Unmapped,
            })?[at as usize & 0xfff] = *byte;
        }
        Ok(())
    }
}

fn kick_of(recorder: Recorder<'_>) -> Kick {
    let Touched { before, written } = recorder.finish();
    Kick {
        core: 1,
        started: 77,
        before,
        written,
        fault: String::new(),
    }
}

#[test]
fn a_recorder_keeps_pages_as_they_were_and_bytes_as_they_became() {
    let memory = Pages::default();
    memory.0.lock().unwrap().extend([
        (0x1000, [1; PAGE]),
        (0x2000, [2; PAGE]),
        (0x5000, [5; PAGE]),
    ]);
    let recorder = Recorder::new(&memory);
    let mut read = [0; 4];
    recorder.read(0x5010, &mut read).unwrap();
    assert_eq!(read, [5; 4]);
    recorder.write(0x1ffe, &[9, 9, 9]).unwrap();
    recorder.write(0x1ffe, &[8]).unwrap();
    recorder.write(0x2100, &[7]).unwrap();
    let refused = recorder.read(0x3000, &mut read).unwrap_err();
    assert_eq!(refused.address, 0x3000);

    let touched = recorder.finish();
    let pages: Vec<_> = touched
        .before
        .iter()
        .map(|p| (p.address, p.bytes[0x100]))
        .collect();
    assert_eq!(pages, [(0x1000, 1), (0x2000, 2), (0x5000, 5)]);
    let runs: Vec<_> = touched
        .written
        .iter()
        .map(|r| (r.address, r.bytes.clone()))
        .collect();
    assert_eq!(runs, [(0x1ffe, vec![8, 9, 9]), (0x2100, vec![7])]);
}

fn events() -> Vec<Event> {
    let memory = Pages::default();
    memory.0.lock().unwrap().extend([
        (0, [0; PAGE]),
        (0x1000, [0; PAGE]),
        (0xffff_f000, [3; PAGE]),
    ]);
    let recorder = Recorder::new(&memory);
    recorder.read(0xffff_fffc, &mut [0; 4]).unwrap();
    recorder.write(0xff0, &[6; 0x20]).unwrap();
    let mut broken = kick_of(Recorder::new(&memory));
    broken.fault = "read of 4 bytes at 0x10 is not mapped".into();
    vec![
        Event::Reset { core: 2 },
        Event::Write {
            core: 1,
            offset: 0x10,
            value: 0xffff_fffc,
        },
        Event::Kick(kick_of(recorder)),
        Event::Kick(broken.clone()),
        Event::Job(Job {
            kind: Kind::Tp,
            descriptor: 0xffff_f000,
            id: 3,
            did: broken,
        }),
    ]
}

fn written(events: &[Event]) -> Vec<u8> {
    let mut writer = TraceWriter::new(Vec::new()).unwrap();
    for event in events {
        writer.event(event).unwrap();
    }
    writer.finish().unwrap()
}

fn read(bytes: &[u8]) -> Result<Vec<Event>, TraceError> {
    TraceReader::new(bytes)?.collect()
}

#[test]
fn traces_read_back() {
    let events = events();
    let bytes = written(&events);
    assert_eq!(read(&bytes).unwrap(), events);
    // Three pages were touched, but only two different ones.
    assert!(bytes.len() < 3 * PAGE, "{}", bytes.len());
}

#[test]
fn a_trace_cut_anywhere_ends_cleanly_or_says_so() {
    let bytes = written(&events());
    let whole = read(&bytes).unwrap();
    for end in (0..bytes.len()).filter(|end| *end < 60 || *end % 61 == 0 || *end + 60 > bytes.len())
    {
        match read(&bytes[..end]) {
            Ok(events) => assert!(
                whole.starts_with(&events) && events.len() < whole.len(),
                "{end}"
            ),
            Err(TraceError::Magic(_)) => assert!(end < 16, "{end}"),
            Err(TraceError::Truncated { .. }) => {}
            Err(other) => panic!("{end}: {other}"),
        }
    }
}

#[test]
fn damage_is_named() {
    let record = |tag: u32, payload: &[u8]| {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(tag.to_le_bytes());
        bytes.extend((payload.len() as u32).to_le_bytes());
        bytes.extend(payload);
        read(&bytes).unwrap_err()
    };
    assert!(matches!(
        record(9, &[]),
        TraceError::Tag { record: 0, tag: 9 }
    ));
    assert!(matches!(
        record(tag::PAGE, &[0; 7]),
        TraceError::Length { length: 7, .. }
    ));
    assert!(matches!(
        record(tag::RESET, &[0, 0]),
        TraceError::Length { length: 2, .. }
    ));
    assert!(matches!(
        record(tag::WRITE, &[0; 8]),
        TraceError::Length { length: 8, .. }
    ));
    assert!(matches!(
        record(tag::JOB, &[2, 0, 0, 0]),
        TraceError::Unit { unit: 2, .. }
    ));
    let kick = |address: u64, page: u32| {
        let mut payload = vec![0; 9];
        payload.extend(1u32.to_le_bytes());
        payload.extend(address.to_le_bytes());
        payload.extend(page.to_le_bytes());
        payload.extend([0; 8]);
        record(tag::KICK, &payload)
    };
    assert!(matches!(
        kick(0x1000, 0),
        TraceError::Page {
            page: 0,
            count: 0,
            ..
        }
    ));
    assert!(matches!(
        kick(0x1008, 0),
        TraceError::Address {
            address: 0x1008,
            ..
        }
    ));
}

#[test]
fn any_flipped_byte_is_survived() {
    let bytes = written(&events());
    for index in (0..bytes.len()).filter(|index| *index < 100 || *index % 37 == 0) {
        let mut damaged = bytes.clone();
        damaged[index] ^= 0x81;
        let _ = read(&damaged);
    }
}
