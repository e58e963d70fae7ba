//! The machines against their specifications, and twins that must be told from them.

use blocksmith_models::refinement::{Explored, INSTANCES, Instance};
use blocksmith_models::tla::CONFIGURATIONS;

#[test]
fn every_machine_has_the_states_and_steps_of_its_specification_and_every_fault_is_told() {
    // Each instance, explored on both sides, the numbers pinned. Then each twin: the last step of
    // the first difference is the one that its entry names.
    let mut wrong = Vec::new();
    for instance in INSTANCES {
        let explored = instance.explore().unwrap_or_else(|error| panic!("{error}"));
        let compared = explored.compare();
        if compared.is_whole().is_some_and(|is_whole| is_whole != instance.is_whole) {
            let of_spec = compared.spec_states;
            wrong.push(format!("{}: is_whole, of {of_spec} states of the spec", instance.name));
        }
        match compared.verdict {
            Ok(agreement) if agreement == instance.size => {}
            Ok(agreement) => wrong.push(format!("{}: {agreement:?}", instance.name)),
            Err(difference) => wrong.push(format!("{}: {difference}", instance.name)),
        }
        wrong.extend(twins_that_are_not_told(instance, &explored));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_machine_that_is_compared_as_a_whole_has_as_many_states_as_its_configuration() {
    // Compares pinned numbers, which `tla/tlc` compares with those of TLC.
    let mut count = 0;
    for Instance { name, cfg, size, .. } in INSTANCES.iter().filter(|it| it.is_whole) {
        let pinned = CONFIGURATIONS.iter().find(|it| it.cfg == *cfg).map(|it| it.states);
        assert_eq!(pinned, Some(size.states as u64), "{name}");
        count += 1;
    }
    assert!(count > 10, "{count} instances");
}

fn twins_that_are_not_told(instance: &Instance, explored: &Explored) -> Vec<String> {
    assert!(!instance.twins.is_empty(), "{}: no twin", instance.name);
    let mut wrong = Vec::new();
    for twin in instance.twins {
        let name = format!("{}/{}", instance.name, twin.name);
        let compared = explored.compare_twin(twin).unwrap_or_else(|error| panic!("{error}"));
        match compared.verdict {
            Ok(_) => wrong.push(format!("{name}: no difference")),
            Err(difference) => {
                println!("{name}: {difference}");
                let last = difference.path.last().map_or("", |step| step.word.as_str());
                if !last.contains(twin.step) {
                    wrong.push(format!("{name}: {difference}"));
                }
            }
        }
    }
    wrong
}
