//! Tensors of a subgraph and the data of constants.

use std::collections::HashMap;

use super::budget::Budget;
use super::error::Stop;
use super::{ReadError, TensorFault, quantization, schema};
use crate::bytes::Bytes;
use crate::flatbuffer::{Table, Tables};
use crate::graph::TensorId;
use crate::tensor::{DType, Tensor};
use cranelift_entity::PrimaryMap;

/// Largest rank; TFLite's own kernels end at 8.
const MAX_RANK: usize = 8;

/// Largest tensor in bytes: TFLite counts in 32-bit integers.
const MAX_BYTES: usize = i32::MAX as usize;

/// Reads all tensors of `subgraph`.
pub(super) fn read(
    file: &[u8],
    model: &Table<'_>,
    subgraph: &Table<'_>,
    budget: &mut Budget,
) -> Result<PrimaryMap<TensorId, Tensor>, ReadError> {
    let tables = subgraph.tables(schema::subgraph::TENSORS, "Tensor")?;
    let buffers = model.tables(schema::model::BUFFERS, "Buffer")?;
    let mut buffers = Buffers {
        file,
        tables: buffers,
        loaded: HashMap::new(),
    };
    budget.charge(tables.len().saturating_mul(size_of::<Tensor>()))?;
    let mut tensors = PrimaryMap::with_capacity(tables.len());
    for (index, table) in tables.iter().enumerate() {
        let table = table?;
        let name = table.string(schema::tensor::NAME)?;
        budget.charge(name.len())?;
        let tensor = one(&table, &name, &mut buffers, budget).map_err(|e| match e {
            Stop::Fault(fault) => ReadError::Tensor {
                tensor: index,
                name: name.clone().into_owned(),
                fault,
            },
            Stop::Error(error) => error,
        })?;
        tensors.push(tensor);
    }
    Ok(tensors)
}

fn one(
    table: &Table<'_>,
    name: &str,
    buffers: &mut Buffers<'_>,
    budget: &mut Budget,
) -> Result<Tensor, Stop> {
    let shape = shape(table, budget)?;
    let code = table.get(schema::tensor::TYPE, 0i8)?;
    let dtype = dtype(code).ok_or(TensorFault::ElementType {
        code,
        name: type_name(code),
    })?;
    let bytes = checked_bytes(&shape, dtype)?;
    let unsupported = |what| Err(TensorFault::Unsupported { what }.into());
    if table.has(schema::tensor::SPARSITY)? {
        return unsupported("sparse storage");
    }
    if table.get(schema::tensor::EXTERNAL_BUFFER, 0u32)? != 0 {
        return unsupported("data in another file");
    }
    let quant = quantization::read(table, dtype, &shape, budget)?;
    let variable = table.flag(schema::tensor::IS_VARIABLE)?;
    let buffer = table.get(schema::tensor::BUFFER, 0u32)?;
    let data = match buffers.load(buffer, budget)? {
        Some(data) if data.len() == bytes => Some(data),
        Some(data) => {
            return Err(TensorFault::DataLength {
                buffer,
                found: data.len(),
                expected: bytes,
                shape,
            }
            .into());
        }
        // Only a list may be empty (the axes of a reduction, the shape of a scalar): a constant.
        None if bytes == 0 => Some(Bytes::from([])),
        None => None,
    };
    if let Some(axis) = shape
        .iter()
        .position(|&d| d == 0)
        .filter(|_| shape.len() > 1)
    {
        return Err(TensorFault::Dimension { axis, size: 0 }.into());
    }
    if variable && data.is_some() {
        return Err(TensorFault::Role {
            first: "a variable",
            second: "a constant",
        }
        .into());
    }
    Ok(Tensor {
        name: name.to_owned(),
        shape: shape.into(),
        dtype,
        quant,
        data,
        variable,
    })
}

