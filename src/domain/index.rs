//! Finding rows by a text that they hold, without a copy of it: four bytes for each row.
//!
//! Deliberately absent: changing rows; an index is made of a list that stays as it is.

/// What a row is found by; `None` for one that has no such text.
pub(super) type Key<T> = fn(&T) -> Option<&str>;

/// Rows of a list that have a key, in the order of their keys, then of their places.
#[derive(Clone, Debug, Default)]
pub(super) struct Index(Vec<u32>);

impl Index {
    /// Of these rows; those without a key cannot be found. A listing ends far below 2^32 rows.
    pub(super) fn of<T>(rows: &[T], key: Key<T>) -> Self {
        let mut places: Vec<u32> =
            (0_u32..).zip(rows).filter(|(_, row)| key(row).is_some()).map(|(at, _)| at).collect();
        places.sort_unstable_by(|one, other| {
            let keys = (at(rows, *one).and_then(key), at(rows, *other).and_then(key));
            keys.0.cmp(&keys.1).then(one.cmp(other))
        });
        Self(places)
    }

    /// The rows with this key, in the order of their places.
    pub(super) fn find<'a, T>(
        &'a self,
        rows: &'a [T],
        wanted: &str,
        key: Key<T>,
    ) -> impl DoubleEndedIterator<Item = &'a T> + use<'a, T> {
        let before = |bound: &dyn Fn(&str) -> bool| {
            self.0.partition_point(|place| at(rows, *place).and_then(key).is_some_and(bound))
        };
        let first = before(&|key| key < wanted);
        let end = before(&|key| key <= wanted);
        let places = self.0.get(first..end).unwrap_or_default();
        places.iter().filter_map(|place| at(rows, *place))
    }

    /// Rows that share their key, in groups of two or more.
    pub(super) fn groups<'a, T>(
        &'a self,
        rows: &'a [T],
        key: Key<T>,
    ) -> impl Iterator<Item = Vec<&'a T>> {
        let same = move |one: &u32, other: &u32| {
            at(rows, *one).and_then(key) == at(rows, *other).and_then(key)
        };
        let groups = self.0.chunk_by(same).filter(|group| group.len() > 1);
        groups.map(|group| group.iter().filter_map(|place| at(rows, *place)).collect())
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
            let shared = index.groups(&rows, key).any(|group| group == plain);
            prop_assert_eq!(shared, plain.len() > 1);
        }
    }
}
