//! A place in one line of text, and what can be taken from there.

use crate::graph::TensorId;

/// Where a text is not a graph, and what should be there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: expected {expected}")]
pub struct ParseError {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// What should be there.
    pub expected: Expected,
}

/// What a text should have had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum Expected {
    #[error("{0}")]
    Something(&'static str),
    #[error("tensor %{0}, since tensors are declared in order")]
    NextTensor(usize),
    #[error("attribute {0}")]
    Attribute(&'static str),
    #[error("no attribute {0}")]
    NoAttribute(String),
    #[error("data for constant #{0:016x}, which is not in the text")]
    Data(u64),
    #[error("{expected} bytes of data, not {found}")]
    DataLength { expected: usize, found: usize },
}

/// A place in a line.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'t> {
    whole: &'t str,
    rest: &'t str,
    line: usize,
}

impl<'t> Cursor<'t> {
    /// At the beginning of a line with this number.
    pub fn new(text: &'t str, line: usize) -> Self {
        Cursor {
            whole: text,
            rest: text,
            line,
        }
    }

    /// An error at this place.
    pub fn error(&self, expected: Expected) -> ParseError {
        let before = self.whole.len() - self.rest.len();
        ParseError {
            line: self.line,
            column: self.whole[..before].chars().count() + 1,
            expected,
        }
    }

    /// That something else should be at this place.
    pub fn expected(&self, what: &'static str) -> ParseError {
        self.error(Expected::Something(what))
    }

    fn wants<T>(&self, what: &'static str) -> Result<T, ParseError> {
        Err(self.error(Expected::Something(what)))
    }

    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Takes `token` if it is next.
    pub fn eat(&mut self, token: &str) -> bool {
        self.skip_spaces();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Whether `token` is next.
    pub fn is_next(&self, token: &str) -> bool {
        self.rest.trim_start().starts_with(token)
    }

    /// What stands in front of `token`, which is taken too.
    pub fn until(&mut self, token: &'static str) -> Result<&'t str, ParseError> {
        match self.rest.split_once(token) {
            Some((text, rest)) => {
                self.rest = rest;
                Ok(text)
            }
            None => self.wants(token),
        }
    }

    /// Takes `token`, which has to be next.
    pub fn expect(&mut self, token: &'static str) -> Result<(), ParseError> {
        if self.eat(token) {
            Ok(())
        } else {
            self.wants(token)
        }
    }

    /// Nothing may follow.
    pub fn end(&mut self) -> Result<(), ParseError> {
        self.skip_spaces();
        if self.rest.is_empty() {
            Ok(())
        } else {
            self.wants("the end of the line")
        }
    }

    /// Whether nothing follows.
    pub fn is_end(&mut self) -> bool {
        self.skip_spaces();
        self.rest.is_empty()
    }

    /// Characters up to one that ends a word.
    pub fn word(&mut self, what: &'static str) -> Result<&'t str, ParseError> {
        self.skip_spaces();
        let ends = |c: char| c.is_whitespace() || "()[],:=\"%".contains(c);
        let length = self.rest.find(ends).unwrap_or(self.rest.len());
        if length == 0 {
            return self.wants(what);
        }
        let (word, rest) = self.rest.split_at(length);
        self.rest = rest;
        Ok(word)
    }

    /// A word that is a value of `T`.
    pub fn value<T: std::str::FromStr>(&mut self, what: &'static str) -> Result<T, ParseError> {
        let before = *self;
        let word = self.word(what)?;
        word.parse().or_else(|_| before.wants(what))
    }

    /// A tensor, `%12`.
    pub fn tensor(&mut self) -> Result<TensorId, ParseError> {
        self.expect("%")?;
        let before = *self;
        match self.value("a tensor number")? {
            u32::MAX => before.wants("a tensor number"),
            number => Ok(TensorId::from_u32(number)),
        }
    }

    /// Items in brackets, parted by commas.
    pub fn list<T>(
        &mut self,
        [open, close]: [&'static str; 2],
        mut item: impl FnMut(&mut Self) -> Result<T, ParseError>,
    ) -> Result<Vec<T>, ParseError> {
        self.expect(open)?;
        let mut items = Vec::new();
        if self.eat(close) {
            return Ok(items);
        }
        loop {
            items.push(item(self)?);
            if self.eat(close) {
                return Ok(items);
            }
            self.expect(",")?;
        }
    }

    /// What follows up to the next quotation mark, which is taken too.
    pub fn until_quote(&mut self) -> Result<&'t str, ParseError> {
        match self.rest.split_once('"') {
            Some((text, rest)) => {
                self.rest = rest;
                Ok(text)
            }
            None => self.wants("a closing quotation mark"),
        }
    }

    /// A string in quotation marks, as [`quote`] writes it.
    pub fn string(&mut self) -> Result<String, ParseError> {
        self.expect("\"")?;
        let mut text = String::new();
        loop {
            let Some(c) = self.rest.chars().next() else {
                return self.wants("a closing quotation mark");
            };
            self.rest = &self.rest[c.len_utf8()..];
            match c {
                '"' => return Ok(text),
                '\\' => text.push(self.escaped()?),
                c => text.push(c),
            }
        }
    }

    /// The character that stands behind a backslash.
    fn escaped(&mut self) -> Result<char, ParseError> {
        let before = *self;
        for (escape, c) in [("\\", '\\'), ("\"", '"')] {
            if let Some(rest) = self.rest.strip_prefix(escape) {
                self.rest = rest;
                return Ok(c);
            }
        }
        let code = self.rest.strip_prefix("u{").and_then(|r| r.split_once('}'));
        let Some((code, rest)) = code else {
            return before.wants("an escaped character");
        };
        self.rest = rest;
        match u32::from_str_radix(code, 16).ok().and_then(char::from_u32) {
            Some(c) => Ok(c),
            None => before.wants("the number of a character"),
        }
    }
}

/// A string in quotation marks, on one line whatever is in it.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            // Control characters, and what some readers take for the end of a line.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                quoted.push_str(&format!("\\u{{{:x}}}", u32::from(c)));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
