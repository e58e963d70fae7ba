//! A transition relation over counters, as text: read, changed into its twins, and enumerated.
//!
//! **Contract.** A file in `verification/proofs/` has one relation. A line that is indented
//! continues the statement above it; `#` begins a comment.
//!
//! | statement | meaning |
//! |---|---|
//! | `counter NAME  WORDS` | a number that is 0 at first |
//! | `any NAME  WORDS` | a number that is any natural number at first |
//! | `assume FORMULA` | what holds of these numbers at first |
//! | `step NAME`, `step NAME (A, B)` | a step; `A` and `B` are chosen freely among natural numbers |
//! | . . `when FORMULA` | when it is possible; several lines must all hold |
//! | . . `do X += TERM, Y -= TERM, Z := TERM` | what it changes, all at once, from the values before |
//! | `invariant NAME: FORMULA` | a part of the inductive invariant |
//! | `safe NAME: FORMULA` | what is to be proved of every state that can be reached; there is at least one |
//! | `instance A 1, B 2` | an instance that the tests enumerate: numbers of those that may be any, others 0 |
//! | `twin NAME (HAZARD) breaks SAFE in N` | a variant that makes `SAFE` false in N steps, and in no fewer |
//! | . . `with A 1, B 2` | an instance in which it does |
//! | . . `without STEP` | what it leaves out; the steps that follow are added |
//!
//! Every counter is at least 0 in every state: that is a part of every invariant, and of no guard,
//! so a step that takes what is not there is found.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::formula::{Formula, Term, Values};

/// A transition relation.
#[derive(Clone, Debug)]
pub struct Relation {
    /// The file's name, without its ending.
    pub name: String,
    pub(super) counters: Vec<Counter>,
    pub(super) assumed: Vec<Formula>,
    pub(super) steps: Vec<Step>,
    pub(super) invariants: Vec<Named>,
    pub(super) safe: Vec<Named>,
    instances: Vec<Instance>,
    twins: Vec<Variant>,
}

/// The numbers of an instance.
type Instance = Vec<(String, i64)>;

/// A counter.
#[derive(Clone, Debug)]
pub(super) struct Counter {
    pub(super) name: String,
    /// Whether it may be any natural number at first.
    pub(super) is_free: bool,
}

/// A formula with a name.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) formula: Formula,
}

/// A step.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) inputs: Vec<String>,
    pub(super) guard: Formula,
    pub(super) updates: Vec<(String, Term)>,
}

/// What a twin changes.
#[derive(Clone, Debug)]
struct Variant {
    name: String,
    hazard: String,
    breaks: String,
    length: usize,
    instance: Instance,
    without: Vec<String>,
    steps: Vec<Step>,
}

/// A variant of a relation that carries a fault.
#[derive(Clone, Debug)]
pub struct Twin {
    /// What is wrong with it.
    pub name: String,
    /// The hazard that it shows.
    pub hazard: String,
    /// The steps of a shortest path to where it shows.
    pub length: usize,
    /// The relation with the fault, whose one property is the one that breaks, and whose instance is
    /// one in which it does.
    pub relation: Relation,
}

/// The values of all counters, in the order of the file.
pub type State = Vec<i64>;

/// The states of an instance, and the steps between them by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// The states.
    pub states: BTreeSet<State>,
    /// The steps that change the state.
    pub steps: BTreeSet<(State, State)>,
    /// The names of the steps that are possible somewhere.
    pub names: BTreeSet<String>,
}

impl Relation {
    /// Reads a relation.
    ///
    /// # Errors
    /// The statement, and what is wrong with it; or that nothing is to be proved.
    pub fn read(name: &str, text: &str) -> Result<Self, String> {
        let mut relation = Self {
            name: name.to_owned(),
            counters: Vec::new(),
            assumed: Vec::new(),
            steps: Vec::new(),
            invariants: Vec::new(),
            safe: Vec::new(),
            instances: Vec::new(),
            twins: Vec::new(),
        };
        for statement in statements(text) {
            let at = |error| format!("{name}: `{}`: expected {error}", statement[0]);
            relation.statement(&statement).map_err(at)?;
        }
        relation.check()?;
        Ok(relation)
    }

