//! The nodes of a persistent tree; for T1 to T4 see the parent module.

use std::sync::{Arc, OnceLock};

use super::element::Element;
use crate::hashing::{hash_concat, zero};
use crate::primitives::Root;

/// A shared subtree: a clone is a pointer. Leaves and inner nodes are allocated separately, since
/// most leaves are several times as large.
#[derive(Debug)]
pub(crate) enum Node<T: Element> {
    /// A chunk of elements.
    Leaf(Arc<Leaf<T>>),
    /// Two subtrees of one depth.
    Inner(Arc<Inner<T>>),
}

impl<T: Element> Clone for Node<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Leaf(leaf) => Self::Leaf(Arc::clone(leaf)),
            Self::Inner(inner) => Self::Inner(Arc::clone(inner)),
        }
    }
}

/// A chunk of elements, the first `len` of which exist.
#[derive(Debug)]
pub(crate) struct Leaf<T: Element> {
    root: OnceLock<Root>,
    len: u32,
    values: T::Chunk,
}

/// Two subtrees; a missing right one stands for zeros.
#[derive(Debug)]
pub(crate) struct Inner<T: Element> {
    root: OnceLock<Root>,
    left: Node<T>,
    right: Option<Node<T>>,
}

/// A clone is made for a write: the hash is forgotten.
impl<T: Element> Clone for Leaf<T> {
    fn clone(&self) -> Self {
        Self { root: OnceLock::new(), len: self.len, values: self.values.clone() }
    }
}

/// A clone is made for a write: the hash is forgotten.
impl<T: Element> Clone for Inner<T> {
    fn clone(&self) -> Self {
        Self { root: OnceLock::new(), left: self.left.clone(), right: self.right.clone() }
    }
}

impl<T: Element> Leaf<T> {
    /// A leaf of at most a chunk of elements.
    pub(super) fn new(values: impl Iterator<Item = T>) -> Self {
        let mut leaf = Self { root: OnceLock::new(), len: 0, values: T::empty_chunk() };
        for (place, value) in leaf.values.as_mut().iter_mut().zip(values) {
            *place = value;
            leaf.len += 1;
        }
        leaf
    }

    fn values(&self) -> &[T] {
        &self.values.as_ref()[..self.len as usize]
    }

    fn values_mut(&mut self) -> &mut [T] {
        self.root = OnceLock::new();
        &mut self.values.as_mut()[..self.len as usize]
    }
}

impl<T: Element> Node<T> {
    pub(super) fn leaf(values: impl Iterator<Item = T>) -> Self {
        Self::Leaf(Arc::new(Leaf::new(values)))
    }

    pub(super) fn inner(left: Self, right: Option<Self>) -> Self {
        Self::Inner(Arc::new(Inner { root: OnceLock::new(), left, right }))
    }