fn shape(table: &Table<'_>, budget: &mut Budget) -> Result<Vec<usize>, Stop> {
    let dims = table.vector::<i32>(schema::tensor::SHAPE)?;
    if dims.len() > MAX_RANK {
        return Err(TensorFault::Rank {
            rank: dims.len(),
            limit: MAX_RANK,
        }
        .into());
    }
    budget
        .charge(dims.len() * size_of::<usize>())
        .map_err(Stop::Error)?;
    let check = |(axis, size): (usize, i32)| {
        usize::try_from(size).map_err(|_| TensorFault::Dimension { axis, size }.into())
    };
    dims.iter().enumerate().map(check).collect()
}

fn checked_bytes(shape: &[usize], dtype: DType) -> Result<usize, TensorFault> {
    shape
        .iter()
        .try_fold(dtype.size(), |bytes, &d| bytes.checked_mul(d))
        .filter(|&bytes| bytes <= MAX_BYTES)
        .ok_or_else(|| TensorFault::TooLarge {
            shape: shape.to_vec(),
            element: dtype.size(),
            limit: MAX_BYTES,
        })
}

/// Buffers of the model, each copied out of the file once.
struct Buffers<'a> {
    file: &'a [u8],
    tables: Tables<'a>,
    loaded: HashMap<u32, Option<Bytes>>,
}

impl Buffers<'_> {
    /// The data of a buffer, `None` if it has none (activations point at such buffers).
    fn load(&mut self, index: u32, budget: &mut Budget) -> Result<Option<Bytes>, Stop> {
        if let Some(data) = self.loaded.get(&index) {
            return Ok(data.clone());
        }
        // Buffer 0 is the empty one by definition; some writers leave the whole list out.
        let table = match self.tables.get(index as usize) {
            Some(table) => table?,
            None if index == 0 => return Ok(None),
            None => {
                return Err(TensorFault::NoBuffer {
                    buffer: index,
                    buffers: self.tables.len(),
                }
                .into());
            }
        };
        let inside = table.bytes(schema::buffer::DATA)?;
        let offset = table.get(schema::buffer::OFFSET, 0u64)?;
        // 0 and 1 mean "in the table"; anything else is a position behind the FlatBuffer.
        let bytes = if offset > 1 {
            let size = table.get(schema::buffer::SIZE, 0u64)?;
            let end = offset.checked_add(size);
            let range = end.and_then(|end| Some(offset.try_into().ok()?..end.try_into().ok()?));
            range
                .and_then(|range: std::ops::Range<usize>| self.file.get(range))
                .ok_or(TensorFault::DataOutside {
                    buffer: index,
                    offset,
                    size,
                    file: self.file.len(),
                })?
        } else {
            inside
        };
        budget.charge(bytes.len()).map_err(Stop::Error)?;
        let data = (!bytes.is_empty()).then(|| Bytes::from(bytes));
        self.loaded.insert(index, data.clone());
        Ok(data)
    }
}

/// The element type of a schema code.
pub(super) fn dtype(code: i8) -> Option<DType> {
    Some(match code {
        0 => DType::F32,
        1 => DType::F16,
        2 => DType::I32,
        3 => DType::U8,
        4 => DType::I64,
        6 => DType::Bool,
        7 => DType::I16,
        9 => DType::I8,
        _ => return None,
    })
}

/// The schema's name of an element type.
fn type_name(code: i8) -> Option<&'static str> {
    const NAMES: [&str; 23] = [
        "FLOAT32",
        "FLOAT16",
        "INT32",
        "UINT8",
        "INT64",
        "STRING",
        "BOOL",
        "INT16",
        "COMPLEX64",
        "INT8",
        "FLOAT64",
        "COMPLEX128",
        "UINT64",
        "RESOURCE",
        "VARIANT",
        "UINT32",
        "UINT16",
        "INT4",
        "BFLOAT16",
        "INT2",
        "UINT4",
        "FLOAT8_E4M3FN",
        "FLOAT8_E5M2",
    ];
    usize::try_from(code)
        .ok()
        .and_then(|i| NAMES.get(i).copied())
}