    fn statement(&mut self, lines: &[String]) -> Result<(), String> {
        let (word, rest) = lines[0].split_once(' ').unwrap_or((&lines[0], ""));
        match word {
            "counter" | "any" => {
                let name = rest.split_whitespace().next().ok_or("a name")?.to_owned();
                self.counters.push(Counter { name, is_free: word == "any" });
            }
            "assume" => self.assumed.push(Formula::read(&joined(rest, &lines[1..]))?),
            "step" => {
                let step = step(rest, &lines[1..])?;
                match self.twins.last_mut() {
                    Some(twin) => twin.steps.push(step),
                    None => self.steps.push(step),
                }
            }
            "invariant" | "safe" => {
                let text = joined(rest, &lines[1..]);
                let (name, formula) = text.split_once(": ").ok_or("a name and a colon")?;
                let named = Named { name: name.to_owned(), formula: Formula::read(formula)? };
                let list = if word == "safe" { &mut self.safe } else { &mut self.invariants };
                list.push(named);
            }
            "instance" => self.instances.push(instance(&joined(rest, &lines[1..]))?),
            "twin" => self.twins.push(variant(rest, &lines[1..])?),
            _ => return Err("a statement".to_owned()),
        }
        Ok(())
    }

    /// Checks that something is to be proved, that every name is declared, and that twins name what
    /// is there.
    fn check(&self) -> Result<(), String> {
        if self.safe.is_empty() {
            return Err(format!("{}: expected a `safe`: nothing is to be proved", self.name));
        }
        let mut names: BTreeSet<&str> = BTreeSet::new();
        for counter in &self.counters {
            if !names.insert(&counter.name) {
                return Err(format!("{}: the counter {} is there twice", self.name, counter.name));
            }
        }
        let known = |place: &str, used: Vec<&str>, inputs: &[String]| {
            let unknown =
                used.iter().find(|&&n| !names.contains(n) && !inputs.iter().any(|i| i == n));
            unknown.map_or(Ok(()), |n| Err(format!("{}: {place}: no counter {n}", self.name)))
        };
        let formulas = self.invariants.iter().chain(&self.safe);
        formulas.clone().try_for_each(|it| known(&it.name, it.formula.names(), &[]))?;
        self.assumed.iter().try_for_each(|it| known("assume", it.names(), &[]))?;
        for step in self.steps.iter().chain(self.twins.iter().flat_map(|twin| &twin.steps)) {
            known(&step.name, step.guard.names(), &step.inputs)?;
            for (changed, term) in &step.updates {
                known(&step.name, vec![changed], &[])?;
                known(&step.name, term.names(), &step.inputs)?;
            }
        }
        let free = |name: &str| self.counters.iter().any(|c| c.is_free && c.name == name);
        let numbers = self.instances.iter().chain(self.twins.iter().map(|twin| &twin.instance));
        if let Some((name, _)) = numbers.flatten().find(|(name, _)| !free(name)) {
            return Err(format!("{}: {name} is not any number", self.name));
        }
        for twin in &self.twins {
            let lost =
                twin.without.iter().find(|name| !self.steps.iter().any(|s| s.name == **name));
            if let Some(lost) = lost {
                return Err(format!("{}: the twin {} lacks {lost}", self.name, twin.name));
            }
            if !self.safe.iter().any(|safe| safe.name == twin.breaks) {
                return Err(format!("{}: nothing is called {}", self.name, twin.breaks));
            }
        }
        Ok(())
    }

    /// Returns the twins.
    #[must_use]
    pub fn twins(&self) -> Vec<Twin> {
        let twin = |variant: &Variant| {
            let mut relation = self.clone();
            relation.steps.retain(|step| !variant.without.contains(&step.name));
            relation.steps.extend(variant.steps.iter().cloned());
            relation.safe.retain(|safe| safe.name == variant.breaks);
            relation.instances = vec![variant.instance.clone()];
            let (name, hazard) = (variant.name.clone(), variant.hazard.clone());
            Twin { name, hazard, length: variant.length, relation }
        };
        self.twins.iter().map(twin).collect()
    }

    /// Returns the names of the steps.
    pub fn step_names(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().map(|step| step.name.as_str())
    }

