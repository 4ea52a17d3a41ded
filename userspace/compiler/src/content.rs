//! What a buffer holds at first, made where it is needed: packed weights go from the model's memory
//! straight to the device's.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Something that makes bytes, the same ones each time.
pub trait Source: Send + Sync {
    /// Their number.
    fn size(&self) -> usize;
    /// Writes them to `memory`, which has that length and is zero.
    fn write(&self, memory: &mut [u8]);
    /// The bytes themselves, if they exist somewhere.
    fn stored(&self) -> Option<&[u8]> {
        None
    }
}

/// The initial bytes of a buffer. Clones share what makes them.
#[derive(Clone)]
pub struct Content(Arc<dyn Source>);

impl Content {
    /// The bytes that `source` makes.
    pub fn new(source: impl Source + 'static) -> Content {
        Content(Arc::new(source))
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.0.size()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes the bytes to the beginning of `memory`, which is zero and at least as long.
    pub fn write(&self, memory: &mut [u8]) {
        self.0.write(&mut memory[..self.len()]);
    }

    /// The bytes.
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        match self.0.stored() {
            Some(bytes) => Cow::Borrowed(bytes),
            None => {
                let mut bytes = vec![0; self.len()];
                self.write(&mut bytes);
                Cow::Owned(bytes)
            }
        }
    }
}

impl Source for Vec<u8> {
    fn size(&self) -> usize {
        self.len()
    }

    fn write(&self, memory: &mut [u8]) {
        memory.copy_from_slice(self);
    }

    fn stored(&self) -> Option<&[u8]> {
        Some(self)
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Content {
        Content::new(bytes)
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes().fmt(f)
    }
}

impl PartialEq for Content {
    fn eq(&self, other: &Content) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.bytes())
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Content, D::Error> {
        /// Takes bytes in one piece.
        struct Whole;

        impl Visitor<'_> for Whole {
            type Value = Content;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Content, E> {
                Ok(bytes.to_vec().into())
            }
        }

        deserializer.deserialize_bytes(Whole)
    }
}
