//! The list of the specifications, with what the checker has to find in each: a file of its own for
//! channels, services and validators.

mod channels;
mod services;
mod validators;

use super::Configuration;

/// The specifications of each protocol.
const PROTOCOLS: &[&[Configuration]] = &[
    channels::NOTIFIER,
    services::QUARANTINE,
    validators::DUTIES,
    validators::RULES,
    channels::MAILBOX,
    services::LIFECYCLE,
    services::STORE,
    services::REWINDER,
    services::HOT_DB,
];

/// Every specification under each of its configurations.
pub const CONFIGURATIONS: &[Configuration] = &joined::<{ count(PROTOCOLS) }>(PROTOCOLS);

const fn count(lists: &[&[Configuration]]) -> usize {
    let (mut count, mut list) = (0, 0);
    while list < lists.len() {
        count += lists[list].len();
        list += 1;
    }
    count
}

/// Puts lists behind one another. Fails to compile unless they have `N` entries together.
const fn joined<const N: usize>(lists: &[&[Configuration]]) -> [Configuration; N] {
    let mut all = [lists[0][0]; N];
    let (mut next, mut list) = (0, 0);
    while list < lists.len() {
        let mut entry = 0;
        while entry < lists[list].len() {
            all[next] = lists[list][entry];
            (next, entry) = (next + 1, entry + 1);
        }
        list += 1;
    }
    assert!(next == N);
    all
}
