//! One frame: the number of its text, the time, and the arguments (the defmt book, "Encoding").

use super::table::Table;
use anyhow::{bail, ensure, Context, Result};
use defmt_parser::{DisplayHint, Fragment, Parameter, ParserMode, Type};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Deepest nesting of formats.
const MAX_DEPTH: u32 = 8;
/// Most elements of a slice that are decoded.
const MAX_ELEMENTS: u32 = 4096;

/// Zeros that the encoding may add to the end of a frame, at most.
const MAX_PADDING: usize = 6;

/// A decoded frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// In ticks.
    pub timestamp: u64,
    /// Level of the message.
    pub level: String,
    /// The message.
    pub text: String,
}

/// A value, before it is known how it is to be shown.
#[derive(Clone, PartialEq, Debug)]
enum Value {
    Unsigned(u128),
    Signed(i128),
    Text(String),
    Bytes(Vec<u8>),
}

/// Decodes the bytes of a frame.
///
/// # Errors
/// It does not fit the table.
pub fn decode(table: &Table, bytes: &[u8]) -> Result<Frame> {
    let mut reader = Reader { table, rest: bytes };
    let index = u16::from_le_bytes(reader.array()?);
    let entry = table.get(index).context("no such text")?;
    let level = entry.level().context("not the text of a message")?;
    let timestamp = match table.timestamp() {
        Some("{=u64}") => u64::from_le_bytes(reader.array()?),
        other => bail!("time stamps in the form {other:?}"),
    };
    let text = match reader.format(&entry.data, MAX_DEPTH) {
        Ok(text) => {
            let padding = reader.rest.iter().all(|byte| *byte == 0);
            ensure!(
                padding && reader.rest.len() <= MAX_PADDING,
                "bytes are left over"
            );
            text
        }
        Err(error) if error.is::<Unsupported>() => {
            format!("{} ({error})", entry.data)
        }
        Err(error) => return Err(error),
    };
    Ok(Frame {
        timestamp,
        level: level.to_owned(),
        text,
    })
}

/// The frame may be sound, and this version cannot show it.
#[derive(Debug)]
struct Unsupported;

impl std::fmt::Display for Unsupported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("arguments not decoded")
    }
}

impl std::error::Error for Unsupported {}

struct Reader<'a> {
    table: &'a Table,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let array = *self.rest.first_chunk::<N>().context("cut short")?;
        self.rest = self.rest.get(N..).unwrap_or_default();
        Ok(array)
    }

    fn bytes(&mut self, count: usize) -> Result<&'a [u8]> {
        let bytes = self.rest.get(..count).context("cut short")?;
        self.rest = self.rest.get(count..).unwrap_or_default();
        Ok(bytes)
    }

    fn length(&mut self) -> Result<usize> {
        Ok(usize::try_from(u32::from_le_bytes(self.array()?))?)
    }

    /// A format string with the arguments that follow in the frame, which are in the order of
    /// their numbers, each once.
    fn format(&mut self, format: &str, depth: u32) -> Result<String> {
        let depth = depth.checked_sub(1).context("nested too deeply")?;
        let fragments = defmt_parser::parse(format, ParserMode::ForwardsCompatible)?;
        let parameters: BTreeMap<usize, &Parameter> = fragments
            .iter()
            .filter_map(|fragment| match fragment {
                Fragment::Parameter(parameter) => Some((parameter.index, parameter)),
                Fragment::Literal(_) => None,
            })
            .collect();
        let mut values = BTreeMap::new();
        for (index, parameter) in parameters {
            values.insert(index, self.value(&parameter.ty, depth)?);
        }
        let mut text = String::new();
        for fragment in &fragments {
            match fragment {
                Fragment::Literal(literal) => text.push_str(literal),
                Fragment::Parameter(parameter) => {
                    let value = values.get(&parameter.index).context("no such argument")?;
                    show(&mut text, value, parameter.hint.as_ref())?;
                }
            }
        }
        Ok(text)
    }

    fn value(&mut self, kind: &Type, depth: u32) -> Result<Value> {
        Ok(match kind {
            Type::U8 => Value::Unsigned(u8::from_le_bytes(self.array()?).into()),
            Type::U16 => Value::Unsigned(u16::from_le_bytes(self.array()?).into()),
            // defmt sends the lower 32 bits of a usize.
            Type::U32 | Type::Usize => Value::Unsigned(u32::from_le_bytes(self.array()?).into()),
            Type::U64 => Value::Unsigned(u64::from_le_bytes(self.array()?).into()),
            Type::U128 => Value::Unsigned(u128::from_le_bytes(self.array()?)),
            Type::I8 => Value::Signed(i8::from_le_bytes(self.array()?).into()),
            Type::I16 => Value::Signed(i16::from_le_bytes(self.array()?).into()),
            Type::I32 | Type::Isize => Value::Signed(i32::from_le_bytes(self.array()?).into()),
            Type::I64 => Value::Signed(i64::from_le_bytes(self.array()?).into()),
            Type::I128 => Value::Signed(i128::from_le_bytes(self.array()?)),
            Type::F32 => Value::Text(f32::from_le_bytes(self.array()?).to_string()),
            Type::F64 => Value::Text(f64::from_le_bytes(self.array()?).to_string()),
            Type::Bool => match self.array()? {
                [0] => Value::Text("false".to_owned()),
                [1] => Value::Text("true".to_owned()),
                _ => bail!("not a bool"),
            },
            Type::Char => {
                let code = u32::from_le_bytes(self.array()?);
                Value::Text(char::from_u32(code).context("not a char")?.to_string())
            }
            Type::Str => {
                let length = self.length()?;
                Value::Text(std::str::from_utf8(self.bytes(length)?)?.to_owned())
            }
            Type::IStr => Value::Text(self.entry()?.to_owned()),
            Type::U8Slice => {
                let length = self.length()?;
                Value::Bytes(self.bytes(length)?.to_vec())
            }
            Type::U8Array(length) => Value::Bytes(self.bytes(*length)?.to_vec()),
            // Text that ends in a byte that is none in UTF-8.
            Type::Debug | Type::Display => {
                let end = self.rest.iter().position(|byte| *byte == 0xff);
                let text = self.bytes(end.context("cut short")?)?;
                let text = std::str::from_utf8(text)?.to_owned();
                self.array::<1>()?;
                Value::Text(text)
            }
            Type::Format => Value::Text(self.nested(depth)?),
            Type::FormatSlice => {
                let count = u32::from_le_bytes(self.array()?);
                Value::Text(self.elements(count, depth)?)
            }
            Type::FormatArray(count) => Value::Text(self.elements(u32::try_from(*count)?, depth)?),
            Type::BitField(_) | Type::FormatSequence => return Err(Unsupported.into()),
        })
    }

    fn entry(&mut self) -> Result<&'a str> {
        let index = u16::from_le_bytes(self.array()?);
        Ok(&self.table.get(index).context("no such text")?.data)
    }

    /// A value with a format of its own.
    fn nested(&mut self, depth: u32) -> Result<String> {
        let format = self.entry()?;
        let variant = self.variant(format)?;
        self.format(variant, depth)
    }

    /// Values with one format.
    fn elements(&mut self, count: u32, depth: u32) -> Result<String> {
        ensure!(count <= MAX_ELEMENTS, "too many elements");
        let format = self.entry()?;
        let mut list = Vec::new();
        for _ in 0..count {
            let variant = self.variant(format)?;
            list.push(self.format(variant, depth)?);
        }
        Ok(format!("[{}]", list.join(", ")))
    }

    /// The chosen one of an enumeration's formats, which `|` parts.
    fn variant(&mut self, format: &'a str) -> Result<&'a str> {
        let others = format.matches('|').count();
        let chosen = match others {
            0 => return Ok(format),
            1..=0xff => usize::from(u8::from_le_bytes(self.array()?)),
            _ => usize::from(u16::from_le_bytes(self.array()?)),
        };
        format.split('|').nth(chosen).context("no such variant")
    }
}

