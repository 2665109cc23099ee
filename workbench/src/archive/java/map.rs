//! In which order Java goes through a `HashMap`.

use super::Text;

const DEFAULT_CAPACITY: usize = 16;

/// As much of `java.util.HashMap<String, V>` as decides in which order it is iterated: the table's
/// size, the buckets, and the order within a bucket. Buckets that Java turns into trees (over eight
/// colliding keys in a table of 64 or more) are not reproduced; field names do not collide so.
#[derive(Debug, Clone, PartialEq)]
pub struct HashMap<V> {
    /// In the order of insertion, which resizing keeps within each bucket.
    entries: Vec<(Text, V)>,
    capacity: usize,
}

impl<V> HashMap<V> {
    pub fn new() -> Self {
        Self { entries: Vec::new(), capacity: DEFAULT_CAPACITY }
    }

    /// `new HashMap<>(other)`: filled in the other's iteration order, into a table that fits its
    /// size.
    pub fn copy_of(other: Self) -> Self {
        let size = other.entries.len();
        // size / 0.75 + 1, rounded up to a power of two.
        let capacity = match size {
            0 => DEFAULT_CAPACITY,
            _ => (size * 4 / 3 + 1).next_power_of_two(),
        };
        let mut copy = Self { entries: Vec::with_capacity(size + 2), capacity };
        for (key, value) in other.into_iteration_order() {
            copy.put(key, value);
        }
        copy
    }

    /// A key that is there keeps its place and gets the new value.
    pub fn put(&mut self, key: Text, value: V) {
        match self.entries.iter_mut().find(|(present, _)| *present == key) {
            Some((_, present)) => *present = value,
            None => {
                self.entries.push((key, value));
                if self.entries.len() > self.capacity / 4 * 3 {
                    self.capacity *= 2;
                }
            }
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Text, &V)> {
        let mut order: Vec<&(Text, V)> = self.entries.iter().collect();
        // Stable: within a bucket the order of insertion stays.
        order.sort_by_key(|(key, _)| self.bucket(key));
        order.into_iter().map(|(key, value)| (key, value))
    }

    fn into_iteration_order(mut self) -> Vec<(Text, V)> {
        let mut entries = std::mem::take(&mut self.entries);
        entries.sort_by_key(|(key, _)| self.bucket(key));
        entries
    }

    fn bucket(&self, key: &Text) -> usize {
        let hash = key.hash_code().cast_unsigned();
        let spread = hash ^ (hash >> 16);
        spread as usize & (self.capacity - 1)
    }
}

impl<V> Default for HashMap<V> {
    fn default() -> Self {
        Self::new()
    }
}
