//! Copies of bytes between queues and the buffers of programs.
//!
//! Called by `calls`, and by the files of the protocols.

use std::collections::VecDeque;
use std::io::IoSlice;

/// Copies the first bytes of the queue. Returns how many.
pub(super) fn copy_out(queue: &VecDeque<u8>, buf: &mut [u8]) -> usize {
    let (front, back) = queue.as_slices();
    let first = front.len().min(buf.len());
    buf[..first].copy_from_slice(&front[..first]);
    let second = back.len().min(buf.len() - first);
    buf[first..first + second].copy_from_slice(&back[..second]);
    first + second
}

/// The bytes of the queue from `start` on, at most `count`.
pub(super) fn range(queue: &VecDeque<u8>, start: usize, count: usize) -> Vec<u8> {
    let (front, back) = queue.as_slices();
    let end = (start + count).min(queue.len());
    let mut bytes = Vec::with_capacity(end - start);
    if start < front.len() {
        bytes.extend_from_slice(&front[start..end.min(front.len())]);
    }
    if end > front.len() {
        bytes.extend_from_slice(&back[start.saturating_sub(front.len())..end - front.len()]);
    }
    bytes
}

/// Adds the first `count` bytes of the buffers after `skip` of them.
pub(super) fn copy_in(queue: &mut VecDeque<u8>, bufs: &[IoSlice<'_>], mut skip: usize, mut count: usize) {
    for buf in bufs {
        let start = skip.min(buf.len());
        skip -= start;
        let end = buf.len().min(start + count);
        queue.extend(&buf[start..end]);
        count -= end - start;
    }
}

/// All bytes of the buffers.
pub(super) fn joined(bufs: &[IoSlice<'_>]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length(bufs));
    bufs.iter().for_each(|buf| bytes.extend_from_slice(buf));
    bytes
}

pub(super) fn length(bufs: &[IoSlice<'_>]) -> usize {
    bufs.iter().map(|buf| buf.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A queue of 0, 1, 2 …, whose memory wraps.
    fn wrapped(length: u8) -> VecDeque<u8> {
        let mut queue = VecDeque::with_capacity(length.into());
        let half = length / 2;
        queue.extend(std::iter::repeat_n(0, half.into()));
        queue.drain(..);
        queue.extend(0..length);
        queue
    }

    #[test]
    fn every_range_of_a_queue_is_copied() {
        let queue = wrapped(9);
        for start in 0..=9 {
            for count in 0..=10 {
                let expected: Vec<u8> = queue.iter().copied().skip(start).take(count).collect();
                assert_eq!(range(&queue, start, count), expected, "{start} {count}");
            }
        }
        for count in 0..=10 {
            let mut buf = vec![99; count];
            assert_eq!(copy_out(&queue, &mut buf), count.min(9));
            assert!(buf.iter().take(9).copied().eq(0..count.min(9) as u8));
        }
    }

    #[test]
    fn a_part_of_several_buffers_is_copied() {
        let bufs = [IoSlice::new(&[0, 1]), IoSlice::new(&[]), IoSlice::new(&[2, 3, 4])];
        assert_eq!(joined(&bufs), [0, 1, 2, 3, 4]);
        for skip in 0..=length(&bufs) {
            for count in 0..=length(&bufs) - skip {
                let mut queue = VecDeque::new();
                copy_in(&mut queue, &bufs, skip, count);
                assert!(queue.into_iter().eq(skip as u8..(skip + count) as u8), "{skip} {count}");
            }
        }
    }
}
