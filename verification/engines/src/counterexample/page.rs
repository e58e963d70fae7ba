//! A counterexample as one self-contained page: no script, no request, nothing from elsewhere.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Counterexample;
use super::render::change;

const STYLE: &str = "body{font:14px system-ui,sans-serif;margin:2em;color:#222;background:#fff}\
table{border-collapse:collapse;margin:1em 0}\
th,td{border:1px solid #ccc;padding:.25em .6em;text-align:left;vertical-align:top}\
th{background:#f2f2f2;position:sticky;top:0}\
td.n,td.src{color:#777}\
td.own{background:#eef5ff;font-family:ui-monospace,monospace}\
details summary{color:#777;cursor:pointer}\
tr.end td{background:#fff4e5}\
p.cycle{background:#fdd;padding:.5em .8em;font-weight:600}\
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}th{background:#2a2a2a}\
td.own{background:#1d2b3d}tr.end td{background:#3a2c14}p.cycle{background:#5a1f1f}}";

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
         <p>Found by {}; {} steps of {} threads.</p>\n<table>\n<thead><tr><th>step</th>",
        escaped(&of.engine),
        of.steps.len(),
        of.threads.len(),
    );
    for thread in 0..of.threads.len() {
        let _ = write!(text, "<th>{}</th>", escaped(&of.thread(thread)));
    }
    text.push_str("<th>result</th><th>source</th><th>objects</th></tr></thead>\n<tbody>\n");
    let mut objects = BTreeMap::new();
    for (number, step) in (1..).zip(&of.steps) {
        if let (Some(object), Some(after)) = (&step.object, &step.after) {
            objects.insert(object, after);
        }
        let _ = write!(text, "<tr><td class=\"n\">{number}</td>");
        for thread in 0..of.threads.len() {
            let _ = match thread == step.thread {
                true => write!(text, "<td class=\"own\">{}</td>", escaped(&change(step))),
                false => write!(text, "<td></td>"),
            };
        }
        let source = escaped(&step.source);
        let _ = write!(text, "<td>{}</td><td class=\"src\">{source}</td>", escaped(&step.result));
        let _ = write!(text, "<td><details><summary>{}</summary>", objects.len());
        for (object, value) in &objects {
            let _ = write!(text, "{} = {}<br>", escaped(object), escaped(value));
        }
        text.push_str("</details></td></tr>\n");
    }
    text.push_str("<tr class=\"end\"><td>end</td>");
    for end in &of.end {
        let _ = write!(text, "<td>{}</td>", escaped(&end.what));
    }
    text.push_str("<td></td><td></td><td></td></tr>\n</tbody></table>\n");
    if let Some(line) = of.ending().last().filter(|_| of.cycle().is_some()) {
        let _ = writeln!(text, "<p class=\"cycle\">{}</p>", escaped(line));
    }
    text.push_str("</body></html>\n");
    text
}
