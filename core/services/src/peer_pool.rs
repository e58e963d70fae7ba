//! PeerPool: what we think of each peer, and with whom we talk.
//!
//! **Contract.** A pure machine. It is told who connects and leaves, what each peer did, and the
//! time. It says whom to admit, to disconnect and to ban. A peer's score is the sum of what it did,
//! and is halved with each half-life that passes. A peer whose score falls to the limit is banned
//! for a time.
//!
//! | peer | is |
//! |---|---|
//! | connected | admitted; its score counts |
//! | remembered | gone, with a score that is not 0 yet |
//! | banned | refused until its ban ends; then its score is 0 |
//!
//! **Invariants.**
//! - I1 At most [`Limits::connected`] peers are connected. A newcomer to a full pool takes the
//!   place of the worst peer, if that one's score is below the newcomer's; otherwise it is refused.
//! - I2 At most [`Limits::remembered`] peers are remembered or banned. Beyond that the one nearest
//!   to being forgotten goes: the score nearest to 0 of those that are not banned, else the ban
//!   that ends first.
//! - I3 What is no fault of the peer does not lower its score (hazard A7): [`Conduct`] has no such
//!   word.
//! - I4 Good conduct does not raise a score above [`Limits::best`]. So nobody saves up for an
//!   attack.
//! - I5 A clock that steps back lengthens no ban that is given afterwards, and decays nothing
//!   twice: time counts from its latest reading.

use std::collections::BTreeMap;

use crate::machine::Machine;

/// A peer.
pub type PeerId = u64;

/// What a peer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Conduct {
    /// It sent an item that was accepted and that nobody had sent before.
    Useful,
    /// It did not answer in time.
    Timeout,
    /// It sent what cannot be decoded.
    Malformed,
    /// It sent an item that was rejected.
    Rejected,
    /// It sent more than it may.
    Flooding,
}

impl Conduct {
    /// Returns by how much it changes a score.
    #[must_use]
    pub const fn points(self) -> i64 {
        match self {
            Self::Useful => 10,
            Self::Timeout => -50,
            Self::Flooding => -100,
            Self::Malformed => -200,
            Self::Rejected => -400,
        }
    }
}

/// The bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Peers that are connected.
    pub connected: usize,
    /// Peers that are remembered or banned.
    pub remembered: usize,
    /// The highest score.
    pub best: i64,
    /// The score at which a peer is banned, below 0.
    pub ban_at: i64,
    /// How long a ban lasts, in milliseconds.
    pub ban_ms: u64,
    /// The time in which a score is halved, in milliseconds; at least 1.
    pub half_life_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connected: 64,
            remembered: 1024,
            best: 500,
            ban_at: -1000,
            ban_ms: 30 * 60 * 1000,
            half_life_ms: 10 * 60 * 1000,
        }
    }
}

