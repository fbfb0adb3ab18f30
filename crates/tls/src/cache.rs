//! Verdicts that were positive, so that a known device's chain is verified once and not on every
//! handshake.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// SHA-256 over the trust bundle's version and the whole chain.
pub(crate) type Key = [u8; 32];

const SHARDS: usize = 16;
/// Entries per generation and shard: with two generations at most 131,072 chains in all.
const GENERATION: usize = 4096;

#[derive(Debug)]
struct Shard<V> {
    young: HashMap<Key, Arc<V>>,
    old: HashMap<Key, Arc<V>>,
}

/// A bounded map in two generations: when the young one is full it becomes the old one, and the old
/// one is forgotten; what is used moves back to the young one.
#[derive(Debug)]
pub(crate) struct Cache<V>(Vec<Mutex<Shard<V>>>);

impl<V> Cache<V> {
    pub(crate) fn new() -> Self {
        let shard = |_| Mutex::new(Shard { young: HashMap::new(), old: HashMap::new() });
        Self((0..SHARDS).map(shard).collect())
    }

    pub(crate) fn find(&self, key: &Key) -> Option<Arc<V>> {
        let mut shard = self.shard(key)?.lock();
        if let Some(value) = shard.young.get(key) {
            return Some(Arc::clone(value));
        }
        let value = shard.old.remove(key)?;
        shard.insert(*key, Arc::clone(&value));
        Some(value)
    }

    pub(crate) fn insert(&self, key: Key, value: Arc<V>) {
        if let Some(shard) = self.shard(&key) {
            shard.lock().insert(key, value);
        }
    }

    fn shard(&self, key: &Key) -> Option<&Mutex<Shard<V>>> {
        let [first, ..] = *key;
        self.0.get(usize::from(first) % SHARDS)
    }
}

impl<V> Shard<V> {
    fn insert(&mut self, key: Key, value: Arc<V>) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> Key {
        let mut key = [0; 32];
        key[24..].copy_from_slice(&number.to_be_bytes());
        key
    }

    #[test]
    fn is_bounded_and_keeps_what_is_used() {
        let cache = Cache::new();
        for number in 0..GENERATION * 5 {
            cache.insert(key(number), Arc::new(number));
            assert_eq!(cache.find(&key(0)).as_deref(), Some(&0), "used all the time");
        }
        let held = (0..GENERATION * 5).filter(|number| cache.find(&key(*number)).is_some()).count();
        assert!(held <= GENERATION * 2, "{held}");
        assert!(cache.find(&key(1)).is_none());
    }
}
