//! The machines against their specifications, and twins that must be told from them.

use blocksmith_models::refinement::INSTANCES;

#[test]
fn every_machine_has_the_states_and_steps_of_its_specification() {
    // Each instance, explored on both sides; the numbers are pinned.
    let mut wrong = Vec::new();
    for instance in INSTANCES {
        let compared = instance.compare().unwrap_or_else(|error| panic!("{error}"));
        match compared.verdict {
            Ok(agreement) if agreement == instance.size => {}
            Ok(agreement) => wrong.push(format!("{}: {agreement:?}", instance.name)),
            Err(difference) => wrong.push(format!("{}: {difference}", instance.name)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_fault_in_a_machine_is_told_from_the_specification() {
    // Each twin; the last step of the first difference is the one that its entry names.
    let mut wrong = Vec::new();
    for instance in INSTANCES {
        assert!(!instance.twins.is_empty(), "{}: no twin", instance.name);
        for twin in instance.twins {
            let name = format!("{}/{}", instance.name, twin.name);
            let compared = instance.compare_twin(twin).unwrap_or_else(|error| panic!("{error}"));
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
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
