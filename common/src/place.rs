//! [`Place`]: the identity of a tick in its topic.

/// The identity of a tick: the message's partition and offset, and the tick's index in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The partition of Kafka's topic.
    pub partition: i32,
    /// The message's offset in it.
    pub offset: i64,
    /// The tick's index in the message; 0 where the message is the tick.
    pub index: u16,
}

/// The bits of [`Place::number`] that hold the offset: no topic has as many messages.
const OFFSET_BITS: u32 = 48;

impl Place {
    /// Numbers below this bound belong to first ticks: each equals the message's offset.
    pub const FIRST_ELEMENTS: u64 = 1 << OFFSET_BITS;

    /// The place of a message, and of its first tick.
    #[must_use]
    #[inline]
    pub const fn of_message(partition: i32, offset: i64) -> Self {
        Self { partition, offset, index: 0 }
    }

    /// Offset and index as one number, for sets: the offset itself for a message's first element,
    /// so that neighbouring messages are neighbours in the set; those of each later element are far
    /// above. `None` for an offset below zero or of 2^48 and more, which no broker can assign.
    #[must_use]
    #[inline]
    pub const fn number(&self) -> Option<u64> {
        let offset = self.offset.cast_unsigned();
        if offset >= Self::FIRST_ELEMENTS {
            return None;
        }
        Some((self.index as u64) << OFFSET_BITS | offset)
    }

    /// The offset in a [`Place::number`].
    #[must_use]
    pub const fn offset_of(number: u64) -> u64 {
        number & (Self::FIRST_ELEMENTS - 1)
    }

    /// The index in a [`Place::number`].
    #[must_use]
    pub const fn index_of(number: u64) -> u16 {
        (number >> OFFSET_BITS) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_holds_offset_and_index_and_is_the_offset_of_a_first_element() {
        let place = |offset, index| Place { partition: 3, offset, index };
        assert_eq!(place(7, 0).number(), Some(7));
        for (offset, index) in [(0, 0), (5, 1), ((1 << 48) - 1, u16::MAX), (123_456_789, 9_999)] {
            let number = place(offset, index).number().unwrap();
            assert_eq!(
                (Place::offset_of(number).cast_signed(), Place::index_of(number)),
                (offset, index)
            );
        }
        for offset in [-1, 1 << 48, i64::MIN, i64::MAX] {
            assert_eq!(place(offset, 0).number(), None, "{offset}");
        }
    }
}