/// Appends a value as the hint wants it; unknown hints count for nothing.
fn show(text: &mut String, value: &Value, hint: Option<&DisplayHint>) -> Result<()> {
    match (value, hint) {
        (Value::Text(value), Some(DisplayHint::Debug)) => write!(text, "{value:?}")?,
        (Value::Text(value), _) => text.push_str(value),
        (Value::Bytes(value), Some(DisplayHint::Ascii)) => {
            write!(text, "b\"{}\"", value.escape_ascii())?;
        }
        (Value::Bytes(value), _) => write!(text, "{value:02x?}")?,
        (Value::Unsigned(value), hint) => number(text, *value, hint)?,
        (Value::Signed(value), None | Some(DisplayHint::NoHint { .. })) => write!(text, "{value}")?,
        (Value::Signed(value), hint) if *value >= 0 => number(text, value.unsigned_abs(), hint)?,
        (Value::Signed(value), hint) => {
            text.push('-');
            number(text, value.unsigned_abs(), hint)?;
        }
    }
    Ok(())
}

fn number(text: &mut String, value: u128, hint: Option<&DisplayHint>) -> Result<()> {
    let prefix = |alternate: bool, prefix: &'static str| if alternate { prefix } else { "" };
    let (start, digits, width) = match hint {
        Some(DisplayHint::Hexadecimal {
            alternate,
            uppercase,
            zero_pad,
        }) => {
            let digits = match uppercase {
                true => format!("{value:X}"),
                false => format!("{value:x}"),
            };
            (prefix(*alternate, "0x"), digits, *zero_pad)
        }
        Some(DisplayHint::Octal {
            alternate,
            zero_pad,
        }) => (prefix(*alternate, "0o"), format!("{value:o}"), *zero_pad),
        Some(DisplayHint::Binary {
            alternate,
            zero_pad,
        }) => (prefix(*alternate, "0b"), format!("{value:b}"), *zero_pad),
        Some(DisplayHint::NoHint { zero_pad }) => ("", value.to_string(), *zero_pad),
        _ => ("", value.to_string(), 0),
    };
    // The prefix counts, as in Rust's own formatting.
    let width = width.saturating_sub(start.len());
    write!(text, "{start}{digits:0>width$}")?;
    Ok(())
}
