//! Paths as text, without loss.
//!
//! Names on Linux are bytes; records are JSON. Valid UTF-8 stands for itself, a
//! backslash is doubled, any other byte is `\xNN`. The host compares the text
//! and never needs the bytes.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The text that stands for the bytes of `path`.
#[must_use]
pub fn encode(path: &OsStr) -> String {
    let mut text = String::new();
    for chunk in path.as_bytes().utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', "\\\\"));
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// The bytes that `text` stands for. A backslash that begins no known escape
/// stands for itself, so this never fails.
#[must_use]
pub fn decode(text: &str) -> OsString {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (plain, escape) = rest.split_at(at);
        bytes.extend_from_slice(plain.as_bytes());
        let hex = escape.strip_prefix("\\x").and_then(|tail| tail.get(..2));
        if let Some(byte) = hex.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            bytes.push(byte);
            rest = escape.get(4..).unwrap_or("");
        } else {
            bytes.push(b'\\');
            let doubled = escape.strip_prefix("\\\\");
            rest = doubled.or_else(|| escape.get(1..)).unwrap_or("");
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let cases: [&[u8]; 5] = [
            b"plain",
            "日本/ü".as_bytes(),
            b"a\\b\\x41",
            b"\xff\xfe/x",
            b"\\",
        ];
        for bytes in cases {
            let text = encode(OsStr::from_bytes(bytes));
            assert_eq!(decode(&text).as_bytes(), bytes, "{text}");
        }
    }
}