    /// Returns the names of the counters, in the order of a state.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.counters.iter().map(|counter| counter.name.as_str())
    }

    fn values<'a>(&'a self, state: &State) -> Values<'a> {
        self.names().zip(state.iter().copied()).collect()
    }

    /// Returns the first states of the instances that the text names.
    #[must_use]
    pub fn instances(&self) -> Vec<State> {
        let first = |instance: &Instance| {
            let number = |name| instance.iter().find(|(n, _)| n == name).map_or(0, |(_, k)| *k);
            self.names().map(number).collect()
        };
        self.instances.iter().map(first).collect()
    }

    /// Returns the states that follow a state, with the names of the steps. Inputs of steps are
    /// chosen up to `most`.
    fn next(&self, state: &State, most: i64) -> Vec<(&str, State)> {
        let mut all = Vec::new();
        for step in &self.steps {
            let mut values = self.values(state);
            step.choose(&step.inputs, &mut values, most, &mut |values| {
                let mut next = state.clone();
                for (name, term) in &step.updates {
                    let place = self.names().position(|n| n == name).expect("a counter");
                    next[place] = term.value(values);
                }
                all.push((step.name.as_str(), next));
            });
        }
        all
    }

    /// Returns what an instance reaches. Inputs of steps are chosen up to the largest number of its
    /// first state.
    ///
    /// # Errors
    /// The name of what does not hold, and a shortest path to a state in which it does not.
    pub fn reach(&self, first: State) -> Result<Reached, Broken> {
        let most = first.iter().copied().max().unwrap_or(0);
        let mut reached = Reached::default();
        let mut parents: HashMap<State, (String, State)> = HashMap::new();
        reached.states.insert(first.clone());
        let mut queue = VecDeque::from([first]);
        while let Some(state) = queue.pop_front() {
            if let Some(what) = self.broken(&state) {
                return Err(Broken { what, path: path(&parents, state) });
            }
            for (step, next) in self.next(&state, most) {
                reached.names.insert(step.to_owned());
                if next == state {
                    continue;
                }
                reached.steps.insert((state.clone(), next.clone()));
                if reached.states.insert(next.clone()) {
                    parents.insert(next.clone(), (step.to_owned(), state.clone()));
                    queue.push_back(next);
                }
            }
        }
        Ok(reached)
    }

    /// Returns what does not hold in a state: a property, or else a part of the invariant.
    fn broken(&self, state: &State) -> Option<String> {
        let values = self.values(state);
        let all = self.safe.iter().chain(&self.invariants);
        let named = all.clone().find(|it| !it.formula.holds(&values)).map(|it| it.name.clone());
        let negative = || {
            let below = values.iter().find(|(_, value)| **value < 0);
            below.map(|(name, _)| format!("{name} is at least 0"))
        };
        named.or_else(negative)
    }

    /// Returns the relation with another condition for a step.
    ///
    /// # Errors
    /// If there is no such step, or if it is no formula.
    pub fn restricted(mut self, step: &str, condition: &str) -> Result<Self, String> {
        let found = self.steps.iter_mut().find(|it| it.name == step);
        let found = found.ok_or_else(|| format!("{}: no step {step}", self.name))?;
        let guard = std::mem::replace(&mut found.guard, Formula::All(Vec::new()));
        found.guard = Formula::All(vec![guard, Formula::read(condition)?]);
        self.check()?;
        Ok(self)
    }

    /// Returns the relation without its invariants, to look for what breaks a property.
    #[must_use]
    pub fn unproved(mut self) -> Self {
        self.invariants.clear();
        self
    }
}

/// A path to a state in which something does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// What does not hold.
    pub what: String,
    /// The names of the steps.
    pub path: Vec<String>,
}

fn path(parents: &HashMap<State, (String, State)>, mut state: State) -> Vec<String> {
    let mut steps = Vec::new();
    while let Some((step, before)) = parents.get(&state) {
        steps.push(step.clone());
        state = before.clone();
    }
    steps.reverse();
    steps
}

