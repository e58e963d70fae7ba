//! Persistent lists and vectors whose Merkle hashes are kept beside the nodes.
//!
//! ```text
//!            Inner (hash)                 a clone is one pointer
//!           /            \               a write copies the path to one leaf
//!      Inner (hash)     Inner (hash)      and forgets the hashes on it
//!       /      \          /     \
//!    Leaf     Leaf      Leaf    none      a leaf holds a chunk of elements
//! ```
//!
//! **Contract.** [`PersistentList`] and [`PersistentVector`] are the lists and vectors of SSZ, with
//! the same encoding and the same root. A clone costs a pointer; clones share what they have in
//! common, including hashes. Nothing needs rebuilding after a write: reads and roots see it at
//! once.
//!
//! - T1: only the last leaf may hold less than a chunk. Where an inner node has no right child,
//!   there is nothing but zeros. The tree is as deep as its length needs; the other levels up to
//!   the limit are hashed with zeros when the root is asked for.
//! - T2: a node's hash is a function of what is below it. Every write below a node forgets its hash
//!   (`chunk_mut`, `push`), so a hash that is there is right.
//! - T3: a shared node is never written: writes go through `Arc::make_mut`.
//! - T4: building from bytes or elements shares equal neighbours, so that repeated content (zeros,
//!   unused mixes) is held and hashed once.
//!
//! Hashing goes leaf by leaf: a leaf is hashed level by level in batches (`hashing`), and all but a
//! small part of a tree's hashes are inside its leaves. It happens on the thread that asks for the
//! root, unless the caller distributes the work (`jobs`).
//!
//! Numbers and roots say in `element` how they lie in a leaf; a container says so where containers
//! are known (`crate::elements`).
//!
//! | element | chunk | hashes within a leaf |
//! |---|---|---|
//! | `u64` | 64 | 15 |
//! | root | 8 | 7 |
//! | validator | 8 | 71 |
//! | pending attestation | 4 | 63 |
//! | vote on the deposit contract | 1 | 3 |

mod element;
mod jobs;
mod list;
mod node;
mod small;

pub use element::Element;
pub(crate) use jobs::Jobs;
pub use jobs::RootJob;
pub use list::{Iter, ListFull, PersistentList, PersistentVector};
pub(crate) use small::SmallTree;
