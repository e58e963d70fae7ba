"""Rewrites a source file so that it holds all its mutants behind a switch.

The body of a function with mutants becomes a `match` over the number of the mutant that is switched
on, with one arm for each mutant and one for the original. The replacement of text by spans is that
of cargo-mutants, so an arm's text is what cargo-mutants would compile. Functions that are declared
within a function have their own switch, in the original's arm alone.

Each arm lies between two marks, so that an error of the compiler is told to the mutant whose text
it is in.
"""

import re

SWITCH = """
#[doc(hidden)]
pub(crate) mod mutant_switch {
    use std::io::Write;
    use std::path::PathBuf;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicBool, Ordering};

    static ON: LazyLock<u32> = LazyLock::new(|| {
        std::env::var("MUTANT").ok().and_then(|number| number.parse().ok()).unwrap_or(0)
    });
    static NOTES: LazyLock<Option<PathBuf>> =
        LazyLock::new(|| std::env::var_os("MUTANT_REACHED").map(PathBuf::from));
    static REACHED: [AtomicBool; COUNT] = [const { AtomicBool::new(false) }; COUNT];

    /// Iterators of two types, where a function's type is that of its body.
    #[allow(dead_code)]
    pub(crate) enum Either<A, B> {
        One(A),
        Other(B),
    }

    impl<A: Iterator, B: Iterator<Item = A::Item>> Iterator for Either<A, B> {
        type Item = A::Item;

        fn next(&mut self) -> Option<A::Item> {
            match self {
                Self::One(one) => one.next(),
                Self::Other(other) => other.next(),
            }
        }

        fn size_hint(&self) -> (usize, Option<usize>) {
            match self {
                Self::One(one) => one.size_hint(),
                Self::Other(other) => other.size_hint(),
            }
        }
    }

    impl<A, B> DoubleEndedIterator for Either<A, B>
    where
        A: DoubleEndedIterator,
        B: DoubleEndedIterator<Item = A::Item>,
    {
        fn next_back(&mut self) -> Option<A::Item> {
            match self {
                Self::One(one) => one.next_back(),
                Self::Other(other) => other.next_back(),
            }
        }
    }

    impl<A, B> ExactSizeIterator for Either<A, B>
    where
        A: ExactSizeIterator,
        B: ExactSizeIterator<Item = A::Item>,
    {
    }

    /// Returns the number of the mutant that is on, and notes that the function was reached.
    pub(crate) fn at(function: usize) -> u32 {
        if !REACHED[function].load(Ordering::Relaxed)
            && !REACHED[function].swap(true, Ordering::Relaxed)
            && let Some(path) = &*NOTES
        {
            let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
            let mut file = file.expect("the file of notes opens");
            file.write_all(format!("{function}\\n").as_bytes()).expect("a note is written");
        }
        *ON
    }
}
"""

BEGIN, END = "// mutant %s begins", "// mutant %s ends"
MARK = re.compile(r"\s*// mutant (\S+) (begins|ends)$")

# Comments, strings and characters: what stands in them is no brace. A lifetime is no character.
SKIPPED = re.compile(
    r"""//[^\n]*|/\*.*?\*/|[bc]?r(\#*)".*?"\1|[bc]?"(?:\\.|[^"\\])*"|b?'(?:\\[^\n]+?|[^'\\\n])'""",
    re.DOTALL,
)

# Of the types that are known by a trait alone, those that `Either` stands for.
ITERATOR = re.compile(r"^-> impl (DoubleEnded|ExactSize)?Iterator\b")


class Text:
    """A file's text, whose places are a line and a column in characters, both from 1."""

    def __init__(self, text):
        self.text = text
        self.starts = [0]
        for match in re.finditer("\n", text):
            self.starts.append(match.end())

    def offset(self, place):
        return self.starts[place["line"] - 1] + place["column"] - 1

    def range(self, span):
        return self.offset(span["start"]), self.offset(span["end"])


def last_braces(text, start, end):
    """Returns the range within the last pair of outermost braces between start and end."""
    depth, opened, found, at = 0, start, None, start
    while at < end:
        skipped = SKIPPED.match(text, at, end)
        if skipped:
            at = skipped.end()
            continue
        if text[at] == "{":
            if depth == 0:
                opened = at + 1
            depth += 1
        elif text[at] == "}":
            depth -= 1
            if depth == 0:
                found = (opened, at)
        at += 1
    return found


class Function:
    """A function with mutants. `body` is the range within its braces."""

    def __init__(self, number, file, source, function):
        self.number, self.file = number, file
        self.is_iterator = bool(ITERATOR.search(function["return_type"]))
        self.start, self.end = source.range(function["span"])
        self.body = last_braces(source.text, self.start, self.end)
        self.signature = source.text[self.start : self.body[0]]
        self.mutants = []
        self.within = []


def nest(functions):
    """Returns the outermost functions; each knows those that are directly within it."""
    outermost, open_ = [], []
    for function in sorted(functions, key=lambda f: (f.start, -f.end)):
        function.within = []
        while open_ and open_[-1].end <= function.start:
            open_.pop()
        (open_[-1].within if open_ else outermost).append(function)
        open_.append(function)
    return outermost


def without_const(signature):
    return re.sub(r"\bconst (?=(unsafe )?fn\b)", "", signature)


def original(source, start, end, functions):
    """Returns the text from start to end, with a switch in each of the functions."""
    parts, at = [], start
    for function in functions:
        parts.append(source.text[at : function.start])
        parts.append(without_const(function.signature))
        parts.append(switch(source, function))
        at = function.body[1]
    parts.append(source.text[at:end])
    return "".join(parts)


def arm(pattern, mark, text):
    return f"{pattern} => {{\n{BEGIN % mark}\n{text}\n{END % mark}\n}}\n"


def either(at, count, text):
    """Wraps arm `at` of `count`, so that the arms of a function have one type between them."""
    of = "crate::mutant_switch::Either::"
    one = f"{of}One(" if at + 1 < count else ""
    return f"{f'{of}Other(' * at}{one}{{\n{text}\n}}{')' * at}{one and ')'}"


def switch(source, function):
    start, end = function.body
    texts = []
    for mutant in function.mutants:
        first, last = source.range(mutant.span)
        text = source.text[start:first] + mutant.replacement + source.text[last:end]
        texts.append((mutant.number, mutant.number, text))
    text = original(source, start, end, function.within)
    texts.append(("_", f"f{function.number}", text))
    arms = [f"\nmatch crate::mutant_switch::at({function.number}) {{\n"]
    for at, (pattern, mark, text) in enumerate(texts):
        if function.is_iterator:
            text = either(at, len(texts), text)
        arms.append(arm(pattern, mark, text))
    return "".join(arms) + "}\n"


def rewrite(source, functions):
    """Returns the file's text with a switch in each function."""
    return original(source, 0, len(source.text), nest(functions))


def marked(text, line):
    """Returns whose arm a line (from 1) is in: a mutant's number, `f` and a function's, or None."""
    open_ = []
    for row in text.split("\n")[:line]:
        mark = MARK.match(row)
        if mark and mark[2] == "begins":
            open_.append(mark[1])
        elif mark:
            open_.pop()
    return open_[-1] if open_ else None