/// What happens to the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The clock was read, in milliseconds from a fixed moment.
    Clock(u64),
    /// A peer wants to be connected.
    Connect(PeerId),
    /// A peer has left.
    Gone(PeerId),
    /// A peer did something.
    Did(PeerId, Conduct),
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// The peer is connected.
    Admit(PeerId),
    /// The peer is not let in.
    Refuse(PeerId),
    /// The peer gives way to another.
    Disconnect(PeerId),
    /// The peer is disconnected and refused until a time.
    Ban {
        /// The peer.
        peer: PeerId,
        /// When the ban ends, in milliseconds.
        until_ms: u64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Standing {
    Connected,
    Remembered,
    Banned { until_ms: u64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Peer {
    standing: Standing,
    score: i64,
}

/// The machine; see the module's text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerPool {
    limits: Limits,
    now_ms: u64,
    /// Up to when scores have decayed.
    decayed_ms: u64,
    peers: BTreeMap<PeerId, Peer>,
}

impl PeerPool {
    /// Returns a pool of nobody.
    ///
    /// # Panics
    /// If the half-life is 0, or if `ban_at` is not below 0.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        assert!(limits.half_life_ms > 0 && limits.ban_at < 0, "{limits:?}");
        Self { limits, now_ms: 0, decayed_ms: 0, peers: BTreeMap::new() }
    }

    /// Returns a peer's score; 0 if nothing is known of it.
    #[must_use]
    pub fn score(&self, peer: PeerId) -> i64 {
        self.peers.get(&peer).map_or(0, |known| known.score)
    }

    /// Returns the connected peers, ascending.
    pub fn connected(&self) -> impl Iterator<Item = PeerId> {
        let all = self.peers.iter();
        all.filter(|(_, peer)| peer.standing == Standing::Connected).map(|(id, _)| *id)
    }

    /// Returns how many peers are known, connected or not.
    #[must_use]
    pub fn known(&self) -> usize {
        self.peers.len()
    }

    fn read(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
        let halves = (self.now_ms - self.decayed_ms) / self.limits.half_life_ms;
        self.decayed_ms += halves * self.limits.half_life_ms;
        let divisor = 1_i64.checked_shl(halves.min(62) as u32).unwrap_or(i64::MAX);
        let now = self.now_ms;
        self.peers.retain(|_, peer| {
            peer.score /= divisor;
            match peer.standing {
                Standing::Connected => true,
                Standing::Remembered => peer.score != 0,
                Standing::Banned { until_ms } => until_ms > now,
            }
        });
    }

    fn connect(&mut self, id: PeerId, effects: &mut Vec<Effect>) {
        let known = self.peers.get(&id).copied();
        match known.map(|peer| peer.standing) {
            Some(Standing::Connected) => return,
            Some(Standing::Banned { .. }) => {
                effects.push(Effect::Refuse(id));
                return;
            }
            Some(Standing::Remembered) | None => {}
        }
        let score = known.map_or(0, |peer| peer.score);
        if self.connected().count() >= self.limits.connected {
            let worst = self.connected().map(|other| (self.score(other), other)).min();
            let Some((_, worst)) = worst.filter(|(worst, _)| *worst < score) else {
                effects.push(Effect::Refuse(id));
                return;
            };
            effects.push(Effect::Disconnect(worst));
            self.leave(worst);
        }
        self.peers.insert(id, Peer { standing: Standing::Connected, score });
        effects.push(Effect::Admit(id));
    }

    fn leave(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.standing != Standing::Connected {
            return;
        }
        peer.standing = Standing::Remembered;
        if peer.score == 0 {
            self.peers.remove(&id);
        }
        self.forget();
    }

    fn did(&mut self, id: PeerId, conduct: Conduct, effects: &mut Vec<Effect>) {
        let Limits { best, ban_at, ban_ms, .. } = self.limits;
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if matches!(peer.standing, Standing::Banned { .. }) {
            return;
        }
        peer.score = peer.score.saturating_add(conduct.points()).min(best);
        if peer.score <= ban_at {
            let until_ms = self.now_ms.saturating_add(ban_ms);
            *peer = Peer { standing: Standing::Banned { until_ms }, score: ban_at };
            effects.push(Effect::Ban { peer: id, until_ms });
            self.forget();
        }
    }

    /// Forgets whoever is nearest to being forgotten, beyond the bound.
    fn forget(&mut self) {
        while self.peers.len() - self.connected().count() > self.limits.remembered {
            let gone = self.peers.iter().filter_map(|(id, peer)| match peer.standing {
                Standing::Connected => None,
                Standing::Remembered => Some((false, peer.score.unsigned_abs(), *id)),
                Standing::Banned { until_ms } => Some((true, until_ms, *id)),
            });
            let gone = gone.min();
            let Some((.., id)) = gone else { return };
            self.peers.remove(&id);
        }
    }
}

impl Machine for PeerPool {
    type Event = Event;
    type Effect = Effect;

    fn handle(&mut self, (): &(), event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Clock(now_ms) => self.read(now_ms),
            Event::Connect(peer) => self.connect(peer, &mut effects),
            Event::Gone(peer) => self.leave(peer),
            Event::Did(peer, conduct) => self.did(peer, conduct, &mut effects),
        }
        effects
    }
}

#[cfg(test)]
mod tests {
    use super::{Conduct, Effect, Event, Limits, Machine, PeerId, PeerPool};

    const LIMITS: Limits = Limits {
        connected: 2,
        remembered: 2,
        best: 20,
        ban_at: -500,
        ban_ms: 1000,
        half_life_ms: 100,
    };

    fn pool(peers: &[PeerId]) -> PeerPool {
        let mut pool = PeerPool::new(LIMITS);
        for peer in peers {
            assert_eq!(pool.handle(&(), Event::Connect(*peer)), [Effect::Admit(*peer)]);
        }
        pool
    }

    fn did(pool: &mut PeerPool, peer: PeerId, conduct: Conduct) -> Vec<Effect> {
        pool.handle(&(), Event::Did(peer, conduct))
    }

    #[test]
    fn a_peer_whose_score_falls_to_the_limit_is_banned_for_a_time() {
        // Two rejected items are too many; the ban ends after a second.
        let mut pool = pool(&[1]);
        assert_eq!(did(&mut pool, 1, Conduct::Rejected), []);
        let ban = Effect::Ban { peer: 1, until_ms: 1000 };
        assert_eq!(did(&mut pool, 1, Conduct::Rejected), [ban]);
        assert_eq!(pool.connected().count(), 0);
        pool.handle(&(), Event::Clock(999));
        assert_eq!(pool.handle(&(), Event::Connect(1)), [Effect::Refuse(1)]);
        pool.handle(&(), Event::Clock(1000));
        assert_eq!(pool.handle(&(), Event::Connect(1)), [Effect::Admit(1)]);
        assert_eq!(pool.score(1), 0);
    }

