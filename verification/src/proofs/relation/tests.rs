use super::*;

const LAMP: &str = "
# A lamp that is switched on and off by any number of hands.
any hands        those that have not switched yet
counter lit      1 if it is on
counter waiting  hands that found it on
assume hands >= 1
step on
  when hands >= 1 and lit = 0
  do hands -= 1, lit := 1
step find it on (k)
  when hands >= k and k >= 1
  when lit = 1
  do hands -= k, waiting += k
step off
  when lit = 1
  do lit -= 1
invariant one: lit <= 1
safe one lamp: lit < 2
instance hands 2
twin two at once (N1) breaks one lamp in 2
  with hands 3
  without on
step on without a look
  when hands >= 1
  do hands -= 1, lit += 1
";

fn lamp() -> Relation {
    Relation::read("lamp", LAMP).expect("a relation")
}

#[test]
fn an_instance_is_enumerated() {
    let lamp = lamp();
    let first = lamp.instances();
    assert_eq!(first, [[2, 0, 0]]);
    let reached = lamp.reach(first[0].clone()).expect("nothing breaks");
    let states = [[2, 0, 0], [1, 1, 0], [1, 0, 0], [0, 1, 1], [0, 0, 1], [0, 1, 0], [0, 0, 0]];
    assert_eq!(reached.states, states.iter().map(|state| state.to_vec()).collect());
    assert_eq!(reached.steps.len(), 6);
    assert!(reached.steps.contains(&(vec![1, 1, 0], vec![0, 1, 1])));
}

#[test]
fn a_twin_breaks_its_property_by_a_shortest_path() {
    let twins = lamp().twins();
    assert_eq!(twins.len(), 1);
    let twin = &twins[0];
    assert_eq!((twin.name.as_str(), twin.hazard.as_str(), twin.length), ("two at once", "N1", 2));
    // With its invariant, which fails in the same state, the property is named.
    let broken = twin.relation.reach(vec![3, 0, 0]).unwrap_err();
    let path = vec!["on without a look".to_owned(); 2];
    assert_eq!(broken, Broken { what: "one lamp".to_owned(), path });
}

#[test]
fn a_part_of_the_invariant_and_a_counter_below_zero_are_found() {
    let text = LAMP.replace("when lit = 1\n  do lit -= 1", "when waiting = 0\n  do lit -= 1");
    let lamp = Relation::read("lamp", &text).expect("a relation");
    let broken = lamp.reach(vec![1, 0, 0]).unwrap_err();
    assert_eq!(broken.what, "lit is at least 0");
    let text = LAMP.replace("invariant one: lit <= 1", "invariant dark: lit < 1");
    let lamp = Relation::read("lamp", &text).expect("a relation");
    let broken = lamp.reach(vec![1, 0, 0]).unwrap_err();
    assert_eq!((broken.what.as_str(), broken.path.len()), ("dark", 1));
}

#[test]
fn what_is_no_relation_is_said_where() {
    for (from, to, expected) in [
        ("hands >= 1\nstep on", "hands >= 1\nstop on", "lamp: `stop on`: expected a statement"),
        ("do lit -= 1", "do lit -- 1", "lamp: `step off`: expected `+=`, `-=` or `:=`, not `--`"),
        ("do lit -= 1", "do dim -= 1", "lamp: off: no counter dim"),
        (
            "do lit -= 1",
            "to lit -= 1",
            "lamp: `step off`: expected `when` or `do`, not `to lit -= 1`",
        ),
        ("when lit = 1\n  do lit", "when dim = 1\n  do lit", "lamp: off: no counter dim"),
        ("lit <= 1", "dim <= 1", "lamp: one: no counter dim"),
        ("assume hands", "assume feet", "lamp: assume: no counter feet"),
        ("without on", "without in", "lamp: the twin two at once lacks in"),
        ("breaks one lamp", "breaks two lamps", "lamp: nothing is called two lamps"),
        ("instance hands", "instance lit", "lamp: lit is not any number"),
        (
            "instance hands 2",
            "instance hands",
            "lamp: `instance hands`: expected `A 1`, not `hands`",
        ),
        (
            "with hands 3",
            "if hands 3",
            "lamp: `twin two at once (N1) breaks one lamp in 2`: expected `with` or `without`, not `if hands 3`",
        ),
        (
            "lamp in 2",
            "lamp",
            "lamp: `twin two at once (N1) breaks one lamp`: expected NAME (HAZARD) breaks SAFE in N",
        ),
        ("counter waiting", "counter lit", "lamp: the counter lit is there twice"),
        ("safe one", "invariant one", "lamp: expected a `safe`: nothing is to be proved"),
    ] {
        let text = LAMP.replacen(from, to, 1);
        assert_ne!(text, LAMP, "{from}");
        assert_eq!(Relation::read("lamp", &text).map(drop), Err(expected.to_owned()), "{from}");
    }
}
