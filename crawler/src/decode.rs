//! Decoding of `Content-Encoding`: gzip, deflate, br and zstd, with a limit on what comes out.
//!
//! Called by `body`, and by `fetch` for robots.txt, on a blocking thread. Pure.
//!
//! # Invariants
//! - `bounded-output`: no step produces more than the limit, and no decoder keeps a window larger than [`WINDOW_MAX`]
//!   or the limit. A small body that unpacks to a huge one costs no more memory than an honest one.

use std::io::{self, Read};

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use ruzstd::decoding::StreamingDecoder;

/// What requests say in `Accept-Encoding`.
pub(crate) const ACCEPTED: &str = "gzip, deflate, br, zstd";

/// More encodings on top of each other than this are refused. Real servers use one.
const LAYERS_MAX: usize = 4;
/// The largest window of a zstd frame, in bytes: RFC 9659 allows no more in HTTP.
const WINDOW_MAX: u64 = 8 << 20;

/// Why a body could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DecodeError {
    /// It would be larger than the limit.
    TooLarge,
    /// The name of an encoding that was not asked for.
    UnknownEncoding(String),
    /// The encoding, and what is wrong with the body.
    Damaged(&'static str, String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Encoding {
    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }
}

/// Undoes the encodings that a `Content-Encoding` header lists. The result has at most `limit` bytes.
///
/// # Errors
/// If an encoding is unknown, the body does not fit it, or the result is larger than `limit`.
pub(crate) fn decode(body: Vec<u8>, content_encoding: &str, limit: usize) -> Result<Vec<u8>, DecodeError> {
    let encodings = parse(content_encoding)?;
    let mut body = body;
    // The header lists the encodings in the order in which they were applied.
    for encoding in encodings.into_iter().rev() {
        if !body.is_empty() {
            body = decode_one(&body, encoding, limit)?;
        }
    }
    Ok(body)
}

fn parse(content_encoding: &str) -> Result<Vec<Encoding>, DecodeError> {
    let mut encodings = Vec::new();
    for name in content_encoding.split(',') {
        let name = name.trim().to_ascii_lowercase();
        encodings.push(match &*name {
            "" | "identity" => continue,
            "gzip" | "x-gzip" => Encoding::Gzip,
            "deflate" => Encoding::Deflate,
            "br" => Encoding::Brotli,
            "zstd" => Encoding::Zstd,
            _ => return Err(DecodeError::UnknownEncoding(name.chars().take(40).collect())),
        });
    }
    if encodings.len() > LAYERS_MAX {
        return Err(DecodeError::UnknownEncoding(format!("{} encodings on top of each other", encodings.len())));
    }
    Ok(encodings)
}

fn decode_one(body: &[u8], encoding: Encoding, limit: usize) -> Result<Vec<u8>, DecodeError> {
    let result = match encoding {
        Encoding::Gzip => read_up_to(MultiGzDecoder::new(body), limit),
        // The standard means zlib's format, but some servers send the bare stream.
        Encoding::Deflate if has_zlib_header(body) => read_up_to(ZlibDecoder::new(body), limit),
        Encoding::Deflate => read_up_to(DeflateDecoder::new(body), limit),
        Encoding::Brotli => read_up_to(brotli_decompressor::Decompressor::new(body, 4096), limit),
        Encoding::Zstd => return decode_zstd(body, limit),
    };
    match result {
        Ok(Some(decoded)) => Ok(decoded),
        Ok(None) => Err(DecodeError::TooLarge),
        Err(error) => Err(DecodeError::Damaged(encoding.name(), error.to_string())),
    }
}

/// Reads to the end. Returns None if there is more than `limit` bytes (`bounded-output`).
fn read_up_to(reader: impl Read, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let mut decoded = Vec::new();
    reader.take((limit as u64).saturating_add(1)).read_to_end(&mut decoded)?;
    Ok((decoded.len() <= limit).then_some(decoded))
}

/// RFC 1950: the method is 8, and the two bytes are a multiple of 31.
fn has_zlib_header(body: &[u8]) -> bool {
    matches!(body, [first, second, ..] if first & 0x0f == 8 && u16::from_be_bytes([*first, *second]) % 31 == 0)
}

/// Decodes all frames of a zstd body.
fn decode_zstd(mut body: &[u8], limit: usize) -> Result<Vec<u8>, DecodeError> {
    let damaged = |why: String| DecodeError::Damaged(Encoding::Zstd.name(), why);
    let mut decoded = Vec::new();
    while !body.is_empty() {
        let header =
            ZstdHeader::parse(body).ok_or_else(|| damaged("the frame header is incomplete or wrong".into()))?;
        match header {
            ZstdHeader::Skippable { length } => {
                body = body.get(length..).ok_or_else(|| damaged("a skippable frame is cut short".into()))?;
            }
            ZstdHeader::WholeContent { length } if length > limit as u64 => return Err(DecodeError::TooLarge),
            ZstdHeader::Window { size } if size > WINDOW_MAX => {
                return Err(damaged(format!("its window of {size} bytes is larger than HTTP's limit of {WINDOW_MAX}")));
            }
            ZstdHeader::WholeContent { .. } | ZstdHeader::Window { .. } => {
                let decoder = StreamingDecoder::new(&mut body).map_err(|error| damaged(error.to_string()))?;
                let part = read_up_to(decoder, limit - decoded.len()).map_err(|error| damaged(error.to_string()))?;
                decoded.extend_from_slice(&part.ok_or(DecodeError::TooLarge)?);
            }
        }
    }
    Ok(decoded)
}

