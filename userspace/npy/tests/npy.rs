//! `.npy` and `.npz`: round trips, and files that are cut or damaged.

use ferrite_npy::{Array, ElementType, NpyError, Npz, NpzError, ZipError};
use proptest::prelude::*;

/// An archive with one stored and one deflated member, written by hand.
fn archive(stored: &[u8], deflated: &[u8]) -> Vec<u8> {
    let packed = miniz_oxide::deflate::compress_to_vec(deflated, 6);
    let mut file = Vec::new();
    let mut directory = Vec::new();
    let members = [
        ("a.npy", 0u16, stored, stored),
        ("b.npy", 8, &packed, deflated),
    ];
    for (name, method, data, plain) in members {
        let local = file.len() as u32;
        let mut common = method.to_le_bytes().to_vec();
        common.extend([0; 4]);
        common.extend(crc32(plain).to_le_bytes());
        common.extend((data.len() as u32).to_le_bytes());
        common.extend((plain.len() as u32).to_le_bytes());
        common.extend((name.len() as u16).to_le_bytes());
        common.extend([0, 0]);
        file.extend(b"PK\x03\x04\x14\0\0\0");
        file.extend(&common);
        file.extend(name.as_bytes());
        file.extend(data);
        directory.extend(b"PK\x01\x02\x14\0\x14\0\0\0");
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend(local.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let start = file.len() as u32;
    file.extend(&directory);
    file.extend(b"PK\x05\x06\0\0\0\0\x02\0\x02\0");
    file.extend((directory.len() as u32).to_le_bytes());
    file.extend(start.to_le_bytes());
    file.extend([0; 2]);
    file
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &b| {
        (0..8).fold(crc ^ u32::from(b), |c, _| {
            (c >> 1) ^ (0xedb8_8320 * (c & 1))
        })
    })
}

#[test]
fn archives_with_stored_and_deflated_members() {
    let a = Array::new(&[2, 3], &[1u8, 2, 3, 4, 5, 6]);
    let b = Array::new(&[400], &[-7i32; 400]);
    let file = archive(&a.to_npy(), &b.to_npy());
    let npz = Npz::new(&file).unwrap();
    assert_eq!(npz.names().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(npz.get("a").unwrap(), a);
    assert_eq!(npz.get("b").unwrap(), b);
    assert_eq!(
        npz.get("c").unwrap_err().to_string(),
        "there is no array c; there are a, b"
    );
}

#[test]
fn damaged_archives_are_refused() {
    let a = Array::new(&[2, 3], &[1u8, 2, 3, 4, 5, 6]);
    let b = Array::new(&[40], &[-7i32; 40]);
    let file = archive(&a.to_npy(), &b.to_npy());
    for cut in 0..file.len() {
        assert!(Npz::new(&file[..cut]).is_err(), "cut at {cut}");
    }
    let mut wrong = file.clone();
    let at = wrong
        .windows(6)
        .position(|w| w == [1, 2, 3, 4, 5, 6])
        .unwrap();
    wrong[at] ^= 1;
    let error = Npz::new(&wrong).unwrap().get("a").unwrap_err();
    assert!(matches!(
        error,
        NpzError::Member {
            error: ZipError::Checksum { .. },
            ..
        }
    ));
    // Whatever one changed byte does, it ends in an array or an error.
    for at in 0..file.len() {
        for flip in [1, 0x80, 0xff] {
            let mut wrong = file.clone();
            wrong[at] ^= flip;
            if let Ok(npz) = Npz::new(&wrong) {
                let _ = (npz.get("a"), npz.get("b"));
            }
        }
    }
}

#[test]
fn a_huge_declared_size_is_refused_before_it_is_allocated() {
    let a = Array::new(&[1], &[1u8]).to_npy();
    let mut file = archive(&a, &a);
    let second = file.windows(4).rposition(|w| w == b"PK\x01\x02").unwrap();
    file[second + 24..second + 28].copy_from_slice(&0xf000_0000u32.to_le_bytes());
    let error = Npz::new(&file).unwrap().get("b").unwrap_err();
    assert!(matches!(
        error,
        NpzError::Member {
            error: ZipError::Ratio { .. },
            ..
        }
    ));
}

#[test]
fn header_errors_name_the_fault() {
    let good = Array::new(&[2, 2], &[1i16, 2, 3, 4]).to_npy();
    let with = |from: &str, to: &str| {
        let text: Vec<u8> = good.clone();
        let at = text
            .windows(from.len())
            .position(|w| w == from.as_bytes())
            .unwrap();
        let mut text = text;
        text[at..at + from.len()].copy_from_slice(to.as_bytes());
        Array::from_npy(&text).unwrap_err()
    };
    assert_eq!(with("NUMPY", "NUMPI"), NpyError::Magic);
    assert_eq!(with("False", "True "), NpyError::FortranOrder);
    assert_eq!(
        with("<i2", ">i2"),
        NpyError::ElementType {
            descr: ">i2".into()
        }
    );
    assert_eq!(
        with("(2, 2)", "(2, 3)"),
        NpyError::Length {
            shape: vec![2, 3],
            expected: 12,
            found: 8,
        }
    );
    assert_eq!(with("(2, 2)", "(2,-2)"), NpyError::Key { key: "shape" });
    assert_eq!(with("'descr'", "'scale'"), NpyError::Key { key: "descr" });
    for cut in 0..good.len() {
        assert!(Array::from_npy(&good[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn headers_are_as_numpy_writes_them() {
    let header = |shape: &[usize]| {
        let n: usize = shape.iter().product();
        let file = Array::new(shape, &vec![0f32; n]).to_npy();
        assert_eq!((file.len() - 4 * n) % 64, 0);
        String::from_utf8_lossy(&file[10..file.len() - 4 * n])
            .trim_end()
            .to_owned()
    };
    let expect = |shape| format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
    assert_eq!(header(&[]), expect("()"));
    assert_eq!(header(&[3]), expect("(3,)"));
    assert_eq!(header(&[1, 2, 3]), expect("(1, 2, 3)"));
}

proptest! {
    #[test]
    fn npy_round_trip(shape in prop::collection::vec(0usize..5, 0..5), seed: u32) {
        let n: usize = shape.iter().product();
        let values: Vec<u32> = (0..n as u32).map(|i| i.wrapping_mul(seed)).collect();
        let array = Array::new(&shape, &values);
        let back = Array::from_npy(&array.to_npy()).unwrap();
        prop_assert_eq!(&back, &array);
        prop_assert_eq!(back.values::<u32>().unwrap(), values);
        prop_assert_eq!(back.element, ElementType::U32);
    }
}
