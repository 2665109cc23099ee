//! States as bytes: short, and every number to its last bit.

/// Values that can be written down and read again. Whole numbers of any size take as many bytes as
/// they need.
pub trait Pack: Sized {
    fn put(&self, to: &mut Vec<u8>);
    /// `None` where `from` ends too early, or holds something else.
    fn take(from: &mut &[u8]) -> Option<Self>;
}

/// The fields of a struct, one after the other.
macro_rules! pack {
    ($name:ident { $($field:ident),* }) => {
        impl $crate::pack::Pack for $name {
            fn put(&self, to: &mut Vec<u8>) {
                $($crate::pack::Pack::put(&self.$field, to);)*
            }

            fn take(from: &mut &[u8]) -> Option<Self> {
                Some(Self { $($field: $crate::pack::Pack::take(from)?),* })
            }
        }
    };
}
pub(crate) use pack;

impl Pack for u8 {
    fn put(&self, to: &mut Vec<u8>) {
        to.push(*self);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let (first, rest) = from.split_first()?;
        *from = rest;
        Some(*first)
    }
}

impl Pack for bool {
    fn put(&self, to: &mut Vec<u8>) {
        to.push(u8::from(*self));
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        match u8::take(from)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl Pack for u128 {
    fn put(&self, to: &mut Vec<u8>) {
        let mut left = *self;
        while left >= 0x80 {
            to.push(left as u8 | 0x80);
            left >>= 7;
        }
        to.push(left as u8);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let (mut value, mut shift) = (0_u128, 0);
        loop {
            let byte = u8::take(from)?;
            if shift >= u128::BITS {
                return None;
            }
            value |= u128::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
            shift += 7;
        }
    }
}

impl Pack for i128 {
    fn put(&self, to: &mut Vec<u8>) {
        // Small numbers of either sign are small.
        ((self << 1) ^ (self >> 127)).cast_unsigned().put(to);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let folded = u128::take(from)?;
        Some((folded >> 1).cast_signed() ^ -(folded & 1).cast_signed())
    }
}

macro_rules! whole {
    ($($name:ty as $wide:ty),*) => {
        $(impl Pack for $name {
            fn put(&self, to: &mut Vec<u8>) {
                <$wide>::from(*self).put(to);
            }

            fn take(from: &mut &[u8]) -> Option<Self> {
                <$wide>::take(from)?.try_into().ok()
            }
        })*
    };
}
whole!(u16 as u128, u32 as u128, u64 as u128, i64 as i128);

macro_rules! fixed {
    ($($name:ty),*) => {
        $(impl Pack for $name {
            fn put(&self, to: &mut Vec<u8>) {
                to.extend_from_slice(&self.to_le_bytes());
            }

            fn take(from: &mut &[u8]) -> Option<Self> {
                let (bytes, rest) = from.split_first_chunk()?;
                *from = rest;
                Some(Self::from_le_bytes(*bytes))
            }
        })*
    };
}
fixed!(f32, f64);

impl<A: Pack, B: Pack> Pack for (A, B) {
    fn put(&self, to: &mut Vec<u8>) {
        self.0.put(to);
        self.1.put(to);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        Some((A::take(from)?, B::take(from)?))
    }
}

impl<A: Pack, B: Pack, C: Pack> Pack for (A, B, C) {
    fn put(&self, to: &mut Vec<u8>) {
        self.0.put(to);
        self.1.put(to);
        self.2.put(to);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        Some((A::take(from)?, B::take(from)?, C::take(from)?))
    }
}

impl<T: Pack> Pack for Option<T> {
    fn put(&self, to: &mut Vec<u8>) {
        self.is_some().put(to);
        self.iter().for_each(|value| value.put(to));
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        Some(if bool::take(from)? { Some(T::take(from)?) } else { None })
    }
}

impl<T: Pack> Pack for Box<T> {
    fn put(&self, to: &mut Vec<u8>) {
        T::put(self, to);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        T::take(from).map(Box::new)
    }
}

impl Pack for Box<str> {
    fn put(&self, to: &mut Vec<u8>) {
        (self.len() as u64).put(to);
        to.extend_from_slice(self.as_bytes());
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let length = u64::take(from)?.try_into().ok()?;
        let (text, rest) = from.split_at_checked(length)?;
        *from = rest;
        str::from_utf8(text).ok().map(Into::into)
    }
}

impl<T: Pack + Copy + Default, const N: usize> Pack for [T; N] {
    fn put(&self, to: &mut Vec<u8>) {
        self.iter().for_each(|value| value.put(to));
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let mut all = [T::default(); N];
        for value in &mut all {
            *value = T::take(from)?;
        }
        Some(all)
    }
}

impl<T: Pack> Pack for Vec<T> {
    fn put(&self, to: &mut Vec<u8>) {
        (self.len() as u64).put(to);
        self.iter().for_each(|value| value.put(to));
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        (0..u64::take(from)?).map(|_| T::take(from)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn back<T: Pack>(value: &T) -> Option<T> {
        let mut bytes = Vec::new();
        value.put(&mut bytes);
        let mut from = &bytes[..];
        let read = T::take(&mut from);
        assert!(from.is_empty());
        read
    }

    proptest! {
        #[test]
        fn what_is_written_down_is_read_again(
            a: i128, b: Option<i64>, c: Vec<u64>, d: [i64; 3], bits: u64, small: u16, text: String,
        ) {
            prop_assert_eq!(back(&a), Some(a));
            prop_assert_eq!(back(&b), Some(b));
            prop_assert_eq!(back(&c), Some(c));
            prop_assert_eq!(back(&d), Some(d));
            let text = text.into_boxed_str();
            prop_assert_eq!(back(&text), Some(text.clone()));
            prop_assert_eq!(back(&small), Some(small));
            prop_assert_eq!(back(&f64::from_bits(bits)).map(f64::to_bits), Some(bits));
        }

        #[test]
        fn other_bytes_are_no_panic(bytes: Vec<u8>) {
            let _ = <Vec<Option<[i64; 2]>>>::take(&mut &bytes[..]);
            let _ = i128::take(&mut &bytes[..]);
            let _ = <Box<str>>::take(&mut &bytes[..]);
        }
    }

    #[test]
    fn the_ends_of_a_number_are_read_again() {
        for number in [i64::MIN, -1, 0, 1, i64::MAX] {
            assert_eq!(back(&number), Some(number));
        }
        assert_eq!(back(&i128::MIN), Some(i128::MIN));
        assert_eq!(back(&u64::MAX), Some(u64::MAX));
    }
}
