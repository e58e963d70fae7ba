//! A counterexample as one self-contained page: no script, no request, nothing from elsewhere.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::render::{change, cut, difference};
use super::{Change, Counterexample, Step};

const STYLE: &str = "body{font:14px system-ui,sans-serif;margin:2em;color:#222;background:#fff}\
h1{font-size:1.3em}\
table{border-collapse:collapse;margin:1em 0}\
th,td{border:1px solid #ddd;padding:.25em .6em;text-align:left;vertical-align:top}\
th{background:#f2f2f2;position:sticky;top:0}\
td.n,td.src{color:#777}\
td.own{background:#eef5ff;min-width:11em;max-width:26em}\
td.got{background:#f4f0e4;min-width:11em;max-width:26em}\
.ch{color:#666;font-size:.86em;margin:.2em 0 0 .8em;overflow-wrap:anywhere}\
details summary{color:#777;cursor:pointer}details div{font-size:.86em;overflow-wrap:anywhere}\
tr.end td{background:#fff4e5}tr.mark td{background:#e8f5e8;font-weight:600}\
tr.last td.own{background:#fde2d8}\
p.cycle{background:#fdd;padding:.5em .8em;font-weight:600}\
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}th{background:#2a2a2a}\
td.own{background:#1d2b3d}td.got{background:#2c2818}tr.end td{background:#3a2c14}\
tr.mark td{background:#1c331c}tr.last td.own{background:#4d2a1f}\
p.cycle{background:#5a1f1f}.ch{color:#aaa}}";

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Returns a page of HTML: a column for each thread, a row for each step, what the objects hold
/// after each step, and where each thread stands in the end.
#[must_use]
pub fn html(of: &Counterexample) -> String {
    let title = escaped(&format!("{} violates {}", of.check, of.violation));
    let mut text = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <style>{STYLE}</style></head>\n<body>\n<h1>{title}</h1>\n\
         <p>Found by {}; {} steps of {} threads. {}</p>\n",
        escaped(&of.engine),
        of.steps.len(),
        of.threads.len(),
        escaped(&of.search),
    );
    if let Some(line) = of.cycle_line() {
        let _ = writeln!(text, "<p class=\"cycle\">{}</p>", escaped(&line));
    }
    let columns = Columns::of(of);
    text.push_str("<table>\n<thead><tr><th>step</th>");
    for thread in 0..of.threads.len() {
        let _ = write!(text, "<th>{}</th>", escaped(&of.thread(thread)));
    }
    let source = if columns.has_source { "<th>source</th>" } else { "" };
    let _ = writeln!(text, "{source}<th>objects</th></tr></thead>\n<tbody>");
    for (number, (step, objects)) in of.steps.iter().zip(of.objects()).enumerate() {
        if of.cycle_from == Some(number) {
            columns.mark(&mut text, "from here on, for ever");
        }
        columns.row(&mut text, of, number, step, &objects);
    }
    if let Some(cycle) = of.cycle_from {
        let nothing = cycle == of.steps.len();
        columns.mark(&mut text, if nothing { "and nothing happens any more" } else { "and again" });
    }
    // A model of a rule has processes that stand nowhere: they only hand things in.
    if of.end.iter().any(|end| !end.what.is_empty()) {
        text.push_str("<tr class=\"end\"><td>end</td>");
        for end in &of.end {
            let _ = write!(text, "<td>{}</td>", escaped(&end.what));
        }
        text.push_str("<td colspan=\"2\"></td></tr>\n");
    }
    text.push_str("</tbody></table>\n</body></html>\n");
    text
}

/// What the rows of a page have in common.
struct Columns {
    all: usize,
    has_source: bool,
}

impl Columns {
    fn of(of: &Counterexample) -> Self {
        let has_source = of.steps.iter().any(|step| !step.source.is_empty());
        Self { all: of.threads.len() + 2 + usize::from(has_source), has_source }
    }

    /// Writes a row that says how the steps go on.
    fn mark(&self, text: &mut String, words: &str) {
        let _ = writeln!(text, "<tr class=\"mark\"><td colspan=\"{}\">{words}</td></tr>", self.all);
    }

    fn row(
        &self,
        text: &mut String,
        of: &Counterexample,
        number: usize,
        step: &Step,
        objects: &BTreeMap<String, String>,
    ) {
        let is_last = number + 1 == of.steps.len();
        let class = if is_last { " class=\"last\"" } else { "" };
        let _ = write!(text, "<tr{class}><td class=\"n\">{}</td>", number + 1);
        for (thread, name) in of.threads.iter().enumerate() {
            let own = step.changes.iter().filter(|change| change.object == *name);
            let mut told = String::new();
            if thread == step.thread {
                told.push_str(&escaped(&change(step)));
                let is_nobodys = |change: &&Change| !of.threads.contains(&change.object);
                for change in step.changes.iter().filter(is_nobodys) {
                    told.push_str(&line(&format!("{}: ", change.object), change));
                }
            }
            own.for_each(|change| told.push_str(&line("", change)));
            let class = if thread == step.thread { "own" } else { "got" };
            let _ = match told.is_empty() {
                true => write!(text, "<td></td>"),
                false => write!(text, "<td class=\"{class}\">{told}</td>"),
            };
        }
        if self.has_source {
            let _ = write!(text, "<td class=\"src\">{}</td>", escaped(&step.source));
        }
        let _ = write!(text, "<td><details><summary>{}</summary>", objects.len());
        for (object, value) in objects {
            let value = cut(value);
            let _ = write!(text, "<div>{} = {}</div>", escaped(object), escaped(&value));
        }
        text.push_str("</details></td></tr>\n");
    }
}

/// Returns a line of a cell that says what became of an object.
fn line(name: &str, change: &Change) -> String {
    let (before, after) = difference(&change.before, &change.after);
    let words = escaped(&format!("{name}{before} -> {after}"));
    format!("<div class=\"ch\">{words}</div>")
}
