//! One record on disk: a header of 28 bytes, then the payload.
//!
//! | bytes | what, little endian |
//! |---|---|
//! | 4 | [`MAGIC`] |
//! | 4 | length of the payload |
//! | 8 | sequence number |
//! | 4 | class: 1 state, 2 event |
//! | 4 | CRC-32 of salt and payload |
//! | 4 | CRC-32 of salt and the 24 bytes above |
//!
//! The salt is the random incarnation: text in a payload cannot pass for a record when the reader looks for the next
//! good one behind damage.

use common_model::Class;

/// Begins every record.
pub(crate) const MAGIC: [u8; 4] = *b"DTr1";
/// Bytes before the payload.
pub(crate) const HEADER_LEN: usize = 28;

/// A good record within a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found<'a> {
    pub(crate) seq: u64,
    pub(crate) class: Class,
    pub(crate) payload: &'a [u8],
    /// Where the next record begins.
    pub(crate) end: usize,
}

/// Length of a record on disk.
pub(crate) fn disk_len(payload: usize) -> u64 {
    (HEADER_LEN + payload) as u64
}

/// Appends a record to `out`.
pub(crate) fn encode(out: &mut Vec<u8>, salt: u64, seq: u64, class: Class, payload: &[u8]) {
    let start = out.len();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(&seq.to_le_bytes());
    let class: u32 = match class {
        Class::State => 1,
        Class::Event => 2,
    };
    out.extend_from_slice(&class.to_le_bytes());
    out.extend_from_slice(&crc(salt, payload).to_le_bytes());
    let header_crc = crc(salt, &out[start..]);
    out.extend_from_slice(&header_crc.to_le_bytes());
    out.extend_from_slice(payload);
}

/// Every good record of a buffer, in order; damaged bytes between them are counted.
pub(crate) struct Records<'a> {
    bytes: &'a [u8],
    salt: u64,
    at: usize,
    damaged: u64,
}

impl<'a> Records<'a> {
    pub(crate) fn new(bytes: &'a [u8], salt: u64) -> Self {
        Self { bytes, salt, at: 0, damaged: 0 }
    }

    /// Bytes passed over so far that belong to no good record.
    pub(crate) fn damaged(&self) -> u64 {
        self.damaged
    }

    fn skip_to(&mut self, to: usize) {
        self.damaged += (to - self.at) as u64;
        self.at = to;
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        while self.at < self.bytes.len() {
            match parse(self.bytes, self.at, self.salt) {
                Ok(found) => {
                    self.at = found.end;
                    return Some(found);
                }
                // The end of a segment that was made of the reserve.
                Err(_) if self.bytes[self.at..].iter().all(|byte| *byte == 0) => self.at = self.bytes.len(),
                Err(resume) => {
                    let to = find_magic(self.bytes, resume);
                    self.skip_to(to);
                }
            }
        }
        None
    }
}

/// The record at `at`, or where to look for the next one.
fn parse(bytes: &[u8], at: usize, salt: u64) -> Result<Found<'_>, usize> {
    let header = bytes.get(at..at + HEADER_LEN).ok_or(bytes.len())?;
    if header[..4] != MAGIC || u32_at(header, 24) != crc(salt, &header[..24]) {
        return Err(at + 1);
    }
    let start = at + HEADER_LEN;
    let end = start + u32_at(header, 4) as usize;
    // A payload that the file does not hold completely: a write that was cut short, and nothing of ours behind it unless
    // something overwrote the middle, so look on right behind the header.
    let payload = bytes.get(start..end).ok_or(start)?;
    if u32_at(header, 20) != crc(salt, payload) {
        return Err(start);
    }
    let class = match u32_at(header, 16) {
        1 => Class::State,
        _ => Class::Event,
    };
    let mut seq = [0; 8];
    seq.copy_from_slice(&header[8..16]);
    Ok(Found { seq: u64::from_le_bytes(seq), class, payload, end })
}

fn find_magic(bytes: &[u8], from: usize) -> usize {
    let Some(rest) = bytes.get(from..) else { return bytes.len() };
    rest.windows(MAGIC.len()).position(|window| window == MAGIC).map_or(bytes.len(), |offset| from + offset)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

/// CRC-32 over the salt, then the bytes.
pub(crate) fn crc(salt: u64, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&salt.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Vec<u8> {
        let mut bytes = Vec::new();
        for (seq, text) in [(1, "one"), (2, "two"), (3, "three")] {
            encode(&mut bytes, 7, seq, Class::Event, text.as_bytes());
        }
        bytes
    }

    fn seqs(bytes: &[u8]) -> (Vec<u64>, u64) {
        let mut records = Records::new(bytes, 7);
        let seqs = records.by_ref().map(|found| found.seq).collect();
        (seqs, records.damaged())
    }

    #[test]
    fn records_behind_a_damaged_one_are_found() {
        assert_eq!(seqs(&three()), (vec![1, 2, 3], 0));
        let second = HEADER_LEN + 3;
        for at in second..2 * second {
            let mut bytes = three();
            bytes[at] ^= 0x10;
            assert_eq!(seqs(&bytes), (vec![1, 3], second as u64), "byte {at}");
        }
    }

    #[test]
    fn a_torn_tail_is_passed_over() {
        let bytes = three();
        for cut in 1..HEADER_LEN + 5 {
            assert_eq!(seqs(&bytes[..bytes.len() - cut]).0, vec![1, 2], "cut {cut}");
        }
    }

    #[test]
    fn zeros_behind_the_last_record_are_no_damage() {
        let mut bytes = three();
        bytes.extend([0; 100]);
        assert_eq!(seqs(&bytes), (vec![1, 2, 3], 0));
        bytes.push(1);
        assert_eq!(seqs(&bytes), (vec![1, 2, 3], 101));
    }

    #[test]
    fn a_payload_cannot_forge_a_record_without_the_salt() {
        let mut forged = Vec::new();
        encode(&mut forged, 8, 99, Class::Event, b"forged");
        let mut bytes = Vec::new();
        encode(&mut bytes, 7, 1, Class::Event, &forged);
        bytes[HEADER_LEN] ^= 0xff;
        assert_eq!(seqs(&bytes).0, Vec::<u64>::new());
    }
}
