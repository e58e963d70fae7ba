//! Linear terms and formulas over counters: their text form, their value, and their SMT-LIB form.
//!
//! **Contract.** A formula is read from one line, and is either evaluated in a state or rendered.
//! Both follow from the same tree, so what is enumerated and what is proved cannot differ.
//!
//! ```text
//! formula  = conjunction { "or" conjunction }          conjunction = literal { "and" literal }
//! literal  = "not" literal | "(" formula ")" | chain
//! chain    = term { ("<" | "<=" | "=" | ">=" | ">") term }      a <= b < c is a <= b and b < c
//! term     = product { ("+" | "-") product }           product = [ number "*" ] factor
//! factor   = number | name | "min(" term "," term ")" | "(" term ")"
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A linear term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Term {
    Number(i64),
    Name(String),
    Sum(Box<Term>, Box<Term>),
    Difference(Box<Term>, Box<Term>),
    Times(i64, Box<Term>),
    Min(Box<Term>, Box<Term>),
}

/// How two terms compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    Less,
    AtMost,
    Equal,
    AtLeast,
    More,
}

/// A formula.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Formula {
    Compare(Relation, Term, Term),
    All(Vec<Formula>),
    Any(Vec<Formula>),
    Not(Box<Formula>),
}

/// The values of names.
pub(super) type Values<'a> = BTreeMap<&'a str, i64>;

impl Term {
    pub(super) fn value(&self, values: &Values<'_>) -> i64 {
        match self {
            Self::Number(number) => *number,
            Self::Name(name) => values[name.as_str()],
            Self::Sum(left, right) => left.value(values) + right.value(values),
            Self::Difference(left, right) => left.value(values) - right.value(values),
            Self::Times(number, term) => number * term.value(values),
            Self::Min(left, right) => left.value(values).min(right.value(values)),
        }
    }

    /// Writes the term, each name as `rename` gives it.
    pub(super) fn smt(&self, out: &mut String, rename: &dyn Fn(&str) -> String) {
        let two = |operator: &str, left: &Self, right: &Self, out: &mut String| {
            let _ = write!(out, "({operator} ");
            left.smt(out, rename);
            out.push(' ');
            right.smt(out, rename);
            out.push(')');
        };
        match self {
            Self::Number(number) if *number < 0 => drop(write!(out, "(- {})", -number)),
            Self::Number(number) => drop(write!(out, "{number}")),
            Self::Name(name) => out.push_str(&rename(name)),
            Self::Sum(left, right) => two("+", left, right, out),
            Self::Difference(left, right) => two("-", left, right, out),
            Self::Times(number, term) => two("*", &Self::Number(*number), term, out),
            Self::Min(left, right) => {
                out.push_str("(ite (<= ");
                left.smt(out, rename);
                out.push(' ');
                right.smt(out, rename);
                out.push_str(") ");
                left.smt(out, rename);
                out.push(' ');
                right.smt(out, rename);
                out.push(')');
            }
        }
    }

    /// Returns the names that occur.
    pub(super) fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.collect(&mut names);
        names
    }

    fn collect<'a>(&'a self, names: &mut Vec<&'a str>) {
        match self {
            Self::Number(_) => {}
            Self::Name(name) => names.push(name),
            Self::Times(_, term) => term.collect(names),
            Self::Sum(left, right) | Self::Difference(left, right) | Self::Min(left, right) => {
                left.collect(names);
                right.collect(names);
            }
        }
    }

    /// Reads a term.
    ///
    /// # Errors
    /// As [`Formula::read`].
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let mut reader = Reader::new(text);
        let term = reader.term()?;
        reader.end()?;
        Ok(term)
    }
}

impl Formula {
    pub(super) fn holds(&self, values: &Values<'_>) -> bool {
        match self {
            Self::Compare(relation, left, right) => {
                let (left, right) = (left.value(values), right.value(values));
                match relation {
                    Relation::Less => left < right,
                    Relation::AtMost => left <= right,
                    Relation::Equal => left == right,
                    Relation::AtLeast => left >= right,
                    Relation::More => left > right,
                }
            }
            Self::All(parts) => parts.iter().all(|part| part.holds(values)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(values)),
            Self::Not(part) => !part.holds(values),
        }
    }