/// The part of a zstd frame header that says how much memory the frame takes to decode (RFC 8878, section 3.1.1).
#[derive(Debug, PartialEq, Eq)]
enum ZstdHeader {
    /// A frame without content, of `length` bytes with its header.
    Skippable { length: usize },
    /// The window is as large as the content.
    WholeContent { length: u64 },
    /// The window has a size of its own.
    Window { size: u64 },
}

impl ZstdHeader {
    fn parse(body: &[u8]) -> Option<Self> {
        let magic = u32::from_le_bytes(body.get(..4)?.try_into().ok()?);
        if magic & 0xffff_fff0 == 0x184d_2a50 {
            let length = u32::from_le_bytes(body.get(4..8)?.try_into().ok()?);
            return Some(Self::Skippable { length: usize::try_from(length).ok()?.checked_add(8)? });
        }
        if magic != 0xfd2f_b528 {
            return None;
        }
        let descriptor = *body.get(4)?;
        if descriptor & 0x20 == 0 {
            let window = *body.get(5)?;
            let base = 1_u64 << (10 + (window >> 3));
            return Some(Self::Window { size: base + base / 8 * u64::from(window & 7) });
        }
        let dictionary_bytes = [0, 1, 2, 4][usize::from(descriptor & 3)];
        let (length_bytes, offset) = [(1, 0), (2, 256), (4, 0), (8, 0)][usize::from(descriptor >> 6)];
        let mut bytes = [0; 8];
        bytes[..length_bytes].copy_from_slice(body.get(5 + dictionary_bytes..)?.get(..length_bytes)?);
        Some(Self::WholeContent { length: u64::from_le_bytes(bytes).saturating_add(offset) })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(body: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(body, ruzstd::encoding::CompressionLevel::Fastest)
    }

    #[test]
    fn a_body_of_exactly_the_limit_is_decoded_and_one_byte_more_is_not() {
        let body = vec![b'x'; 100_000];
        for (encoding, encoded) in [("gzip", gzip(&body)), ("zstd", zstd(&body))] {
            assert_eq!(decode(encoded.clone(), encoding, 100_000).unwrap(), body, "{encoding}");
            assert_eq!(decode(encoded, encoding, 99_999), Err(DecodeError::TooLarge), "{encoding}");
        }
    }

    #[test]
    fn encodings_are_undone_in_reverse_order() {
        assert_eq!(decode(zstd(&gzip(b"text")), "GZIP , zstd", 1000).unwrap(), b"text");
        assert!(decode(zstd(&gzip(b"text")), "zstd, gzip", 1000).is_err());
    }

    #[test]
    fn an_empty_body_is_empty_in_every_encoding() {
        for encoding in ["gzip", "deflate", "br", "zstd", "", "identity"] {
            assert_eq!(decode(Vec::new(), encoding, 10).unwrap(), b"", "{encoding}");
        }
    }

    #[test]
    fn unknown_and_countless_encodings_are_refused() {
        assert_eq!(decode(b"x".to_vec(), "gzip, rot13", 10), Err(DecodeError::UnknownEncoding("rot13".into())));
        assert!(matches!(decode(b"x".to_vec(), &"gzip,".repeat(9), 10), Err(DecodeError::UnknownEncoding(_))));
    }

    #[test]
    fn members_and_frames_follow_each_other() {
        let twice = [gzip(b"one"), gzip(b"two")].concat();
        assert_eq!(decode(twice, "gzip", 10).unwrap(), b"onetwo");
        let skippable = b"\x50\x2a\x4d\x18\x02\x00\x00\x00no";
        let twice = [&zstd(b"one")[..], skippable, &zstd(b"two")].concat();
        assert_eq!(decode(twice.clone(), "zstd", 6).unwrap(), b"onetwo");
        assert_eq!(decode(twice, "zstd", 5), Err(DecodeError::TooLarge));
    }

    #[test]
    fn a_zstd_window_is_refused_before_memory_is_taken_for_it() {
        // A window of 2^41 bytes, then one that is the whole content of 2^40 bytes.
        let window = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 31 << 3, 0, 0, 0];
        let error = decode(window.to_vec(), "zstd", 1 << 20).unwrap_err();
        assert!(matches!(&error, DecodeError::Damaged("zstd", why) if why.contains("window")), "{error:?}");
        let whole = [0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 1, 0, 0];
        assert_eq!(ZstdHeader::parse(&whole), Some(ZstdHeader::WholeContent { length: 1 << 40 }));
        assert_eq!(decode(whole.to_vec(), "zstd", 1 << 20), Err(DecodeError::TooLarge));
    }

    #[test]
    fn a_damaged_body_is_an_error_in_every_encoding() {
        for encoding in ["gzip", "deflate", "br", "zstd"] {
            let error = decode(b"<a href=x>not encoded</a>".to_vec(), encoding, 1000).unwrap_err();
            assert!(matches!(error, DecodeError::Damaged(name, _) if name == encoding), "{error:?}");
        }
        for (encoding, encoded) in [("gzip", gzip(b"some text")), ("zstd", zstd(b"some text"))] {
            let error = decode(encoded[..encoded.len() - 6].to_vec(), encoding, 1000).unwrap_err();
            assert!(matches!(error, DecodeError::Damaged(..)), "{encoding}: {error:?}");
        }
    }
}
