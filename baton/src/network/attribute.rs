//! Netlink attributes and messages, kept raw so that what this build does not know survives.

use anyhow::{anyhow, Result};
use netlink_packet_core::{NlasIterator, NLA_TYPE_MASK};
use serde::{Deserialize, Serialize};

const NLA_HEADER: usize = 4;
const NLA_F_NESTED: u16 = 0x8000;

/// One attribute: type with its flag bits, and the value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    kind: u16,
    value: Vec<u8>,
}

impl Attribute {
    /// An attribute of raw bytes.
    pub(super) fn new(kind: u16, value: &[u8]) -> Self {
        let value = value.to_vec();
        Self { kind, value }
    }

    /// A 32-bit number.
    pub(super) fn u32(kind: u16, value: u32) -> Self {
        Self::new(kind, &value.to_ne_bytes())
    }

    /// A NUL-terminated string.
    pub(super) fn string(kind: u16, value: &str) -> Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        Self { kind, value: bytes }
    }

    /// An attribute that holds attributes.
    pub(super) fn nested(kind: u16, inner: &[Attribute]) -> Self {
        let value = emit(inner);
        let kind = kind | NLA_F_NESTED;
        Self { kind, value }
    }

    /// Type without flag bits.
    pub(super) fn id(&self) -> u16 {
        self.kind & NLA_TYPE_MASK
    }

    /// The bytes of the value.
    pub(super) fn value(&self) -> &[u8] {
        &self.value
    }

    /// Replaces the value, keeping type and flag bits.
    pub(super) fn with_value(&self, value: Vec<u8>) -> Self {
        let kind = self.kind;
        Self { kind, value }
    }

    /// The value as a 32-bit number, if it is one.
    pub(super) fn as_u32(&self) -> Option<u32> {
        u32_at(&self.value, 0).filter(|_| self.value.len() == 4)
    }

    /// The value as a string without its NUL.
    pub(super) fn as_string(&self) -> String {
        let text = self.value.split(|byte| *byte == 0).next();
        String::from_utf8_lossy(text.unwrap_or_default()).into_owned()
    }

    /// The attributes in the value.
    pub(super) fn inner(&self) -> Result<Vec<Attribute>> {
        parse(&self.value)
    }
}

/// Splits bytes into attributes.
///
/// # Errors
/// A length that does not fit.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Attribute>> {
    NlasIterator::new(bytes)
        .map(|item| {
            let item = item.map_err(|error| anyhow!("malformed netlink attribute: {error}"))?;
            let nested = if item.nested_flag() { NLA_F_NESTED } else { 0 };
            let order = if item.network_byte_order_flag() {
                0x4000
            } else {
                0
            };
            Ok(Attribute::new(item.kind() | nested | order, item.value()))
        })
        .collect()
}

/// Joins attributes, each padded to four bytes.
pub(super) fn emit(attributes: &[Attribute]) -> Vec<u8> {
    let mut out = Vec::new();
    for attribute in attributes {
        let length = u16::try_from(attribute.value.len() + NLA_HEADER).unwrap_or(u16::MAX);
        out.extend_from_slice(&length.to_ne_bytes());
        out.extend_from_slice(&attribute.kind.to_ne_bytes());
        out.extend_from_slice(&attribute.value);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    out
}

/// First attribute of a type.
pub(super) fn find(attributes: &[Attribute], id: u16) -> Option<&Attribute> {
    attributes.iter().find(|attribute| attribute.id() == id)
}

/// Attributes of a nested attribute; none if it is absent.
pub(super) fn find_inner(attributes: &[Attribute], id: u16) -> Result<Vec<Attribute>> {
    find(attributes, id).map_or_else(|| Ok(Vec::new()), Attribute::inner)
}

/// The 32-bit number at an offset.
pub(super) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    let slice = bytes.get(offset..offset.checked_add(4)?)?;
    slice.try_into().ok().map(u32::from_ne_bytes)
}

/// Overwrites the 32-bit number at an offset; out of range it changes nothing.
pub(super) fn set_u32_at(bytes: &mut [u8], offset: usize, value: u32) {
    if let Some(slice) = bytes.get_mut(offset..offset.saturating_add(4)) {
        slice.copy_from_slice(&value.to_ne_bytes());
    }
}

/// A message without its netlink header: the fixed part, and the attributes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// `RTM_NEW…`.
    pub(super) kind: u16,
    /// `struct ifaddrmsg`, `rtmsg`, `ndmsg`, `fib_rule_hdr`, `nhmsg` or `ifinfomsg`.
    pub(super) header: Vec<u8>,
    /// What follows it.
    pub(super) attributes: Vec<Attribute>,
}

impl Message {
    /// Splits the payload of a message of this type.
    pub(super) fn parse(kind: u16, payload: &[u8]) -> Result<Self> {
        let (header, rest) = payload
            .split_at_checked(header_size(kind))
            .ok_or_else(|| anyhow!("netlink message {kind} is too short"))?;
        let (header, attributes) = (header.to_vec(), parse(rest)?);
        Ok(Self {
            kind,
            header,
            attributes,
        })
    }

    /// A byte of the fixed part; zero beyond it.
    pub(super) fn byte(&self, offset: usize) -> u8 {
        self.header.get(offset).copied().unwrap_or_default()
    }

    /// A 32-bit number of the fixed part; zero beyond it.
    pub(super) fn word(&self, offset: usize) -> u32 {
        u32_at(&self.header, offset).unwrap_or_default()
    }

    /// First byte of every fixed part.
    pub(super) fn family(&self) -> u8 {
        self.byte(0)
    }

    /// First attribute of a type.
    pub(super) fn find(&self, id: u16) -> Option<&Attribute> {
        find(&self.attributes, id)
    }

    /// Drops all attributes of these types.
    pub(super) fn drop(&mut self, ids: &[u16]) {
        self.attributes.retain(|item| !ids.contains(&item.id()));
    }

    /// Puts an attribute in the place of the one of its type, or at the end.
    pub(super) fn set(&mut self, attribute: Attribute) {
        let mut all = self.attributes.iter_mut();
        match all.find(|item| item.id() == attribute.id()) {
            Some(item) => *item = attribute,
            None => self.attributes.push(attribute),
        }
    }

    /// Overwrites a byte of the fixed part.
    pub(super) fn set_byte(&mut self, offset: usize, value: u8) {
        if let Some(byte) = self.header.get_mut(offset) {
            *byte = value;
        }
    }

    /// Overwrites a 32-bit number of the fixed part.
    pub(super) fn set_word(&mut self, offset: usize, value: u32) {
        set_u32_at(&mut self.header, offset, value);
    }
}

/// Size of the fixed part by message type. Each object has four types in a row, from 16 on.
fn header_size(kind: u16) -> usize {
    match kind & !3 {
        16 | 108 => 16,
        20 | 104 => 8,
        _ => 12,
    }
}
