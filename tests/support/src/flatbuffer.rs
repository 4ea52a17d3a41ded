//! A FlatBuffer writer for tests: a tree of tables laid out from front to back. It writes what it
//! is told, also what no schema allows, so that readers can be tried with it.

/// A field's value.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Value {
    U8(u8),
    I8(i8),
    I32(i32),
    U32(u32),
    U64(u64),
    F32(f32),
    Table(Table),
    Tables(Vec<Table>),
    /// Vector of this many elements with these bytes.
    Vector(u32, Vec<u8>),
}

impl Value {
    /// A string.
    pub fn string(text: &str) -> Self {
        Value::bytes(text.as_bytes())
    }

    /// A vector of bytes.
    pub fn bytes(bytes: &[u8]) -> Self {
        Value::Vector(bytes.len() as u32, bytes.to_vec())
    }

    /// A vector of 32-bit integers.
    pub fn i32s(values: &[i32]) -> Self {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Value::Vector(values.len() as u32, bytes)
    }

    /// A vector of 64-bit integers.
    pub fn i64s(values: &[i64]) -> Self {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Value::Vector(values.len() as u32, bytes)
    }

    /// A vector of single-precision floats.
    pub fn f32s(values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Value::Vector(values.len() as u32, bytes)
    }

    /// The bytes that stand in the table; zeros for a reference.
    fn inline(&self) -> Vec<u8> {
        match self {
            Value::U8(v) => vec![*v],
            Value::I8(v) => v.to_le_bytes().to_vec(),
            Value::I32(v) => v.to_le_bytes().to_vec(),
            Value::U32(v) => v.to_le_bytes().to_vec(),
            Value::U64(v) => v.to_le_bytes().to_vec(),
            Value::F32(v) => v.to_le_bytes().to_vec(),
            Value::Table(_) | Value::Tables(_) | Value::Vector(..) => vec![0; 4],
        }
    }
}

/// A table: values by field index.
#[derive(Clone, Debug, Default)]
pub struct Table {
    fields: Vec<(u16, Value)>,
}

impl Table {
    /// A table without fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// With this field, in place of one of the same index.
    pub fn with(mut self, field: u16, value: Value) -> Self {
        self.set(field, value);
        self
    }

    /// Sets a field.
    pub fn set(&mut self, field: u16, value: Value) {
        self.fields.retain(|(index, _)| *index != field);
        self.fields.push((field, value));
    }

    /// Takes a field away.
    pub fn remove(&mut self, field: u16) {
        self.fields.retain(|(index, _)| *index != field);
    }

    /// The values of all fields.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        self.fields.iter().map(|(_, value)| value)
    }

    /// All fields, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = (u16, &mut Value)> {
        self.fields.iter_mut().map(|(field, value)| (*field, value))
    }

    /// A file with this table as its root.
    pub fn file(&self, identifier: &[u8; 4]) -> Vec<u8> {
        let mut file = vec![0; 4];
        file.extend(identifier);
        let root = self.write(&mut file);
        file[..4].copy_from_slice(&(root as u32).to_le_bytes());
        file
    }

    /// Appends the table and all it refers to; its position.
    fn write(&self, file: &mut Vec<u8>) -> usize {
        let slots = self
            .fields
            .iter()
            .map(|(index, _)| index + 1)
            .max()
            .unwrap_or(0);
        let mut offsets = vec![0u16; usize::from(slots)];
        let mut body = vec![0; 4];
        for (index, value) in &self.fields {
            let inline = value.inline();
            body.resize(body.len().next_multiple_of(inline.len().min(4)), 0);
            offsets[usize::from(*index)] = body.len() as u16;
            body.extend(inline);
        }
        align(file, 4);
        let vtable = file.len();
        let vtable_bytes = 4 + 2 * slots;
        file.extend(vtable_bytes.to_le_bytes());
        file.extend((body.len() as u16).to_le_bytes());
        file.extend(offsets.iter().flat_map(|o| o.to_le_bytes()));
        align(file, 4);
        let at = file.len();
        body[..4].copy_from_slice(&((at - vtable) as i32).to_le_bytes());
        file.extend(body);
        for (index, value) in &self.fields {
            let target = match value {
                Value::Table(table) => table.write(file),
                Value::Tables(tables) => write_tables(tables, file),
                Value::Vector(count, bytes) => write_vector(*count, bytes, file),
                _ => continue,
            };
            refer(file, at + usize::from(offsets[usize::from(*index)]), target);
        }
        at
    }
}

fn align(file: &mut Vec<u8>, to: usize) {
    file.resize(file.len().next_multiple_of(to), 0);
}

fn refer(file: &mut [u8], from: usize, to: usize) {
    file[from..from + 4].copy_from_slice(&((to - from) as u32).to_le_bytes());
}

fn write_vector(count: u32, bytes: &[u8], file: &mut Vec<u8>) -> usize {
    // The elements begin on a multiple of 16, as TFLite asks for constants.
    while file.len() % 16 != 12 {
        file.push(0);
    }
    let at = file.len();
    file.extend(count.to_le_bytes());
    file.extend(bytes);
    at
}

fn write_tables(tables: &[Table], file: &mut Vec<u8>) -> usize {
    align(file, 4);
    let at = file.len();
    file.extend((tables.len() as u32).to_le_bytes());
    file.resize(file.len() + 4 * tables.len(), 0);
    for (i, table) in tables.iter().enumerate() {
        let target = table.write(file);
        refer(file, at + 4 + 4 * i, target);
    }
    at
}
