//! Sets of which a fleet has hundreds of thousands of members: packed, and shared between snapshots.
//!
//! What stands is one table that never changes: the members' bytes behind each other, a handful to a bucket. What
//! has changed since is beside it in a persistent map, so that one revocation costs the change and not a copy. When
//! that has grown to a part of the table, a new table is made of both. Nothing is left out and nothing is
//! shortened: two members are the same when all of their bytes are.

use std::borrow::Cow;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::marker::PhantomData;
use std::sync::Arc;

use imbl::HashMap;

use super::edits::Edits;
use crate::ids::{SerialNumber, SpkiSha256};

/// How many members share a bucket, on average.
const IN_A_BUCKET: usize = 4;

/// While much changes, a new table is made when this part of it has changed...
const PART_AT_WORK: usize = 2;
/// ... and at rest, when this part of it has.
const PART_AT_REST: usize = 32;
/// Fewer changes than this are left where they are.
const FEW: usize = 64;

/// What a packed set can hold.
pub trait Packed: Sized {
    /// Its bytes, at most 255: no two members have the same.
    fn packed(&self) -> Cow<'_, [u8]>;

    /// What has these bytes; `None`: nothing has.
    fn unpacked(bytes: &[u8]) -> Option<Self>;
}

impl Packed for SerialNumber {
    fn packed(&self) -> Cow<'_, [u8]> {
        self.as_bytes().into()
    }

    fn unpacked(bytes: &[u8]) -> Option<Self> {
        Self::from_be_bytes(bytes).ok()
    }
}

impl Packed for SpkiSha256 {
    fn packed(&self) -> Cow<'_, [u8]> {
        self.as_bytes().as_slice().into()
    }

    fn unpacked(bytes: &[u8]) -> Option<Self> {
        <[u8; 32]>::try_from(bytes).ok().map(Self::from)
    }
}

/// A set in little memory. A clone shares everything with the original.
pub struct PackedSet<T> {
    table: Arc<Table>,
    /// Whether each of these is a member now; the table says otherwise.
    changed: HashMap<Box<[u8]>, bool>,
    len: usize,
    members: PhantomData<fn() -> T>,
}

impl<T> PackedSet<T> {
    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes all of them out.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Makes one table of everything, if much has changed: for whoever is done with changing it.
    pub fn settle(&mut self) {
        self.rebuild_beyond(self.table.len / PART_AT_REST);
    }

    fn has(&self, bytes: &[u8]) -> bool {
        let changed = if self.changed.is_empty() { None } else { self.changed.get(bytes) };
        changed.copied().unwrap_or_else(|| self.table.has(bytes))
    }

    fn set(&mut self, bytes: &[u8], is_member: bool) {
        if self.has(bytes) == is_member {
            return;
        }
        if is_member {
            self.len += 1;
        } else {
            self.len -= 1;
        }
        if self.changed.remove(bytes).is_none() {
            self.changed.insert(bytes.into(), is_member);
        }
        self.rebuild_beyond(self.table.len / PART_AT_WORK);
    }

    fn rebuild_beyond(&mut self, most: usize) {
        if self.changed.len() > most.max(FEW) {
            self.table = Arc::new(Table::of(|| self.all()));
            self.changed = HashMap::new();
        }
    }

    /// The bytes of every member.
    fn all(&self) -> impl Iterator<Item = &[u8]> {
        let standing = self.table.all().filter(|bytes| !self.changed.contains_key(*bytes));
        let added = self.changed.iter().filter(|(_bytes, is_member)| **is_member);
        standing.chain(added.map(|(bytes, _is_member)| &**bytes))
    }
}

impl<T: Packed> PackedSet<T> {
    /// A set of members that are all different, in one table.
    pub(super) fn of<'a, I: Iterator<Item = &'a T>>(members: impl Fn() -> I) -> Self
    where
        T: 'a,
    {
        let table = Table::of(|| members().map(T::packed));
        Self { len: table.len, table: Arc::new(table), changed: HashMap::new(), members: PhantomData }
    }

    /// Puts in what is there, and takes out what is gone.
    pub(super) fn edit(&mut self, edits: &Edits<T, ()>) {
        if self.is_empty() {
            *self =
                Self::of(|| edits.iter().filter(|(_member, now)| now.is_some()).map(|(member, _now)| member));
        } else {
            edits.iter().for_each(|(member, now)| self.set(&member.packed(), now.is_some()));
        }
    }