    pub(super) fn smt(&self, out: &mut String, rename: &dyn Fn(&str) -> String) {
        let list = |word: &str, empty: &str, parts: &[Self], out: &mut String| match parts {
            [] => out.push_str(empty),
            [part] => part.smt(out, rename),
            parts => {
                let _ = write!(out, "({word}");
                for part in parts {
                    out.push(' ');
                    part.smt(out, rename);
                }
                out.push(')');
            }
        };
        match self {
            Self::Compare(relation, left, right) => {
                let sign = match relation {
                    Relation::Less => "<",
                    Relation::AtMost => "<=",
                    Relation::Equal => "=",
                    Relation::AtLeast => ">=",
                    Relation::More => ">",
                };
                let _ = write!(out, "({sign} ");
                left.smt(out, rename);
                out.push(' ');
                right.smt(out, rename);
                out.push(')');
            }
            Self::All(parts) => list("and", "true", parts, out),
            Self::Any(parts) => list("or", "false", parts, out),
            Self::Not(part) => {
                out.push_str("(not ");
                part.smt(out, rename);
                out.push(')');
            }
        }
    }

    /// Returns the names that occur.
    pub(super) fn names(&self) -> Vec<&str> {
        fn collect<'a>(formula: &'a Formula, names: &mut Vec<&'a str>) {
            match formula {
                Formula::Compare(_, left, right) => {
                    left.collect(names);
                    right.collect(names);
                }
                Formula::All(parts) | Formula::Any(parts) => {
                    parts.iter().for_each(|part| collect(part, names));
                }
                Formula::Not(part) => collect(part, names),
            }
        }
        let mut names = Vec::new();
        collect(self, &mut names);
        names
    }

    /// Reads a formula.
    ///
    /// # Errors
    /// What was expected, and what is there.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let mut reader = Reader::new(text);
        let formula = reader.formula()?;
        reader.end()?;
        Ok(formula)
    }
}

/// How deep parentheses, `not`, `min` and products may lie in one another.
const DEPTH: usize = 64;

