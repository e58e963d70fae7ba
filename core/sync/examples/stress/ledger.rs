//! What happened to every item.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// A ledger of the items of one run. Each item must come out once, in the order of its producer,
/// and be dropped once.
pub(crate) struct Ledger {
    /// For each producer: how many items it makes, and a bit for each that came out.
    producers: Vec<(u64, Vec<AtomicU64>)>,
    made: AtomicU64,
    received: AtomicU64,
    handed_back: AtomicU64,
    dropped: AtomicU64,
    twice: AtomicU64,
    out_of_order: AtomicU64,
}

/// What goes through the channels. It owns memory, so that a tool that watches the heap sees an
/// item that is lost or dropped twice.
pub(crate) struct Item<'a> {
    ledger: &'a Ledger,
    producer: usize,
    number: Box<u64>,
}

impl Drop for Item<'_> {
    fn drop(&mut self) {
        self.ledger.dropped.fetch_add(1, Relaxed);
    }
}

/// The totals of a run.
pub(crate) struct Totals {
    /// Items that were made.
    pub(crate) made: u64,
    /// Items that a receiver got.
    pub(crate) received: u64,
    /// Items that were returned to their senders: evicted, or sent to a receiver that was gone.
    pub(crate) handed_back: u64,
    /// What is wrong; empty if every item came out once, in order, and was dropped once.
    pub(crate) faults: Vec<String>,
}

impl Ledger {
    /// Opens a ledger for `items` items, divided evenly among `producers`.
    pub(crate) fn new(items: u64, producers: usize) -> Self {
        let parts = producers as u64;
        let share = |part: u64| items / parts + u64::from(part < items % parts);
        let bits = |count: u64| (0..count.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Self {
            producers: (0..parts).map(|part| (share(part), bits(share(part)))).collect(),
            made: AtomicU64::new(0),
            received: AtomicU64::new(0),
            handed_back: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            twice: AtomicU64::new(0),
            out_of_order: AtomicU64::new(0),
        }
    }

    /// Returns the items of one producer, made one by one.
    pub(crate) fn items(&self, producer: usize) -> impl Iterator<Item = Item<'_>> {
        (0..self.producers[producer].0).map(move |number| self.make(producer, number))
    }

    /// Makes one item.
    pub(crate) fn make(&self, producer: usize, number: u64) -> Item<'_> {
        self.made.fetch_add(1, Relaxed);
        Item { ledger: self, producer, number: Box::new(number) }
    }

    /// Returns how many items a producer makes.
    pub(crate) fn share(&self, producer: usize) -> u64 {
        self.producers[producer].0
    }

    fn came_out(&self, item: &Item<'_>) {
        let (word, bit) = (*item.number / 64, 1 << (*item.number % 64));
        let bits = &self.producers[item.producer].1;
        if bits[word as usize].fetch_or(bit, Relaxed) & bit != 0 {
            self.twice.fetch_add(1, Relaxed);
        }
    }

    /// Records an item that was returned to its sender.
    pub(crate) fn handed_back(&self, item: Item<'_>) {
        self.handed_back.fetch_add(1, Relaxed);
        self.came_out(&item);
    }

    /// Returns an observer of what one receiver gets.
    pub(crate) fn receiver(&self) -> Reader<'_> {
        Reader { ledger: self, next: vec![0; self.producers.len()], count: 0 }
    }

    /// Closes the ledger. `all` says that every item must have come out; otherwise the channel may
    /// have dropped some with its receiver.
    pub(crate) fn close(self, all: bool) -> Totals {
        let [made, received, handed_back, dropped, twice, out_of_order] = [
            self.made,
            self.received,
            self.handed_back,
            self.dropped,
            self.twice,
            self.out_of_order,
        ]
        .map(AtomicU64::into_inner);
        let bits = self.producers.iter().flat_map(|(_, bits)| bits);
        let out: u64 = bits.map(|word| u64::from(word.load(Relaxed).count_ones())).sum();
        let mut faults = Vec::new();
        let mut must = |holds: bool, text: String| {
            if !holds {
                faults.push(text);
            }
        };
        must(!all || out == made, format!("{} lost", made - out));
        must(twice == 0, format!("{twice} came out twice"));
        must(out_of_order == 0, format!("{out_of_order} out of order"));
        must(dropped == made, format!("{made} made, {dropped} dropped"));
        must(received + handed_back == out, format!("{out} came out, {received} + {handed_back}"));
        Totals { made, received, handed_back, faults }
    }
}

/// Records what one receiver gets.
pub(crate) struct Reader<'a> {
    ledger: &'a Ledger,
    /// For each producer, the lowest number that may come next.
    next: Vec<u64>,
    count: u64,
}

impl Reader<'_> {
    /// Records an item; returns how many there have been.
    pub(crate) fn got(&mut self, item: &Item<'_>) -> u64 {
        self.ledger.came_out(item);
        let next = &mut self.next[item.producer];
        if *item.number < *next {
            self.ledger.out_of_order.fetch_add(1, Relaxed);
        }
        *next = *item.number + 1;
        self.count += 1;
        self.count
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.ledger.received.fetch_add(self.count, Relaxed);
    }
}
