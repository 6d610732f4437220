//! How much of an output is kept when it is bounded, and which bytes of it are not.
//!
//! One rule, [`OutputLimit::left_out`], tells it from the limit and the length alone: who takes the
//! middle out of a file and who reads it ask the same function, and nothing has to be written down.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Head and tail are whole blocks of this size in bytes, so that what lies between them is given
/// back whole.
const BLOCK: u64 = 4096;

/// At most so many bytes of what an attempt writes to one of its streams are kept: the first half
/// and the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OutputLimit(u64);

impl OutputLimit {
    /// The least limit in bytes. Its halves are more than the 64 KiB that anybody but a reader of
    /// the whole looks at: the head for a return value, the tail for patterns.
    pub const MIN: u64 = 256 * 1024;

    /// The greatest limit in bytes: no file is longer.
    pub const MAX: u64 = i64::MAX as u64;

    /// A limit of so many bytes; `None` when it is not from [`OutputLimit::MIN`] to
    /// [`OutputLimit::MAX`].
    pub fn new(bytes: u64) -> Option<Self> {
        (Self::MIN..=Self::MAX)
            .contains(&bytes)
            .then_some(Self(bytes))
    }

    /// The limit in bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }

    /// The bytes that are not kept of an output that is `length` bytes long; an empty range when
    /// all are. It begins at the same place whatever the length, and its end never moves back while
    /// the output grows.
    pub fn left_out(self, length: u64) -> Range<u64> {
        let half = self.0 / 2;
        let head = half / BLOCK * BLOCK;
        if length <= self.0 {
            return head..head;
        }
        let tail = (length - half).checked_next_multiple_of(BLOCK);
        head..tail.unwrap_or(length).clamp(head, length.max(head))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_middle_is_what_is_left_out() {
        let limit = OutputLimit::new(1 << 20).expect("it is long enough");
        let half = 1 << 19;
        for (length, end) in [
            (0, half),
            (1 << 20, half),
            ((1 << 20) + 1, half + BLOCK),
            ((1 << 20) + BLOCK, half + BLOCK),
            (1 << 30, (1 << 30) - half),
        ] {
            assert_eq!(limit.left_out(length), half..end, "{length}");
        }
        assert_eq!(OutputLimit::new(OutputLimit::MIN - 1), None);
        assert_eq!(OutputLimit::new(u64::MAX), None);
    }

    proptest! {
        #[test]
        fn what_is_kept_fits_the_limit_and_holds_what_others_look_at(
            bytes in OutputLimit::MIN..1 << 40,
            length in 0u64..1 << 50,
            more in 0u64..1 << 40,
        ) {
            let limit = OutputLimit::new(bytes).expect("it is in range");
            let gone = limit.left_out(length);
            let kept = length - (gone.end - gone.start);
            prop_assert!(kept <= bytes.min(length));
            prop_assert_eq!(gone.is_empty(), length <= bytes);
            prop_assert!(gone.start.is_multiple_of(BLOCK));
            prop_assert!(gone.is_empty() || gone.end.is_multiple_of(BLOCK));
            prop_assert!(gone.start > 64 * 1024);
            prop_assert!(gone.is_empty() || length - gone.end > 64 * 1024);
            let later = limit.left_out(length + more);
            prop_assert!(later.start == gone.start && later.end >= gone.end);
        }

        #[test]
        fn no_limit_and_no_length_is_too_great_or_too_small(bytes: u64, length: u64) {
            let gone = OutputLimit(bytes).left_out(length);
            prop_assert!(gone.start <= gone.end && (gone.is_empty() || gone.end <= length));
        }
    }
}