    /// Whether it is one of them.
    #[must_use]
    pub fn contains(&self, member: &T) -> bool {
        self.has(&member.packed())
    }

    /// Puts one in.
    #[expect(clippy::needless_pass_by_value, reason = "as other sets take it")]
    pub fn insert(&mut self, member: T) {
        self.set(&member.packed(), true);
    }

    /// Takes one out.
    pub fn remove(&mut self, member: &T) {
        self.set(&member.packed(), false);
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = T> {
        #[expect(clippy::expect_used, reason = "the bytes are of what was put in")]
        self.all().map(|bytes| T::unpacked(bytes).expect("bytes of a member"))
    }
}

impl<T> Default for PackedSet<T> {
    fn default() -> Self {
        Self { table: Arc::default(), changed: HashMap::new(), len: 0, members: PhantomData }
    }
}

impl<T> Clone for PackedSet<T> {
    fn clone(&self) -> Self {
        let (table, changed) = (Arc::clone(&self.table), self.changed.clone());
        Self { table, changed, len: self.len, members: PhantomData }
    }
}

impl<T> PartialEq for PackedSet<T> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.all().all(|bytes| other.has(bytes))
    }
}

impl<T: Packed + fmt::Debug> fmt::Debug for PackedSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl<T: Packed + Ord> Extend<T> for PackedSet<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, members: I) {
        if self.is_empty() {
            *self = members.into_iter().collect();
        } else {
            members.into_iter().for_each(|member| self.insert(member));
        }
    }
}

/// One table is made of all of them at once.
impl<T: Packed + Ord> FromIterator<T> for PackedSet<T> {
    fn from_iter<I: IntoIterator<Item = T>>(members: I) -> Self {
        let mut members: Vec<T> = members.into_iter().collect();
        members.sort_unstable();
        members.dedup();
        Self::of(|| members.iter())
    }
}

/// Members in buckets. Where a bucket is follows from a hash with a secret, so that nobody can choose names or keys
/// that share one.
#[derive(Default)]
struct Table {
    hasher: RandomState,
    /// Where each bucket ends.
    ends: Box<[usize]>,
    /// The members of one bucket after the other, each behind its length.
    records: Box<[u8]>,
    len: usize,
}

impl Table {
    /// A table of members that are all different; they are gone through three times.
    fn of<B: AsRef<[u8]>, I: Iterator<Item = B>>(members: impl Fn() -> I) -> Self {
        let (hasher, len) = (RandomState::new(), members().count());
        let buckets = len.div_ceil(IN_A_BUCKET);
        let mut ends = vec![0; buckets];
        for member in members() {
            let bytes = member.as_ref();
            if let Some(size) = ends.get_mut(bucket(&hasher, bytes, buckets)) {
                *size += 1 + bytes.len();
            }
        }
        // The beginnings first: each moves to its end as its members are put in.
        let mut sum = 0;
        for size in &mut ends {
            sum += std::mem::replace(size, sum);
        }
        let mut records = vec![0; sum];
        for member in members() {
            let bytes = member.as_ref();
            let Some(at) = ends.get_mut(bucket(&hasher, bytes, buckets)) else { continue };
            let end = *at + 1 + bytes.len();
            if let Some([length, place @ ..]) = records.get_mut(*at..end) {
                *length = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
                place.copy_from_slice(bytes);
            }
            *at = end;
        }
        Self { hasher, ends: ends.into(), records: records.into(), len }
    }

    fn has(&self, bytes: &[u8]) -> bool {
        let at = bucket(&self.hasher, bytes, self.ends.len());
        let Some(end) = self.ends.get(at) else { return false };
        let begin = at.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or_default();
        self.records.get(begin..*end).is_some_and(|records| Records(records).any(|one| one == bytes))
    }

    fn all(&self) -> Records<'_> {
        Records(&self.records)
    }
}

/// In which of so many buckets a member is.
fn bucket(hasher: &RandomState, bytes: &[u8], buckets: usize) -> usize {
    let hash = usize::try_from(hasher.hash_one(bytes)).unwrap_or(usize::MAX);
    hash.checked_rem(buckets).unwrap_or_default()
}

/// Goes from one record to the next.
struct Records<'a>(&'a [u8]);