    #[test]
    fn a_score_is_halved_with_each_half_life_and_not_twice() {
        // 400 points, one half-life, a step back, and the same half-life again.
        let mut pool = pool(&[1]);
        did(&mut pool, 1, Conduct::Rejected);
        for (now, score) in [(99, -400), (100, -200), (0, -200), (100, -200), (300, -50)] {
            pool.handle(&(), Event::Clock(now));
            assert_eq!(pool.score(1), score, "at {now}");
        }
        pool.handle(&(), Event::Clock(u64::MAX));
        assert_eq!(pool.score(1), 0);
    }

    #[test]
    fn a_peer_that_leaves_and_comes_back_has_its_score() {
        // It is forgotten once its score is 0.
        let mut pool = pool(&[1]);
        did(&mut pool, 1, Conduct::Rejected);
        pool.handle(&(), Event::Gone(1));
        assert_eq!((pool.known(), pool.score(1)), (1, -400));
        pool.handle(&(), Event::Connect(1));
        assert_eq!(pool.score(1), -400);
        pool.handle(&(), Event::Gone(1));
        pool.handle(&(), Event::Clock(10_000));
        assert_eq!(pool.known(), 0);
    }

    #[test]
    fn the_worse_the_conduct_the_more_it_costs() {
        // One report of each kind, about a new peer each.
        let reports = [
            (Conduct::Useful, 10),
            (Conduct::Timeout, -50),
            (Conduct::Flooding, -100),
            (Conduct::Malformed, -200),
            (Conduct::Rejected, -400),
        ];
        for (conduct, score) in reports {
            let mut pool = pool(&[1]);
            assert_eq!(did(&mut pool, 1, conduct), []);
            assert_eq!(pool.score(1), score, "{conduct:?}");
        }
    }

    #[test]
    fn connected_peers_do_not_count_as_remembered() {
        // Two may be remembered: one that was slow, and one that is banned while a third is there.
        let mut pool = pool(&[1]);
        did(&mut pool, 1, Conduct::Timeout);
        pool.handle(&(), Event::Gone(1));
        pool.handle(&(), Event::Connect(2));
        pool.handle(&(), Event::Connect(3));
        did(&mut pool, 2, Conduct::Rejected);
        assert_eq!(did(&mut pool, 2, Conduct::Rejected).len(), 1, "it is banned");
        assert_eq!((pool.score(1), pool.known()), (-50, 3));
    }

    #[test]
    fn good_conduct_is_not_saved_up() {
        // A thousand useful items, and then as many rejected ones as ban anybody.
        let mut pool = pool(&[1]);
        for _ in 0..1000 {
            did(&mut pool, 1, Conduct::Useful);
        }
        assert_eq!(pool.score(1), LIMITS.best);
        did(&mut pool, 1, Conduct::Rejected);
        assert_eq!(did(&mut pool, 1, Conduct::Rejected).len(), 1);
    }

    #[test]
    fn in_a_full_pool_the_worst_gives_way_to_a_better_one_only() {
        // Two are connected; a third comes before and after one of them was slow.
        let mut pool = pool(&[1, 2]);
        assert_eq!(pool.handle(&(), Event::Connect(3)), [Effect::Refuse(3)]);
        did(&mut pool, 2, Conduct::Timeout);
        let effects = pool.handle(&(), Event::Connect(3));
        assert_eq!(effects, [Effect::Disconnect(2), Effect::Admit(3)]);
        assert_eq!(pool.connected().collect::<Vec<_>>(), [1, 3]);
        assert_eq!(pool.handle(&(), Event::Connect(3)), [], "it is connected");
    }

    #[test]
    fn what_is_remembered_is_bounded_and_bans_are_kept_longest() {
        // Four peers come and go: one is banned, and the others have different scores.
        let mut pool = PeerPool::new(LIMITS);
        let conducts = [Conduct::Timeout, Conduct::Rejected, Conduct::Flooding];
        pool.handle(&(), Event::Connect(9));
        did(&mut pool, 9, Conduct::Rejected);
        did(&mut pool, 9, Conduct::Rejected);
        for (peer, conduct) in (1..).zip(conducts) {
            pool.handle(&(), Event::Connect(peer));
            did(&mut pool, peer, conduct);
            pool.handle(&(), Event::Gone(peer));
            assert!(pool.known() <= LIMITS.remembered);
        }
        assert_eq!(pool.handle(&(), Event::Connect(9)), [Effect::Refuse(9)]);
        assert_eq!((pool.score(1), pool.score(2), pool.score(3)), (0, -400, 0));
    }

    #[test]
    fn nothing_is_kept_of_peers_that_never_connected() {
        // Reports about strangers, and strangers that leave.
        let mut pool = PeerPool::new(LIMITS);
        for peer in 0..100 {
            did(&mut pool, peer, Conduct::Rejected);
            pool.handle(&(), Event::Gone(peer));
        }
        assert_eq!(pool.known(), 0);
    }
}
