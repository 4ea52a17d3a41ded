//! Memory whose size a model decides: where there is not enough, that is an error of the model's run and
//! not the end of the process, which may be somebody else's.

use bytemuck::Zeroable;
use ferrite_process::memory::fallible;

/// There is no memory for that many bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no memory for {bytes} bytes")]
pub struct OutOfMemory {
    /// How many.
    pub bytes: usize,
}

fn missing<T>(count: usize) -> OutOfMemory {
    OutOfMemory {
        bytes: count.saturating_mul(size_of::<T>()),
    }
}

/// `count` zeros.
///
/// # Errors
/// If there is no memory for them, as everywhere here.
pub fn zeros<T: Zeroable>(count: usize) -> Result<Vec<T>, OutOfMemory> {
    fallible(|| bytemuck::try_zeroed_vec(count)).map_err(|()| missing::<T>(count))
}

/// No elements yet, and room for `count`.
pub fn room<T>(count: usize) -> Result<Vec<T>, OutOfMemory> {
    let mut vec = Vec::new();
    match fallible(|| vec.try_reserve_exact(count)) {
        Ok(()) => Ok(vec),
        Err(_) => Err(missing::<T>(count)),
    }
}

/// `count` times `value`.
pub fn repeated<T: Clone>(value: T, count: usize) -> Result<Vec<T>, OutOfMemory> {
    let mut vec = room(count)?;
    vec.resize(count, value);
    Ok(vec)
}

/// The elements of `from`.
pub fn copy<T: Copy>(from: &[T]) -> Result<Vec<T>, OutOfMemory> {
    let mut vec = room(from.len())?;
    vec.extend_from_slice(from);
    Ok(vec)
}

/// What `each` makes of the elements of `from`.
pub fn map<A: Copy, B>(from: &[A], each: impl FnMut(A) -> B) -> Result<Vec<B>, OutOfMemory> {
    let mut vec = room(from.len())?;
    vec.extend(from.iter().copied().map(each));
    Ok(vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_had_is_an_error() {
        let bytes = usize::MAX / 2;
        assert_eq!(zeros::<u8>(bytes), Err(OutOfMemory { bytes }));
        assert_eq!(
            room::<u16>(bytes / 2),
            Err(OutOfMemory {
                bytes: bytes / 2 * 2
            })
        );
        assert!(repeated(1u8, bytes).is_err());
        assert_eq!(zeros::<u64>(3), Ok(vec![0; 3]));
        assert_eq!(repeated(7u8, 2), Ok(vec![7, 7]));
        assert_eq!(copy(&[1, 2]), Ok(vec![1, 2]));
        assert_eq!(map(&[1u8, 2], u32::from), Ok(vec![1, 2]));
    }
}
