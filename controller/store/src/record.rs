//! How records lie in the engine.
//!
//! Engine key: `r`, partition length (u16 be), partition, key. Engine value: format 1, crc32 (u32 be) over the engine key
//! and everything after the crc, version (u64 be), chunk count (u32 be), and the value itself when the count is 0.
//! A value over [`CHUNK_BYTES`] lies in chunks under `c`, record's engine key, version, chunk number (u32 be), because sled
//! 0.34 leaks disk without bound when values of 128 KiB and more are rewritten.

/// The most bytes of a value that lie in one engine value.
pub(crate) const CHUNK_BYTES: usize = 32 * 1024;

const FORMAT: u8 = 1;
const HEADER: usize = 1 + 4 + 8 + 4;

/// The engine key of a record.
pub(crate) fn record_key(partition: &str, key: &str) -> Vec<u8> {
    let mut out = partition_prefix(partition);
    out.extend_from_slice(key.as_bytes());
    out
}

/// What the engine keys of all records of a partition begin with.
pub(crate) fn partition_prefix(partition: &str) -> Vec<u8> {
    let length = u16::try_from(partition.len()).unwrap_or(u16::MAX);
    let mut out = vec![b'r'];
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(partition.as_bytes());
    out
}

/// Partition and key of a record's engine key; none when it is not one.
pub(crate) fn split_key(engine_key: &[u8]) -> Option<(&str, &str)> {
    let rest = engine_key.strip_prefix(b"r")?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let (partition, key) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    Some((std::str::from_utf8(partition).ok()?, std::str::from_utf8(key).ok()?))
}

/// The engine key of a chunk.
pub(crate) fn chunk_key(record_key: &[u8], version: u64, chunk: u32) -> Vec<u8> {
    let mut out = vec![b'c'];
    out.extend_from_slice(record_key);
    out.extend_from_slice(&version.to_be_bytes());
    out.extend_from_slice(&chunk.to_be_bytes());
    out
}

/// A record as it lies under its key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Header<'a> {
    pub(crate) version: u64,
    pub(crate) chunks: u32,
    pub(crate) inline: &'a [u8],
}

/// Splits a value into the engine value of its record and its chunks.
pub(crate) fn encode<'a>(engine_key: &[u8], version: u64, value: &'a [u8]) -> (Vec<u8>, Vec<&'a [u8]>) {
    let chunks: Vec<&[u8]> = if value.len() > CHUNK_BYTES { value.chunks(CHUNK_BYTES).collect() } else { Vec::new() };
    let inline = if chunks.is_empty() { value } else { &[] };
    let count = u32::try_from(chunks.len()).unwrap_or(u32::MAX);
    let mut body = Vec::with_capacity(HEADER + inline.len());
    body.extend_from_slice(&version.to_be_bytes());
    body.extend_from_slice(&count.to_be_bytes());
    body.extend_from_slice(inline);
    let crc = chunks.iter().fold(checksum(engine_key, &body), |hasher, chunk| hasher.with(chunk)).finish();
    let mut out = vec![FORMAT];
    out.extend_from_slice(&crc.to_be_bytes());
    out.append(&mut body);
    (out, chunks)
}

/// Reads the header of an engine value; none when it is not one. The checksum is for [`verify`].
pub(crate) fn header(engine_value: &[u8]) -> Option<Header<'_>> {
    let (head, inline) = engine_value.split_first_chunk::<HEADER>()?;
    let (format, rest) = head.split_first()?;
    let version = u64::from_be_bytes(rest.get(4..12)?.try_into().ok()?);
    let chunks = u32::from_be_bytes(rest.get(12..16)?.try_into().ok()?);
    (*format == FORMAT).then_some(Header { version, chunks, inline })
}

/// True when the checksum over key, header and whole value is right.
pub(crate) fn verify(engine_key: &[u8], engine_value: &[u8], chunked: &[u8]) -> bool {
    let Some((head, body)) = engine_value.split_first_chunk::<5>() else { return false };
    let stored = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    checksum(engine_key, body).with(chunked).finish() == stored
}

struct Checksum(crc32fast::Hasher);

fn checksum(engine_key: &[u8], body: &[u8]) -> Checksum {
    Checksum(crc32fast::Hasher::new()).with(engine_key).with(body)
}

impl Checksum {
    fn with(mut self, bytes: &[u8]) -> Self {
        self.0.update(bytes);
        self
    }

    fn finish(self) -> u32 {
        self.0.finalize()
    }
}
