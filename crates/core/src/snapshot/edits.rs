//! The facts about one kind of thing that changed.

/// What is said of each thing now, in ascending order; `None`: the fact is gone. Of hundreds of thousands this is one
/// piece of memory, which goes back as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edits<K, V>(Vec<(K, Option<V>)>);

impl<K, V> Edits<K, V> {
    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &Option<V>)> {
        self.0.iter().map(|(key, now)| (key, now))
    }

    /// What they are about.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.iter().map(|(key, _now)| key)
    }

    /// Leaves out what is about anything else.
    pub(super) fn retain(&mut self, is_kept: impl Fn(&K) -> bool) {
        self.0.retain(|(key, _now)| is_kept(key));
    }

    /// One after the other.
    pub(super) fn as_slice(&self) -> &[(K, Option<V>)] {
        &self.0
    }
}

impl<K: Ord, V> Edits<K, V> {
    /// `None`: they are not in ascending order, or one is there twice.
    pub(super) fn in_order(edits: Vec<(K, Option<V>)>) -> Option<Self> {
        edits.is_sorted_by(|(one, _), (next, _)| one < next).then_some(Self(edits))
    }
}

impl<K, V> Default for Edits<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K, V> IntoIterator for Edits<K, V> {
    type Item = (K, Option<V>);
    type IntoIter = std::vec::IntoIter<(K, Option<V>)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Of what is said twice, the last counts.
impl<K: Ord, V> FromIterator<(K, Option<V>)> for Edits<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, Option<V>)>>(edits: I) -> Self {
        let mut edits: Vec<_> = edits.into_iter().collect();
        edits.sort_by(|(one, _), (next, _)| one.cmp(next));
        edits.dedup_by(|later, kept| {
            let is_same = later.0 == kept.0;
            if is_same {
                std::mem::swap(later, kept);
            }
            is_same
        });
        Self(edits)
    }
}

impl<K: Ord, V, const N: usize> From<[(K, Option<V>); N]> for Edits<K, V> {
    fn from(edits: [(K, Option<V>); N]) -> Self {
        edits.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_in_order_and_the_last_word_counts() {
        let said: Edits<u8, char> = [(3, Some('a')), (1, None), (3, Some('b')), (2, Some('c'))].into();
        assert_eq!(said.keys().collect::<Vec<_>>(), [&1, &2, &3]);
        assert_eq!(said.as_slice(), [(1, None), (2, Some('c')), (3, Some('b'))]);
        assert_eq!(Edits::in_order(said.clone().into_iter().collect()), Some(said));
        for wrong in [vec![(2, Some('a')), (1, None)], vec![(1, Some('a')), (1, None)]] {
            assert_eq!(Edits::in_order(wrong), None);
        }
    }
}
