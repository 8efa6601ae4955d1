//! Standard output of the programs of this package.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd as _;

/// Standard output. If it is a pipe whose reader has had enough, what is written is dropped.
///
/// A process sends no control characters but ends of lines and tabs. One of another user may pretend to run on redd, and send what
/// controls root's terminal. So all others are replaced.
#[derive(Debug, Default)]
pub(crate) struct Output {
    /// The last byte so far: a control character may have two.
    last: u8,
}

impl Output {
    fn printable(&mut self, bytes: &[u8]) -> Vec<u8> {
        let replace = |byte: &u8| {
            let last = std::mem::replace(&mut self.last, *byte);
            match byte {
                b'\n' | b'\t' => *byte,
                0..=0x1f | 0x7f => b'?',
                // U+0080 to U+009F. Together with the byte before, it becomes a dot in the middle of the line.
                0x80..=0x9f if last == 0xc2 => 0xb7,
                _ => *byte,
            }
        };
        bytes.iter().map(replace).collect()
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let printable = self.printable(bytes);
        // Without the buffer of lines, whose last part would be written when the program ends: then an error has no consequence.
        let written = File::from(io::stdout().as_fd().try_clone_to_owned()?).write_all(&printable);
        match written {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_control_character_of_a_process_reaches_the_terminal() {
        let mut output = Output::default();
        let text = "a\tb\n\u{1b}]0;title\u{7} \u{9b}31m \u{7f} r\u{e9}sum\u{e9} \u{301c}\r";
        // In two parts, whatever the place: one character may have bytes in both.
        for at in 0..=text.len() {
            let (first, second) = text.as_bytes().split_at(at);
            let printed = [output.printable(first), output.printable(second)].concat();
            let expected = "a\tb\n?]0;title? \u{b7}31m ? r\u{e9}sum\u{e9} \u{301c}?";
            assert_eq!(String::from_utf8(printed).as_deref(), Ok(expected), "{at}");
        }
    }
}
