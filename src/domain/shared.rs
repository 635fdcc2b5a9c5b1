//! Texts that the rows of a listing repeat: kept once, so that a million rows fit into memory.
//!
//! Deliberately absent: a pool for the whole program. A page's own is enough, and ends with the page.

use std::collections::HashSet;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A text that several rows share, such as the name of a profile.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shared(Arc<str>);

impl Deref for Shared {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Shared {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The texts of one page.
#[derive(Debug, Default)]
pub struct Pool(HashSet<Arc<str>>);

impl Pool {
    /// The text, in memory once however often it is asked for.
    pub fn share(&mut self, text: &str) -> Shared {
        if let Some(known) = self.0.get(text) {
            return Shared(Arc::clone(known));
        }
        let new: Arc<str> = text.into();
        self.0.insert(Arc::clone(&new));
        Shared(new)
    }
}

#[cfg(test)]
mod tests {
    use super::Pool;

    #[test]
    fn equal_texts_are_one() {
        let mut pool = Pool::default();
        let (one, other) = (pool.share("Partner"), pool.share("Partner"));
        assert!(std::ptr::eq(&raw const *one, &raw const *other));
        assert_eq!((&*pool.share("Standard"), &*one), ("Standard", "Partner"));
    }
}
