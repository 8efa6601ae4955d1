//! Numbers, times and sizes, as options have them.
//!
//! Called by `options`. Pure. Each error says what to give instead.

use std::time::Duration;

/// A whole number that is not zero.
pub(crate) fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("give a whole number from 1 on".to_owned()),
    }
}

/// A number of clicks.
pub(crate) fn depth(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("give a whole number from 0 to {}", u16::MAX))
}

/// A number of tries.
pub(crate) fn retries(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "give a whole number, such as 0 or 3".to_owned())
}

/// The least number of requests a second: about one in twelve days. The time between two requests must be one.
const RATE_MIN: f64 = 0.000_001;

/// A number of requests a second.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if rate >= RATE_MIN => Ok(rate),
        _ => Err(format!("give a number from {RATE_MIN} on, such as 2 or 0.5")),
    }
}

/// A time that is not zero. Without a unit it is in seconds.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        _ => 0.0,
    };
    match digits.parse::<f64>().ok().and_then(|number| Duration::try_from_secs_f64(number * unit).ok()) {
        Some(time) if !time.is_zero() => Ok(time),
        _ => Err("give a time such as 500ms, 10s, 2m, 12h or 1d".to_owned()),
    }
}

/// A number of bytes.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" => Some(1),
        "K" | "k" => Some(1 << 10),
        "M" => Some(1 << 20),
        "G" => Some(1 << 30),
        _ => None,
    };
    let size = unit.and_then(|unit: usize| digits.parse::<usize>().ok()?.checked_mul(unit));
    size.ok_or_else(|| "give a size such as 65536, 64K or 16M".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_times_and_sizes_are_read_and_wrong_ones_say_what_to_give() {
        assert_eq!(time("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(time("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(time("1d"), Ok(Duration::from_secs(86400)));
        assert_eq!(time("1.5"), Ok(Duration::from_millis(1500)));
        assert!(time("5 parsecs").is_err() && time("0").is_err() && time("-1s").is_err());
        for wrong in ["0", "-1", "1e-300", "nan", "fast"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
        assert_eq!(rate("0.5"), Ok(0.5));
        assert_eq!(size("64K"), Ok(65536));
        assert_eq!((depth("0"), retries("0")), (Ok(0), Ok(0)));
        for wrong in ["x", "-1", "1.5", "99999999999", ""] {
            let messages = [depth(wrong).unwrap_err(), retries(wrong).unwrap_err()];
            assert!(messages.iter().all(|message| message.starts_with("give a whole number")), "{messages:?}");
        }
        assert!(size("many").is_err() && size("1T").is_err());
    }
}
