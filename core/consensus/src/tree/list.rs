//! [`PersistentList`] and [`PersistentVector`].

use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};

use super::element::Element;
use super::jobs::Jobs;
use super::node::Node;
use crate::hashing::{depth_of, mix_in_length, pad, zero};
use crate::preset::Length;
use crate::primitives::Root;
use crate::wire::{BYTES_PER_OFFSET, DecodeError, for_each_variable};

/// The list has as many elements as its type allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("the list holds its limit of {limit} elements")]
pub struct ListFull {
    /// The limit.
    pub limit: usize,
}

/// A persistent list of at most `N` elements. A clone is a pointer.
///
/// # Examples
/// ```
/// use blocksmith_consensus::PersistentList;
/// let mut list: PersistentList<u64, typenum::U4> = (0..3).collect::<Vec<_>>().try_into().unwrap();
/// let before = list.clone();
/// list.push(3).unwrap();
/// *list.get_mut(0).unwrap() = 9;
/// assert_eq!(list.to_vec(), [9, 1, 2, 3]);
/// assert_eq!(before.to_vec(), [0, 1, 2]);
/// assert!(list.push(4).is_err());
/// ```
#[derive(Debug)]
pub struct PersistentList<T: Element, N> {
    top: Option<Arc<Top<T>>>,
    limit: PhantomData<fn() -> N>,
}

/// A tree and what is known about it as a whole.
#[derive(Debug)]
struct Top<T: Element> {
    node: Node<T>,
    depth: usize,
    len: usize,
    /// The root with all levels that the limit requires; for a list it includes the length.
    root: OnceLock<Root>,
}

/// A clone is made for a write: what is known about the tree as a whole is forgotten.
impl<T: Element> Clone for Top<T> {
    fn clone(&self) -> Self {
        Self::new(self.node.clone(), self.depth, self.len)
    }
}

impl<T: Element> Top<T> {
    fn new(node: Node<T>, depth: usize, len: usize) -> Self {
        Self { node, depth, len, root: OnceLock::new() }
    }

    fn get(&self, index: usize) -> Option<&T> {
        if index >= self.len {
            return None;
        }
        self.node.chunk(self.depth, index)?.get(index % T::CHUNK)
    }

    fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.root = OnceLock::new();
        self.node.chunk_mut(self.depth, index)?.get_mut(index % T::CHUNK)
    }

    fn push(&mut self, value: T) {
        self.root = OnceLock::new();
        if self.len == T::CHUNK << self.depth {
            let right = Node::path(self.depth, value);
            self.node = Node::inner(self.node.clone(), Some(right));
            self.depth += 1;
        } else {
            self.node.push(self.depth, self.len, value);
        }
        self.len += 1;
    }

    /// The root of all levels that a limit requires, without a length.
    fn padded_root(&self, full_depth: usize) -> Root {
        let level = self.depth + T::CHUNK_DEPTH;
        debug_assert!(level <= full_depth, "limits are at least a chunk");
        pad(self.node.root(self.depth), level, full_depth)
    }
}

impl<T: Element, N> Clone for PersistentList<T, N> {
    fn clone(&self) -> Self {
        Self { top: self.top.clone(), limit: PhantomData }
    }
}

impl<T: Element, N> Default for PersistentList<T, N> {
    fn default() -> Self {
        Self { top: None, limit: PhantomData }
    }
}

impl<T: Element, N: Length> PersistentList<T, N> {
    /// Levels of the tree that the specification lays over the limit.
    const FULL_DEPTH: usize = depth_of(N::U64.div_ceil(T::PER_ROOT as u64));