    /// Whether both are the same node.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Leaf(leaf), Self::Leaf(other)) => Arc::ptr_eq(leaf, other),
            (Self::Inner(inner), Self::Inner(other)) => Arc::ptr_eq(inner, other),
            _ => false,
        }
    }

    /// The root of this subtree, whose leaves are `depth` levels below.
    pub(super) fn root(&self, depth: usize) -> Root {
        match self {
            Self::Leaf(leaf) => *leaf.root.get_or_init(|| T::chunk_root(leaf.values())),
            Self::Inner(inner) => *inner.root.get_or_init(|| {
                let below = depth - 1;
                let left = inner.left.root(below);
                match &inner.right {
                    // What is shared is hashed once (T4).
                    Some(right) if right.is(&inner.left) => hash_concat(&left, &left),
                    Some(right) => hash_concat(&left, &right.root(below)),
                    None => hash_concat(&left, zero(below + T::CHUNK_DEPTH)),
                }
            }),
        }
    }

    /// The elements of the leaf that holds `index`, which must exist.
    pub(super) fn chunk(&self, depth: usize, index: usize) -> Option<&[T]> {
        let (mut node, mut depth) = (self, depth);
        loop {
            match node {
                Self::Leaf(leaf) => return Some(leaf.values()),
                Self::Inner(inner) => {
                    depth -= 1;
                    node = if goes_right::<T>(index, depth) {
                        inner.right.as_ref()?
                    } else {
                        &inner.left
                    };
                }
            }
        }
    }

    /// The elements of the leaf that holds `index`, for writing. Afterwards the path belongs to
    /// this tree alone, and its hashes are forgotten (T2, T3).
    pub(super) fn chunk_mut(&mut self, depth: usize, index: usize) -> Option<&mut [T]> {
        let (mut node, mut depth) = (self, depth);
        loop {
            match node {
                Self::Leaf(leaf) => return Some(Arc::make_mut(leaf).values_mut()),
                Self::Inner(inner) => {
                    let inner = Arc::make_mut(inner);
                    depth -= 1;
                    inner.root = OnceLock::new();
                    node = if goes_right::<T>(index, depth) {
                        inner.right.as_mut()?
                    } else {
                        &mut inner.left
                    };
                }
            }
        }
    }

    /// Puts `value` at `index`, the first that does not exist; the tree must be deep enough.
    pub(super) fn push(&mut self, depth: usize, index: usize, value: T) {
        match self {
            Self::Leaf(leaf) => {
                let leaf = Arc::make_mut(leaf);
                leaf.root = OnceLock::new();
                leaf.values.as_mut()[index % T::CHUNK] = value;
                leaf.len += 1;
            }
            Self::Inner(inner) => {
                let inner = Arc::make_mut(inner);
                inner.root = OnceLock::new();
                let below = depth - 1;
                match &mut inner.right {
                    right if !goes_right::<T>(index, below) => {
                        debug_assert!(right.is_none(), "T1: nothing to the right of the end");
                        inner.left.push(below, index, value);
                    }
                    Some(right) => right.push(below, index, value),
                    right @ None => *right = Some(Self::path(below, value)),
                }
            }
        }
    }

    /// A subtree whose first element is its only one.
    pub(super) fn path(depth: usize, value: T) -> Self {
        let leaf = Self::leaf(std::iter::once(value));
        (0..depth).fold(leaf, |node, _| Self::inner(node, None))
    }

    /// Builds a tree over full leaves, the last of which may be shorter. Returns it and its depth.
    pub(super) fn build(mut level: Vec<Self>) -> Option<(Self, usize)> {
        let mut depth = 0;
        while level.len() > 1 {
            let mut above: Vec<Self> = Vec::with_capacity(level.len().div_ceil(2));
            for pair in level.chunks(2) {
                let (left, right) = (&pair[0], pair.get(1));
                let node = match above.last() {
                    Some(last) if last.is_inner_of(left, right) => last.clone(),
                    _ => Self::inner(left.clone(), right.cloned()),
                };
                above.push(node);
            }
            level = above;
            depth += 1;
        }
        level.pop().map(|root| (root, depth))
    }

    fn is_inner_of(&self, left: &Self, right: Option<&Self>) -> bool {
        match (self.pair(), right) {
            (Some((l, Some(r))), Some(right)) => l.is(left) && r.is(right),
            _ => false,
        }
    }

    /// Adds up the bytes of nodes that are not in `seen` yet, and of what they own.
    pub(super) fn bytes_beside(&self, seen: &mut std::collections::HashSet<usize>) -> usize {
        // Two words of reference counts precede what an `Arc` points to.
        const COUNTS: usize = 2 * size_of::<usize>();
        let (address, size) = match self {
            Self::Leaf(leaf) => (Arc::as_ptr(leaf) as usize, size_of::<Leaf<T>>()),
            Self::Inner(inner) => (Arc::as_ptr(inner) as usize, size_of::<Inner<T>>()),
        };
        if !seen.insert(address) {
            return 0;
        }
        let owned: usize = match self {
            Self::Leaf(leaf) => leaf.values().iter().map(T::heap_bytes).sum(),
            Self::Inner(inner) => {
                let right = inner.right.as_ref().map_or(0, |right| right.bytes_beside(seen));
                inner.left.bytes_beside(seen) + right
            }
        };
        COUNTS + size + owned
    }

    /// Whether the root of this subtree is known.
    pub(super) fn is_hashed(&self) -> bool {
        match self {
            Self::Leaf(leaf) => leaf.root.get().is_some(),
            Self::Inner(inner) => inner.root.get().is_some(),
        }
    }

    /// An inner node's children.
    pub(super) fn pair(&self) -> Option<(&Self, Option<&Self>)> {
        match self {
            Self::Leaf(_) => None,
            Self::Inner(inner) => Some((&inner.left, inner.right.as_ref())),
        }
    }

    /// A leaf's elements, or an inner node's children.
    pub(super) fn children(&self) -> Result<&[T], (&Self, Option<&Self>)> {
        match self {
            Self::Leaf(leaf) => Ok(leaf.values()),
            Self::Inner(inner) => Err((&inner.left, inner.right.as_ref())),
        }
    }
}

/// Which child of a node, whose children are `depth` levels above the leaves, holds `index`.
fn goes_right<T: Element>(index: usize, depth: usize) -> bool {
    (index / T::CHUNK) >> depth & 1 == 1
}
