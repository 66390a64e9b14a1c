//! The deterministic content of every write.
//!
//! A write has a key, mixed from (seed, writer, sequence number). Byte `i` of
//! the write is byte `i % 8` (little endian) of splitmix64's output number
//! `i / 8` for that key. Random access, so a reader can check any block of any
//! file without producing what lies before it.

/// Increment of splitmix64.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finaliser of splitmix64: a bijection that scatters every input bit.
const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// The content key of operation `seq` of writer `writer` in a run with `seed`.
#[must_use]
pub const fn key(seed: u64, writer: u32, seq: u64) -> u64 {
    let outer = mix(seed.wrapping_add(GAMMA));
    let middle = mix(outer ^ (writer as u64).wrapping_mul(GAMMA));
    mix(middle ^ seq.wrapping_add(GAMMA))
}

/// Fills `out` with the bytes of the write `key` that start at position `from`.
pub fn fill(key: u64, from: u64, out: &mut [u8]) {
    let mut at = from;
    let mut rest = out;
    while !rest.is_empty() {
        let word = mix(key.wrapping_add((at / 8).wrapping_mul(GAMMA))).to_le_bytes();
        let skip = (at % 8) as usize;
        let take = (8 - skip).min(rest.len());
        let (head, tail) = rest.split_at_mut(take);
        head.copy_from_slice(&word[skip..skip + take]);
        rest = tail;
        at += take as u64;
    }
}

/// The first `len` bytes of the write `key`.
#[must_use]
pub fn bytes(key: u64, len: u64) -> Vec<u8> {
    let mut data = vec![0; usize::try_from(len).unwrap_or(0)];
    fill(key, 0, &mut data);
    data
}

/// The hash by which blocks and attribute values are compared.
#[must_use]
pub fn hash(data: &[u8]) -> u64 {
    xxhash_rust::xxh64::xxh64(data, 0)
}

/// The random choices of one writer; the same sequence as [`fill`]'s words.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// A generator whose choices follow from the seed and the writer alone.
    #[must_use]
    pub const fn new(seed: u64, writer: u32) -> Self {
        Self(key(seed, writer, u64::MAX))
    }

    /// The next 64 random bits.
    pub const fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GAMMA);
        mix(self.0)
    }

    /// A number below `bound`; 0 when `bound` is 0.
    pub const fn below(&mut self, bound: u64) -> u64 {
        match self.next_u64().checked_rem(bound) {
            Some(number) => number,
            None => 0,
        }
    }

    /// An index into something of `len` items.
    pub const fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_window_equals_the_whole() {
        let whole = bytes(key(1, 2, 3), 100);
        for from in 0..60 {
            let mut part = [0; 37];
            fill(key(1, 2, 3), from, &mut part);
            assert_eq!(part[..], whole[from as usize..from as usize + 37]);
        }
    }

    #[test]
    fn keys_differ_by_each_part() {
        let keys = [key(1, 1, 1), key(2, 1, 1), key(1, 2, 1), key(1, 1, 2)];
        for (i, one) in keys.iter().enumerate() {
            assert!(!keys[i + 1..].contains(one));
        }
    }
}
