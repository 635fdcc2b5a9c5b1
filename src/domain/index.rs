//! Finding rows by a text that they hold, without a copy of it: five to ten bytes for each row.
//!
//! Deliberately absent: changing rows; an index is made of a list that stays as it is.

use std::collections::BTreeMap;
use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashTable};

/// What a row is found by; `None` for one that has no such text.
pub(super) type Key<T> = fn(&T) -> Option<&str>;

/// Rows of a list that have a key, by their places.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    /// The first row of each key.
    first: HashTable<u32>,
    /// The rows that share the key of the first, in order; few lists have any.
    more: BTreeMap<u32, Vec<u32>>,
    hasher: DefaultHashBuilder,
}

impl Index {
    /// Of these rows; those without a key cannot be found. A listing ends far below 2^32 rows.
    pub(super) fn of<T>(rows: &[T], key: Key<T>) -> Self {
        let keyed = rows.iter().filter(|row| key(row).is_some()).count();
        let (hasher, mut more) = (DefaultHashBuilder::default(), BTreeMap::<u32, Vec<u32>>::new());
        let mut first: HashTable<u32> = HashTable::with_capacity(keyed);
        for (place, row) in (0_u32..).zip(rows) {
            let Some(text) = key(row) else { continue };
            let hash = hasher.hash_one(text);
            match first.find(hash, |known| at(rows, *known).and_then(key) == Some(text)) {
                Some(known) => more.entry(*known).or_default().push(place),
                None => {
                    first.insert_unique(hash, place, |known| {
                        hasher.hash_one(at(rows, *known).and_then(key).unwrap_or_default())
                    });
                }
            }
        }
        Self { first, more, hasher }
    }

    /// The rows with this key, in the order of their places.
    pub(super) fn find<'a, T>(
        &'a self,
        rows: &'a [T],
        wanted: &str,
        key: Key<T>,
    ) -> impl DoubleEndedIterator<Item = &'a T> + use<'a, T> {
        let hash = self.hasher.hash_one(wanted);
        let first = self.first.find(hash, |place| at(rows, *place).and_then(key) == Some(wanted));
        let more = first.and_then(|first| self.more.get(first)).map_or(&[][..], Vec::as_slice);
        first.into_iter().chain(more).filter_map(|place| at(rows, *place))
    }

    /// Rows that share their key, in groups of two or more.
    pub(super) fn groups<'a, T>(&'a self, rows: &'a [T]) -> impl Iterator<Item = Vec<&'a T>> {
        self.more.iter().map(|(first, more)| {
            std::iter::once(first).chain(more).filter_map(|place| at(rows, *place)).collect()
        })
    }
}

fn at<T>(rows: &[T], place: u32) -> Option<&T> {
    rows.get(usize::try_from(place).ok()?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Index;

    type Row = (u32, Option<String>);

    fn key(row: &Row) -> Option<&str> {
        row.1.as_deref()
    }

    proptest! {
        #[test]
        fn finds_what_a_look_at_every_row_finds(
            keys in proptest::collection::vec(proptest::option::of("[a-c]{0,2}"), 0..30),
            wanted in "[a-c]{0,2}",
        ) {
            let rows: Vec<Row> = (0..).zip(keys).collect();
            let index = Index::of(&rows, key);
            let plain: Vec<&Row> = rows.iter().filter(|row| key(row) == Some(&wanted)).collect();
            prop_assert_eq!(index.find(&rows, &wanted, key).collect::<Vec<_>>(), plain.clone());
            let shared = index.groups(&rows).any(|group| group == plain);
            prop_assert_eq!(shared, plain.len() > 1);
        }
    }
}
