//! "Did you mean …": the nearest known key to a misspelt one.
//!
//! Deliberately absent: any ranking beyond the distance.

/// Most edits between a misspelt key and the one that is suggested; more is another word.
const EDITS_MAX: usize = 2;

/// The known key within two edits; short words must keep more than half of their letters.
pub(super) fn nearest(written: &str, known: &[&'static str]) -> Option<&'static str> {
    let near = |key: &&'static str| {
        let edits = distance(written, key);
        (edits <= EDITS_MAX && edits * 2 < key.chars().count()).then_some((edits, *key))
    };
    known.iter().filter_map(near).min().map(|(_, key)| key)
}

/// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut last: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    let mut before = None;
    for (position, x) in a.chars().enumerate() {
        let mut left = position + 1;
        let mut next = vec![left];
        let mut previous = None;
        for ((column, pair), y) in row.windows(2).enumerate().zip(&b) {
            let [diagonal, above] = pair else { continue };
            left = (diagonal + usize::from(x != *y)).min(above + 1).min(left + 1);
            if before == Some(*y) && previous == Some(x) {
                let swapped = column.checked_sub(1).and_then(|column| last.get(column));
                left = swapped.map_or(left, |swapped| left.min(swapped + 1));
            }
            next.push(left);
            previous = Some(*y);
        }
        last = row;
        row = next;
        before = Some(x);
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    #[test]
    fn the_nearest_key_within_two_edits_is_suggested() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("mial", "mail"), 1);
        assert_eq!(distance("amil", "mail"), 1);
        assert_eq!(distance("abcd", "badc"), 2);
        assert_eq!(nearest("bodylimit", &["body_limit", "queue_limit"]), Some("body_limit"));
        assert_eq!(nearest("lisen", &["listen"]), Some("listen"));
        assert_eq!(nearest("color", &["listen"]), None);
        assert_eq!(nearest("xy", &["id"]), None);
    }
}