/// A position in a line that is read.
struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        Self { rest: text.trim(), depth: 0 }
    }

    fn end(&self) -> Result<(), String> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(format!("nothing more, not `{}`", self.rest))
        }
    }

    /// Takes a sign, or a word that no letter follows.
    fn take(&mut self, token: &str) -> bool {
        let Some(rest) = self.rest.strip_prefix(token) else { return false };
        let is_word = token.ends_with(|c: char| c.is_ascii_alphanumeric());
        if is_word && rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
            return false;
        }
        self.rest = rest.trim_start();
        true
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        if self.take(token) { Ok(()) } else { Err(format!("`{token}`, not `{}`", self.rest)) }
    }

    fn formula(&mut self) -> Result<Formula, String> {
        let mut parts = vec![self.conjunction()?];
        while self.take("or") {
            parts.push(self.conjunction()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Formula::Any(parts) })
    }

    fn conjunction(&mut self) -> Result<Formula, String> {
        let mut parts = Vec::new();
        loop {
            self.literal(&mut parts)?;
            if !self.take("and") {
                break;
            }
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Formula::All(parts) })
    }

    /// Reads what lies a level deeper.
    fn within<R>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<R, String>,
    ) -> Result<R, String> {
        if self.depth == DEPTH {
            return Err(format!("at most {DEPTH} levels"));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn literal(&mut self, parts: &mut Vec<Formula>) -> Result<(), String> {
        self.within(|reader| reader.literal_here(parts))
    }

    fn literal_here(&mut self, parts: &mut Vec<Formula>) -> Result<(), String> {
        if self.take("not") {
            let mut negated = Vec::new();
            self.literal(&mut negated)?;
            parts.push(Formula::Not(Box::new(Formula::All(negated))));
            return Ok(());
        }
        // A parenthesis begins a formula or a term: a term is followed by a comparison.
        if self.rest.starts_with('(') {
            let before = self.rest;
            self.expect("(")?;
            if let Ok(formula) = self.formula()
                && self.take(")")
                && !self.rest.starts_with(['<', '>', '=', '+', '-'])
            {
                parts.push(formula);
                return Ok(());
            }
            self.rest = before;
        }
        self.chain(parts)
    }

    fn chain(&mut self, parts: &mut Vec<Formula>) -> Result<(), String> {
        let mut left = self.term()?;
        let mut is_first = true;
        while let Some(relation) = self.relation() {
            let right = self.term()?;
            parts.push(Formula::Compare(relation, left, right.clone()));
            (left, is_first) = (right, false);
        }
        if is_first { Err(format!("a comparison, not `{}`", self.rest)) } else { Ok(()) }
    }

    fn relation(&mut self) -> Option<Relation> {
        let signs = [
            ("<=", Relation::AtMost),
            (">=", Relation::AtLeast),
            ("<", Relation::Less),
            (">", Relation::More),
            ("=", Relation::Equal),
        ];
        signs.into_iter().find(|(sign, _)| self.take(sign)).map(|(_, relation)| relation)
    }

    fn term(&mut self) -> Result<Term, String> {
        let mut left = self.factor()?;
        loop {
            if self.take("+") {
                left = Term::Sum(Box::new(left), Box::new(self.factor()?));
            } else if self.take("-") {
                left = Term::Difference(Box::new(left), Box::new(self.factor()?));
            } else {
                return Ok(left);
            }
        }
    }

    fn factor(&mut self) -> Result<Term, String> {
        self.within(Self::factor_here)
    }

    fn factor_here(&mut self) -> Result<Term, String> {
        if self.take("min(") {
            let left = self.term()?;
            self.expect(",")?;
            let right = self.term()?;
            self.expect(")")?;
            return Ok(Term::Min(Box::new(left), Box::new(right)));
        }
        if self.take("(") {
            let term = self.term()?;
            self.expect(")")?;
            return Ok(term);
        }
        let end = |c: char| !c.is_ascii_alphanumeric() && c != '_';
        let (token, rest) = self.rest.split_at(self.rest.find(end).unwrap_or(self.rest.len()));
        if token.is_empty() {
            return Err(format!("a term, not `{}`", self.rest));
        }
        self.rest = rest.trim_start();
        if !token.starts_with(|c: char| c.is_ascii_digit()) {
            return Ok(Term::Name(token.to_owned()));
        }
        let number = token.parse().map_err(|_| format!("a number, not `{token}`"))?;
        if self.take("*") {
            return Ok(Term::Times(number, Box::new(self.factor()?)));
        }
        Ok(Term::Number(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(text: &str, values: &[(&'static str, i64)]) -> bool {
        Formula::read(text).expect(text).holds(&values.iter().copied().collect())
    }

    fn smt(text: &str) -> String {
        let mut out = String::new();
        Formula::read(text).expect(text).smt(&mut out, &str::to_owned);
        out
    }

    #[test]
    fn formulas_are_read_evaluated_and_rendered() {
        let values = [("a", 1), ("b", 2), ("c", 5)];
        for (text, expected) in [
            ("a < b", true),
            ("a < b < c", true),
            ("a < b < 2", false),
            ("2 * b + a = c", true),
            ("c - b - a = 2", true),
            ("(c - b) - a = 2 and not a = b", true),
            ("not (a = b or b >= c)", true),
            ("a = b or b <= c and c > 4", true),
            ("min(c, a + b) = 3", true),
            ("(a = b) or (b = c)", false),
        ] {
            assert_eq!(holds(text, &values), expected, "{text}");
        }
        assert_eq!(smt("a <= 1 < b or not c = 2"), "(or (and (<= a 1) (< 1 b)) (not (= c 2)))");
        assert_eq!(smt("min(a, b) = 0 - 1"), "(= (ite (<= a b) a b) (- 0 1))");
        assert_eq!(smt("3 * a > b"), "(> (* 3 a) b)");
    }

    #[test]
    fn what_is_no_formula_is_said_where() {
        for (text, expected) in [
            ("a", "a comparison, not ``"),
            ("a < ", "a term, not ``"),
            ("a < b c", "nothing more, not `c`"),
            ("min(a b) = 1", "`,`, not `b) = 1`"),
            ("99999999999999999999 = a", "a number, not `99999999999999999999`"),
        ] {
            assert_eq!(Formula::read(text), Err(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_too_deep_is_an_error_and_not_the_end() {
        for (open, close) in [("(", ")"), ("not ", ""), ("2 * ", ""), ("min(1, ", ")")] {
            let nested = |depth: usize| {
                let end = if matches!(open, "2 * " | "min(1, ") { "a" } else { "a < b" };
                let text = format!("{}{end}{}", open.repeat(depth), close.repeat(depth));
                Formula::read(&if end == "a" { format!("{text} < b") } else { text })
            };
            assert!(nested(60).is_ok(), "{open}");
            assert!(nested(100_000).is_err(), "{open}");
        }
    }

    #[test]
    fn names_are_those_that_occur() {
        let formula = Formula::read("a < min(b, 2 * c) or not (d + e = 1)").expect("a formula");
        assert_eq!(formula.names(), ["a", "b", "c", "d", "e"]);
    }
}