impl Step {
    /// Calls `found` with each choice of the inputs for which the step is possible.
    fn choose<'a>(
        &'a self,
        inputs: &'a [String],
        values: &mut Values<'a>,
        most: i64,
        found: &mut dyn FnMut(&Values<'a>),
    ) {
        let Some((input, others)) = inputs.split_first() else {
            if self.guard.holds(values) {
                found(values);
            }
            return;
        };
        for value in 0..=most {
            values.insert(input, value);
            self.choose(others, values, most, found);
        }
    }
}

/// Splits a text into statements: a line, and those below it that are indented.
fn statements(text: &str) -> Vec<Vec<String>> {
    let mut all: Vec<Vec<String>> = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        if line.trim().is_empty() {
            continue;
        }
        match all.last_mut() {
            Some(statement) if line.starts_with(' ') => statement.push(line.trim().to_owned()),
            _ => all.push(vec![line.trim().to_owned()]),
        }
    }
    all
}

fn joined(first: &str, rest: &[String]) -> String {
    std::iter::once(first).chain(rest.iter().map(String::as_str)).collect::<Vec<_>>().join(" ")
}

fn step(head: &str, lines: &[String]) -> Result<Step, String> {
    let (name, inputs) = match head.split_once('(') {
        None => (head.trim(), Vec::new()),
        Some((name, inputs)) => {
            let inputs = inputs.strip_suffix(')').ok_or("`)`")?;
            (name.trim(), inputs.split(',').map(|input| input.trim().to_owned()).collect())
        }
    };
    let (mut guards, mut updates) = (Vec::new(), Vec::new());
    for line in lines {
        match line.split_once(' ') {
            Some(("when", formula)) => guards.push(Formula::read(formula)?),
            Some(("do", list)) => {
                for change in list.split(", ") {
                    updates.push(update(change, &inputs)?);
                }
            }
            _ => return Err(format!("`when` or `do`, not `{line}`")),
        }
    }
    Ok(Step { name: name.to_owned(), inputs, guard: Formula::All(guards), updates })
}

/// Reads `X += TERM` and the like; the term is what the counter becomes.
fn update(text: &str, inputs: &[String]) -> Result<(String, Term), String> {
    let mut parts = text.trim().splitn(3, ' ');
    let (Some(name), Some(sign), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(format!("a change, not `{text}`"));
    };
    if inputs.iter().any(|input| input == name) {
        return Err(format!("a counter, not the input `{name}`"));
    }
    let change = Term::read(rest)?;
    let old = Box::new(Term::Name(name.to_owned()));
    let new = match sign {
        "+=" => Term::Sum(old, Box::new(change)),
        "-=" => Term::Difference(old, Box::new(change)),
        ":=" => change,
        _ => return Err(format!("`+=`, `-=` or `:=`, not `{sign}`")),
    };
    Ok((name.to_owned(), new))
}

/// Reads `A 1, B 2`.
fn instance(text: &str) -> Result<Instance, String> {
    let number = |pair: &str| {
        let (name, number) = pair.trim().split_once(' ')?;
        Some((name.to_owned(), number.parse().ok()?))
    };
    let pairs = text.split(',').map(|pair| number(pair).ok_or(format!("`A 1`, not `{pair}`")));
    pairs.collect()
}

fn variant(head: &str, lines: &[String]) -> Result<Variant, String> {
    let form = "NAME (HAZARD) breaks SAFE in N";
    let (name, rest) = head.split_once(" (").ok_or(form)?;
    let (hazard, rest) = rest.split_once(") breaks ").ok_or(form)?;
    let (breaks, length) = rest.rsplit_once(" in ").ok_or(form)?;
    let length = length.parse().map_err(|_| form)?;
    let (mut without, mut numbers) = (Vec::new(), Vec::new());
    for line in lines {
        match line.split_once(' ') {
            Some(("without", step)) => without.push(step.to_owned()),
            Some(("with", list)) => numbers.extend(instance(list)?),
            _ => return Err(format!("`with` or `without`, not `{line}`")),
        }
    }
    Ok(Variant {
        name: name.to_owned(),
        hazard: hazard.to_owned(),
        breaks: breaks.to_owned(),
        length,
        instance: numbers,
        without,
        steps: Vec::new(),
    })
}

#[cfg(test)]
mod tests;
