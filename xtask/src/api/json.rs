//! JSON, as far as rustdoc writes it: read into values, asked by key.
//!
//! Called by `api`.
//!
//! # Why not otherwise
//! `xtask` has no dependencies, so that it is built before anything else is known to work.

use std::collections::HashMap;

/// A value. What is asked for and not there is `Null`, so a chain of questions needs no unwrapping.
#[derive(Debug)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Value>),
    Map(HashMap<String, Value>),
}

static NULL: Value = Value::Null;

impl Value {
    /// What stands under `key`.
    pub(crate) fn at(&self, key: &str) -> &Self {
        match self {
            Self::Map(map) => map.get(key).unwrap_or(&NULL),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) | Self::List(_) => &NULL,
        }
    }

    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Number(text) => text,
            Self::Null | Self::Bool(_) | Self::List(_) | Self::Map(_) => "",
        }
    }

    pub(crate) fn list(&self) -> &[Self] {
        match self {
            Self::List(list) => list,
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) | Self::Map(_) => &[],
        }
    }

    pub(crate) fn is_true(&self) -> bool {
        matches!(self, Self::Bool(true))
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The one entry of a map, or the text of a mere name: how rustdoc writes the variants of an enum.
    pub(crate) fn variant(&self) -> (&str, &Self) {
        match self {
            Self::Map(map) => map.iter().next().map_or(("", &NULL), |(name, value)| (name, value)),
            Self::Text(name) => (name, &NULL),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::List(_) => ("", &NULL),
        }
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = (&String, &Self)> {
        match self {
            Self::Map(map) => Some(map.iter()),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) | Self::List(_) => None,
        }
        .into_iter()
        .flatten()
    }

    /// Whether some text in it contains `part`.
    pub(crate) fn mentions(&self, part: &str) -> bool {
        match self {
            Self::Text(text) => text.contains(part),
            Self::List(list) => list.iter().any(|value| value.mentions(part)),
            Self::Map(map) => map.iter().any(|(key, value)| key.contains(part) || value.mentions(part)),
            Self::Null | Self::Bool(_) | Self::Number(_) => false,
        }
    }
}

/// Reads one value; `None` if the text is no JSON.
pub(crate) fn parse(text: &str) -> Option<Value> {
    let mut reader = Reader { text: text.as_bytes(), at: 0 };
    let value = reader.value()?;
    reader.skip_space();
    (reader.at == reader.text.len()).then_some(value)
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn skip_space(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    fn peek(&mut self) -> Option<u8> {
        self.skip_space();
        self.text.get(self.at).copied()
    }

    fn take(&mut self, mark: u8) -> Option<()> {
        (self.peek()? == mark).then(|| self.at += 1)
    }

    fn word(&mut self, word: &str, value: Value) -> Option<Value> {
        self.text[self.at..].starts_with(word.as_bytes()).then(|| {
            self.at += word.len();
            value
        })
    }

    fn value(&mut self) -> Option<Value> {
        match self.peek()? {
            b'{' => self.map(),
            b'[' => self.items(),
            b'"' => self.string().map(Value::Text),
            b't' => self.word("true", Value::Bool(true)),
            b'f' => self.word("false", Value::Bool(false)),
            b'n' => self.word("null", Value::Null),
            _ => {
                let start = self.at;
                while self.text.get(self.at).is_some_and(|byte| b"+-.eE0123456789".contains(byte)) {
                    self.at += 1;
                }
                (self.at > start)
                    .then(|| Value::Number(String::from_utf8_lossy(&self.text[start..self.at]).into_owned()))
            }
        }
    }

    fn items(&mut self) -> Option<Value> {
        self.take(b'[')?;
        let mut list = Vec::new();
        while self.peek()? != b']' {
            list.push(self.value()?);
            if self.peek()? == b',' {
                self.at += 1;
            }
        }
        self.at += 1;
        Some(Value::List(list))
    }

    fn map(&mut self) -> Option<Value> {
        self.take(b'{')?;
        let mut map = HashMap::new();
        while self.peek()? != b'}' {
            let key = self.string()?;
            self.take(b':')?;
            map.insert(key, self.value()?);
            if self.peek()? == b',' {
                self.at += 1;
            }
        }
        self.at += 1;
        Some(Value::Map(map))
    }

    fn string(&mut self) -> Option<String> {
        self.take(b'"')?;
        let mut bytes = Vec::new();
        loop {
            match *self.text.get(self.at)? {
                b'"' => break,
                b'\\' => {
                    self.at += 1;
                    match *self.text.get(self.at)? {
                        b'n' => bytes.push(b'\n'),
                        b't' => bytes.push(b'\t'),
                        b'r' => bytes.push(b'\r'),
                        b'b' | b'f' => bytes.push(b' '),
                        b'u' => {
                            // Halves of pairs become the mark of what is lost: only documentation has such characters.
                            let digits = std::str::from_utf8(self.text.get(self.at + 1..self.at + 5)?).ok()?;
                            let code = u32::from_str_radix(digits, 16).ok()?;
                            let letter = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                            bytes.extend(letter.encode_utf8(&mut [0; 4]).as_bytes());
                            self.at += 4;
                        }
                        other => bytes.push(other),
                    }
                }
                byte => bytes.push(byte),
            }
            self.at += 1;
        }
        self.at += 1;
        String::from_utf8(bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rustdoc_writes_is_read() {
        let value = parse(r#"{"a": [1, -2.5e3, null, true], "b": {"c": "x\n\"\u00e9"}, "d": {}}"#).unwrap();
        assert_eq!(value.at("a").list()[1].text(), "-2.5e3");
        assert!(value.at("a").list()[2].is_null() && value.at("a").list()[3].is_true());
        assert_eq!(value.at("b").variant().0, "c");
        assert_eq!(value.at("b").at("c").text(), "x\n\"\u{e9}");
        assert!(value.at("nothing").at("at all").list().is_empty() && value.mentions("\n"));
        for broken in ["", "{", "[1", "{\"a\" 1}", "\"abc", "[] []"] {
            assert!(parse(broken).is_none(), "{broken}");
        }
    }
}
