//! Numbers of a fixed size.

use super::script::{Script, Step, block_on};
use redd::io::*;

/// Each number is written and read back one byte at a time, with an interruption before each.
macro_rules! round_trip {
    ($($test:ident: $write:ident, $read:ident, $value:expr, $encode:ident;)*) => {$(
        #[test]
        fn $test() {
            block_on(async {
                let bytes = $value.$encode();
                let pieces = bytes.iter().flat_map(|byte| [Step::Interrupted, Step::Owned(vec![*byte])]);
                let mut reader = Script::reading(&pieces.collect::<Vec<_>>());
                assert_eq!(reader.$read().await.unwrap(), $value);
                assert_eq!(reader.$read().await.unwrap_err().kind(), ErrorKind::UnexpectedEof);

                let mut writer = Script::writing(&[Step::Interrupted, Step::Take(1), Step::Pending]);
                writer.$write($value).await.unwrap();
                assert_eq!(writer.written, bytes);
                let mut full = Script::writing(&[Step::Take(0)]);
                assert_eq!(full.$write($value).await.unwrap_err().kind(), ErrorKind::WriteZero);
            });
        }
    )*};
}

round_trip! {
    a_u8_round_trips: write_u8, read_u8, 0x12_u8, to_be_bytes;
    an_i8_round_trips: write_i8, read_i8, -3_i8, to_be_bytes;
    a_u16_round_trips: write_u16, read_u16, 0x1234_u16, to_be_bytes;
    a_u16_le_round_trips: write_u16_le, read_u16_le, 0x1234_u16, to_le_bytes;
    an_i16_round_trips: write_i16, read_i16, -300_i16, to_be_bytes;
    an_i16_le_round_trips: write_i16_le, read_i16_le, -300_i16, to_le_bytes;
    a_u32_round_trips: write_u32, read_u32, 0x1234_5678_u32, to_be_bytes;
    a_u32_le_round_trips: write_u32_le, read_u32_le, 0x1234_5678_u32, to_le_bytes;
    an_i32_round_trips: write_i32, read_i32, -70_000_i32, to_be_bytes;
    an_i32_le_round_trips: write_i32_le, read_i32_le, -70_000_i32, to_le_bytes;
    a_u64_round_trips: write_u64, read_u64, u64::MAX - 9, to_be_bytes;
    a_u64_le_round_trips: write_u64_le, read_u64_le, u64::MAX - 9, to_le_bytes;
    an_i64_round_trips: write_i64, read_i64, i64::MIN + 9, to_be_bytes;
    an_i64_le_round_trips: write_i64_le, read_i64_le, i64::MIN + 9, to_le_bytes;
    a_u128_round_trips: write_u128, read_u128, u128::MAX - 9, to_be_bytes;
    a_u128_le_round_trips: write_u128_le, read_u128_le, u128::MAX - 9, to_le_bytes;
    an_i128_round_trips: write_i128, read_i128, i128::MIN + 9, to_be_bytes;
    an_i128_le_round_trips: write_i128_le, read_i128_le, i128::MIN + 9, to_le_bytes;
    an_f32_round_trips: write_f32, read_f32, 1.25_f32, to_be_bytes;
    an_f32_le_round_trips: write_f32_le, read_f32_le, 1.25_f32, to_le_bytes;
    an_f64_round_trips: write_f64, read_f64, -1.25e9_f64, to_be_bytes;
    an_f64_le_round_trips: write_f64_le, read_f64_le, -1.25e9_f64, to_le_bytes;
}
