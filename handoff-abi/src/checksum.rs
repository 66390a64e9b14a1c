//! CRC-32 as in IEEE 802.3, bit by bit: small, and the blobs it guards are short.

/// CRC-32 (polynomial 0xEDB88320, reflected, initial value and final xor all ones) of `bytes`.
#[must_use]
pub const fn crc32(mut bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    while let [byte, rest @ ..] = bytes {
        crc ^= *byte as u32;
        let mut bit = 0u8;
        while bit < 8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
            bit = bit.wrapping_add(1);
        }
        bytes = rest;
    }
    !crc
}

// The check value of the CRC catalogue.
const _: () = assert!(crc32(b"123456789") == 0xcbf4_3926);
