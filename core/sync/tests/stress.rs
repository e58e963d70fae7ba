//! The stress example, with few items: every item comes out once, in order, and is dropped once.

#[path = "../examples/stress/cases.rs"]
mod cases;
#[path = "../examples/stress/ledger.rs"]
mod ledger;

const ITEMS: u64 = 5_000;

#[test]
fn every_item_comes_out_once_in_order_and_is_dropped_once() {
    // Every channel with one to four producers and consumers, and receivers that leave early.
    let mut cases = 0;
    cases::run(ITEMS, |case| {
        cases += 1;
        let (totals, name) = (&case.totals, case.channel);
        assert_eq!(totals.faults, Vec::<String>::new(), "{name} {}", case.producers);
        assert_eq!(totals.made, ITEMS, "{name}");
        assert!(totals.received > 0 && case.consumers <= 4, "{name}");
        let comes_back = totals.received + totals.handed_back < ITEMS;
        assert!(!comes_back || name.ends_with("cut short"), "{name}");
    });
    assert_eq!(cases, 29);
}