    /// The empty list.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.top.as_ref().map_or(0, |top| top.len)
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.top.is_none()
    }

    /// Element `index`.
    pub fn get(&self, index: usize) -> Option<&T> {
        self.top.as_ref()?.get(index)
    }

    /// Element `index`, for writing.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        if index >= self.len() {
            return None;
        }
        Arc::make_mut(self.top.as_mut()?).get_mut(index)
    }

    /// Appends an element.
    ///
    /// # Errors
    /// [`ListFull`] if there are as many elements as the type allows.
    pub fn push(&mut self, value: T) -> Result<(), ListFull> {
        if self.len() >= N::USIZE {
            return Err(ListFull { limit: N::USIZE });
        }
        match &mut self.top {
            Some(top) => Arc::make_mut(top).push(value),
            None => self.top = Some(Arc::new(Top::new(Node::path(0, value), 0, 1))),
        }
        Ok(())
    }

    /// The elements in order.
    pub fn iter(&self) -> Iter<'_, T> {
        self.chunks().flatten()
    }

    /// The elements in order, in slices; all but the last are whole chunks.
    pub fn chunks(&self) -> Chunks<'_, T> {
        let Some(top) = &self.top else { return Chunks { stack: Vec::new() } };
        let mut stack = Vec::with_capacity(top.depth + 1);
        stack.push(&top.node);
        Chunks { stack }
    }

    /// The elements.
    pub fn to_vec(&self) -> Vec<T> {
        let mut values = Vec::with_capacity(self.len());
        self.chunks().for_each(|chunk| values.extend_from_slice(chunk));
        values
    }

    fn from_leaves(leaves: Vec<Node<T>>, len: usize) -> Self {
        match Node::build(leaves) {
            None => Self::default(),
            Some((node, depth)) => {
                Self { top: Some(Arc::new(Top::new(node, depth, len))), ..Self::default() }
            }
        }
    }

    /// A list of the chunks that `next` makes; equal neighbours are shared (T4).
    fn from_chunks<E>(
        len: usize,
        mut same: impl FnMut(usize) -> bool,
        mut chunk: impl FnMut(usize, usize) -> Result<Node<T>, E>,
    ) -> Result<Self, E> {
        let mut leaves: Vec<Node<T>> = Vec::with_capacity(len.div_ceil(T::CHUNK));
        for start in (0..len).step_by(T::CHUNK) {
            let end = len.min(start + T::CHUNK);
            let node = match leaves.last() {
                Some(last) if end - start == T::CHUNK && same(start) => last.clone(),
                _ => chunk(start, end)?,
            };
            leaves.push(node);
        }
        Ok(Self::from_leaves(leaves, len))
    }

    /// Decodes elements that fill `bytes`.
    ///
    /// # Errors
    /// [`DecodeError`] if a length, an offset or an element is wrong, or if there are too many
    /// elements. The memory allocated is at most a small multiple of the input.
    pub fn from_ssz_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let Some(size) = T::FIXED_LEN else { return Self::from_variable(bytes) };
        let length = bytes.len() / size;
        if length * size != bytes.len() {
            return Err(DecodeError::Length { provided: bytes.len(), expected: length * size });
        }
        if length > N::USIZE {
            return Err(DecodeError::Limit { length, limit: N::USIZE });
        }
        let part = |start: usize, end: usize| &bytes[start * size..end * size];
        Self::from_chunks(
            length,
            |start| part(start - T::CHUNK, start) == part(start, start + T::CHUNK),
            |start, end| {
                let mut failed = None;
                let values = part(start, end).chunks_exact(size).map_while(|element| {
                    T::decode(element).map_err(|error| failed = Some(error)).ok()
                });
                let leaf = Node::leaf(values);
                failed.map_or(Ok(leaf), Err)
            },
        )
    }

    fn from_variable(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut list = Self::default();
        for_each_variable(bytes, N::USIZE, |element| {
            let limit = |full: ListFull| DecodeError::Limit {
                length: full.limit.saturating_add(1),
                limit: full.limit,
            };
            list.push(T::decode(element)?).map_err(limit)
        })?;
        Ok(list)
    }

    /// Appends the encoding.
    pub fn append_ssz(&self, buffer: &mut Vec<u8>) {
        if T::FIXED_LEN.is_some() {
            return self.chunks().for_each(|chunk| T::append(chunk, buffer));
        }
        let start = buffer.len();
        buffer.resize(start + self.len() * BYTES_PER_OFFSET, 0);
        for (index, value) in self.iter().enumerate() {
            let offset = ((buffer.len() - start) as u32).to_le_bytes();
            let at = start + index * BYTES_PER_OFFSET;
            buffer[at..at + BYTES_PER_OFFSET].copy_from_slice(&offset);
            T::append(std::slice::from_ref(value), buffer);
        }
    }

    /// Length of the encoding if elements have a fixed length, otherwise `None`.
    pub(crate) fn fixed_ssz_len(&self) -> Option<usize> {
        T::FIXED_LEN.map(|size| size * self.len())
    }

    /// The Merkle root.
    pub fn hash_tree_root(&self) -> Root {
        match &self.top {
            None => mix_in_length(zero(Self::FULL_DEPTH), 0),
            Some(top) => {
                *top.root.get_or_init(|| mix_in_length(&top.padded_root(Self::FULL_DEPTH), top.len))
            }
        }
    }

    /// How many hashes the root still needs, except for a few at the top.
    pub(crate) fn unhashed(&self) -> usize {
        self.top.as_ref().map_or(0, |top| top.node.unhashed())
    }

    /// Cuts the hashing that the root still needs into jobs.
    pub(crate) fn root_jobs(&self, jobs: &mut Jobs) {
        if let Some(top) = &self.top {
            top.node.cut(top.depth, jobs);
        }
    }

    /// Adds up the bytes that this list holds and that are not in `seen` yet.
    pub(crate) fn held_beside(&self, seen: &mut std::collections::HashSet<usize>) -> usize {
        self.top.as_ref().map_or(0, |top| top.node.bytes_beside(seen))
    }
}

