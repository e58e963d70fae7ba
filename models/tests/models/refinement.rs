//! The machines against their specifications, and twins that must be told from them.

use blocksmith_models::refinement::{Explored, INSTANCES, Instance};

#[test]
fn every_machine_has_the_states_and_steps_of_its_specification_and_every_fault_is_told() {
    // Each instance, explored on both sides, the numbers pinned. Then each twin: the last step of
    // the first difference is the one that its entry names.
    let mut wrong = Vec::new();
    for instance in INSTANCES {
        let explored = instance.explore().unwrap_or_else(|error| panic!("{error}"));
        match explored.compare().verdict {
            Ok(agreement) if agreement == instance.size => {}
            Ok(agreement) => wrong.push(format!("{}: {agreement:?}", instance.name)),
            Err(difference) => wrong.push(format!("{}: {difference}", instance.name)),
        }
        wrong.extend(twins_that_are_not_told(instance, &explored));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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