impl<'a> Iterator for Records<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first()?;
        let (bytes, rest) = rest.split_at_checked(usize::from(*length))?;
        self.0 = rest;
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use proptest::prelude::*;

    fn serial(number: u64) -> SerialNumber {
        // Of different lengths, and each the beginning of others.
        SerialNumber::from_be_bytes(&(number + 1).to_be_bytes()).unwrap()
    }

    fn key(number: u64) -> SpkiSha256 {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        bytes.into()
    }

    #[derive(Clone, Debug)]
    enum Act {
        Insert(u64),
        Remove(u64),
        Extend(u64, u64),
        Settle,
        Keep,
        Clear,
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            10 => (0_u64..600).prop_map(Act::Insert),
            10 => (0_u64..600).prop_map(Act::Remove),
            3 => (0_u64..600, 0_u64..300).prop_map(|(first, count)| Act::Extend(first, count)),
            2 => Just(Act::Settle),
            2 => Just(Act::Keep),
            1 => Just(Act::Clear),
        ]
    }

    proptest! {
        #[test]
        fn it_holds_what_a_plain_set_holds(acts in prop::collection::vec(act(), 0..60)) {
            let (mut set, mut model) = (PackedSet::default(), HashSet::new());
            let mut kept = Vec::new();
            for act in acts {
                match act {
                    Act::Insert(number) => { set.insert(serial(number)); model.insert(serial(number)); }
                    Act::Remove(number) => { set.remove(&serial(number)); model.remove(&serial(number)); }
                    Act::Extend(first, count) => {
                        set.extend((first..first + count).map(serial));
                        model.extend((first..first + count).map(serial));
                    }
                    Act::Settle => set.settle(),
                    Act::Keep => kept.push((set.clone(), model.clone())),
                    Act::Clear => { set.clear(); model.clear(); }
                }
            }
            kept.push((set, model));
            for (set, model) in kept {
                prop_assert_eq!(set.len(), model.len());
                prop_assert_eq!(set.is_empty(), model.is_empty());
                for number in 0..900 {
                    prop_assert_eq!(set.contains(&serial(number)), model.contains(&serial(number)));
                }
                let members: HashSet<_> = set.iter().collect();
                prop_assert_eq!(set.iter().count(), members.len());
                prop_assert_eq!(&members, &model);
                prop_assert!(set == members.into_iter().collect());
            }
        }
    }

    #[test]
    fn one_more_or_one_less_is_not_the_same() {
        let some: PackedSet<_> = (0..100).map(serial).collect();
        let mut other = some.clone();
        assert!(some == other);
        other.remove(&serial(7));
        assert!(some != other);
        other.insert(serial(700));
        assert!(some != other, "as many, but others");
    }

    #[test]
    fn edits_make_the_same_of_an_empty_set_as_of_another() {
        let edits = Edits::from([(serial(1), Some(())), (serial(2), None), (serial(3), Some(()))]);
        let mut one = PackedSet::default();
        one.edit(&edits);
        let mut other: PackedSet<_> = [serial(2), serial(9)].into_iter().collect();
        other.edit(&edits);
        other.remove(&serial(9));
        assert_eq!((one.len(), &one), (2, &other));
    }

    #[test]
    fn a_member_takes_its_own_bytes_and_three_more() {
        let keys: PackedSet<_> = (0..100_000).map(key).collect();
        let table = &keys.table;
        let bytes = table.records.len() + table.ends.len() * size_of::<usize>();
        let each = bytes as f64 / table.len as f64;
        assert!(each <= 32.0 + 3.01, "{each}");
        assert!(keys.changed.len() <= table.len / PART_AT_REST, "{}", keys.changed.len());
    }

    #[test]
    fn one_change_among_many_is_beside_the_table_and_not_a_copy() {
        let many: PackedSet<_> = (0..100_000).map(key).collect();
        let mut next = many.clone();
        next.insert(key(1_000_000));
        next.remove(&key(5));
        next.settle();
        assert!(Arc::ptr_eq(&many.table, &next.table));
        assert!(next.contains(&key(1_000_000)) && !next.contains(&key(5)));
        assert!(!many.contains(&key(1_000_000)) && many.contains(&key(5)));
    }

    #[test]
    fn buckets_stay_short() {
        let keys: PackedSet<_> = (0..50_000).map(key).collect();
        let mut begin = 0;
        for end in &keys.table.ends {
            assert!((end - begin) / 33 <= 8 * IN_A_BUCKET);
            begin = *end;
        }
    }
}