impl<T: Element, N: Length> TryFrom<Vec<T>> for PersistentList<T, N> {
    type Error = ListFull;

    fn try_from(values: Vec<T>) -> Result<Self, ListFull> {
        if values.len() > N::USIZE {
            return Err(ListFull { limit: N::USIZE });
        }
        let part = |start: usize, end: usize| &values[start..end];
        Self::from_chunks(
            values.len(),
            |start| part(start - T::CHUNK, start) == part(start, start + T::CHUNK),
            |start, end| Ok(Node::leaf(part(start, end).iter().cloned())),
        )
    }
}

impl<'a, T: Element, N: Length> IntoIterator for &'a PersistentList<T, N> {
    type Item = &'a T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T: Element, N: Length> PartialEq for PersistentList<T, N> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl<T: Element + Eq, N: Length> Eq for PersistentList<T, N> {}

/// The elements of a list in order.
pub type Iter<'a, T> = std::iter::Flatten<Chunks<'a, T>>;

/// The elements of a list in order, a leaf at a time.
#[derive(Clone, Debug)]
pub struct Chunks<'a, T: Element> {
    stack: Vec<&'a Node<T>>,
}

impl<'a, T: Element> Iterator for Chunks<'a, T> {
    type Item = &'a [T];

    fn next(&mut self) -> Option<&'a [T]> {
        loop {
            match self.stack.pop()?.children() {
                Ok(values) => return Some(values),
                Err((left, right)) => {
                    self.stack.extend(right);
                    self.stack.push(left);
                }
            }
        }
    }
}

/// A persistent vector of exactly `N` elements. A clone is a pointer.
#[derive(Debug)]
pub struct PersistentVector<T: Element, N> {
    list: PersistentList<T, N>,
}

impl<T: Element, N> Clone for PersistentVector<T, N> {
    fn clone(&self) -> Self {
        Self { list: self.list.clone() }
    }
}

impl<T: Element, N: Length> PersistentVector<T, N> {
    /// Length of the encoding, where elements have a fixed length.
    pub(crate) const ENCODED_LEN: usize = match T::FIXED_LEN {
        Some(size) => size * N::USIZE,
        None => panic!("vectors of lists do not occur"),
    };

    /// A vector of one value, held once.
    pub fn from_elem(value: T) -> Self {
        let chunk = || Node::leaf(std::iter::repeat_n(value.clone(), T::CHUNK.min(N::USIZE)));
        let built: Result<_, std::convert::Infallible> =
            PersistentList::from_chunks(N::USIZE, |_| true, |_, _| Ok(chunk()));
        match built {
            Ok(list) => Self { list },
            Err(never) => match never {},
        }
    }

    /// Element `index`.
    pub fn get(&self, index: usize) -> Option<&T> {
        self.list.get(index)
    }

    /// Element `index`, for writing.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.list.get_mut(index)
    }

    /// The elements in order.
    pub fn iter(&self) -> Iter<'_, T> {
        self.list.iter()
    }

    /// Decodes the elements, which must fill `bytes`.
    ///
    /// # Errors
    /// [`DecodeError`] if the length or an element is wrong.
    pub fn from_ssz_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() != Self::ENCODED_LEN {
            return Err(DecodeError::Length { provided: bytes.len(), expected: Self::ENCODED_LEN });
        }
        Ok(Self { list: PersistentList::from_ssz_bytes(bytes)? })
    }

    /// Appends the encoding.
    pub fn append_ssz(&self, buffer: &mut Vec<u8>) {
        self.list.append_ssz(buffer);
    }

    /// The Merkle root.
    pub fn hash_tree_root(&self) -> Root {
        match &self.list.top {
            None => *zero(PersistentList::<T, N>::FULL_DEPTH),
            Some(top) => {
                *top.root.get_or_init(|| top.padded_root(PersistentList::<T, N>::FULL_DEPTH))
            }
        }
    }

    /// As that of a list.
    pub(crate) fn unhashed(&self) -> usize {
        self.list.unhashed()
    }

    /// As that of a list.
    pub(crate) fn root_jobs(&self, jobs: &mut Jobs) {
        self.list.root_jobs(jobs);
    }

    /// As that of a list.
    pub(crate) fn held_beside(&self, seen: &mut std::collections::HashSet<usize>) -> usize {
        self.list.held_beside(seen)
    }
}
