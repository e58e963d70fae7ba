//! The curves of an attack, as one SVG file that needs nothing else: no script, no font, no style
//! sheet.
//!
//! Both axes of both panels are logarithmic. Left is what the attack costs; right is how many times
//! longer honest items take, with the goal as a dashed line. A figure below 1 is drawn at 1, as the
//! axis has no zero.

use std::fmt::Write as _;

use super::catalogue::Attack;
use super::report::{Report, Row};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 400.0;
/// The plot of a panel, and where it lies in the panel.
const PLOT: [f64; 2] = [330.0, 240.0];
const OFFSET: [f64; 2] = [80.0, 70.0];
/// An honest item may take so many times longer.
const GOAL: f64 = 2.0;
const FONT: &str = "font-family='sans-serif' fill='#222'";
/// Colours that are told apart in grey, too.
const COLOURS: [&str; 6] = ["#1b5faa", "#d1495b", "#2e7d32", "#8e5ea2", "#b8860b", "#444444"];

struct Series {
    name: String,
    points: Vec<(u64, f64)>,
}

struct Panel {
    title: &'static str,
    series: Vec<Series>,
    goal: Option<f64>,
}

/// Returns the curves of an attack; `None` if the report has no row of it.
#[must_use]
pub fn curves(report: &Report, attack: Attack) -> Option<String> {
    let rows: Vec<&Row> = report.curve(attack).collect();
    rows.first()?;
    let cost = |name: &str, figure: fn(&Row) -> f64| Series {
        name: name.to_owned(),
        points: rows.iter().map(|row| (row.n, figure(row))).collect(),
    };
    let costs = Panel {
        title: "what the attack adds",
        series: vec![
            cost("slots run", |row| row.slots_run as f64),
            cost("blocks replayed", |row| row.blocks_replayed as f64),
            cost("CPU, ms", |row| row.cpu_ms),
        ],
        goal: None,
    };
    let of_attack = || report.rows.iter().filter(|row| row.attack == attack.name());
    let mut peers: Vec<u64> = of_attack().map(|row| row.peers).collect();
    peers.sort_unstable();
    peers.dedup();
    let by = |peers: u64| Series {
        name: format!("p99, {peers} peer{}", if peers == 1 { "" } else { "s" }),
        points: of_attack()
            .filter(|row| row.peers == peers)
            .map(|row| (row.n, row.ratio()))
            .collect(),
    };
    let ratios = Panel {
        title: "honest items: times as long as when quiet",
        series: peers.into_iter().take(COLOURS.len()).map(by).collect(),
        goal: Some(GOAL),
    };
    let mut svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' \
         width='{WIDTH}' height='{HEIGHT}' role='img'>\n\
         <rect width='100%' height='100%' fill='#fff'/>\n"
    );
    let title = format!("{attack}: {}", attack.title());
    text(&mut svg, [WIDTH / 2.0, 28.0], "text-anchor='middle' font-size='16'", &title);
    costs.draw(&mut svg, 0.0);
    ratios.draw(&mut svg, WIDTH / 2.0);
    svg.push_str("</svg>\n");
    Some(svg)
}

/// A logarithmic axis from the power of ten below all values to that above.
struct Axis {
    from: f64,
    to: f64,
    length: f64,
}

impl Axis {
    fn new(values: impl Iterator<Item = f64> + Clone, length: f64) -> Self {
        let least = values.clone().fold(f64::INFINITY, f64::min);
        let most = values.fold(1.0, f64::max);
        let from = if least.is_finite() { least.log10().floor() } else { 0.0 };
        Self { from, to: most.log10().ceil().max(from + 1.0), length }
    }

    fn at(&self, value: f64) -> f64 {
        (value.log10() - self.from) / (self.to - self.from) * self.length
    }

    /// Returns the powers of ten, at most eight.
    fn ticks(&self) -> impl Iterator<Item = f64> {
        let (from, to) = (self.from as i32, self.to as i32);
        let step = ((to - from) / 8 + 1) as usize;
        (from..=to).step_by(step).map(|power| 10_f64.powi(power))
    }
}

impl Panel {
    fn draw(&self, svg: &mut String, left: f64) {
        let [width, height] = PLOT;
        let (x0, y0) = (left + OFFSET[0], OFFSET[1]);
        let sizes: Vec<u64> = {
            let all = self.series.iter().flat_map(|series| series.points.iter());
            let mut sizes: Vec<u64> = all.map(|(n, _)| *n).collect();
            sizes.sort_unstable();
            sizes.dedup();
            sizes
        };
        let x = Axis::new(sizes.iter().map(|n| *n as f64), width);
        let figures = self.series.iter().flat_map(|series| series.points.iter());
        let figures = figures.map(|(_, figure)| figure.max(1.0)).chain(self.goal);
        let y = Axis::new(figures, height);
        text(svg, [x0, y0 - 16.0], "font-size='13'", self.title);
        let _ = writeln!(
            svg,
            "<rect x='{x0}' y='{y0}' width='{width}' height='{height}' fill='none' \
             stroke='#222'/>"
        );
        for n in sizes {
            let at = x0 + x.at(n as f64);
            line(svg, [at, y0], [at, y0 + height], "stroke='#e4e4e4'");
            let place = [at, y0 + height + 18.0];
            text(svg, place, "text-anchor='middle' font-size='11'", &n.to_string());
        }
        text(svg, [x0 + width / 2.0, y0 + height + 38.0], "font-size='12'", "n");
        for tick in y.ticks() {
            let at = y0 + height - y.at(tick);
            line(svg, [x0, at], [x0 + width, at], "stroke='#e4e4e4'");
            let place = [x0 - 6.0, at + 4.0];
            text(svg, place, "text-anchor='end' font-size='11'", &tick.to_string());
        }
        if let Some(goal) = self.goal {
            let at = y0 + height - y.at(goal);
            line(svg, [x0, at], [x0 + width, at], "stroke='#222' stroke-dasharray='5 4'");
            text(svg, [x0 + width - 52.0, at - 4.0], "font-size='11'", &format!("goal {goal}x"));
        }
        for (number, (series, colour)) in self.series.iter().zip(COLOURS).enumerate() {
            let place = |(n, figure): &(u64, f64)| {
                (x0 + x.at(*n as f64), y0 + height - y.at(figure.max(1.0)))
            };
            let points: Vec<(f64, f64)> = series.points.iter().map(place).collect();
            let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            let _ = writeln!(
                svg,
                "<polyline points='{}' fill='none' stroke='{colour}' stroke-width='2'/>",
                path.join(" ")
            );
            for (x, y) in points {
                let _ = writeln!(svg, "<circle cx='{x:.1}' cy='{y:.1}' r='3' fill='{colour}'/>");
            }
            let (key_x, key_y) =
                (x0 + number as f64 % 3.0 * 112.0, y0 + height + 58.0 + (number / 3) as f64 * 16.0);
            line(svg, [key_x, key_y - 4.0], [key_x + 16.0, key_y - 4.0], &stroke(colour));
            text(svg, [key_x + 20.0, key_y], "font-size='11'", &series.name);
        }
    }
}

fn stroke(colour: &str) -> String {
    format!("stroke='{colour}' stroke-width='2'")
}

fn line(svg: &mut String, [x1, y1]: [f64; 2], [x2, y2]: [f64; 2], style: &str) {
    let _ = writeln!(svg, "<line x1='{x1:.1}' y1='{y1:.1}' x2='{x2:.1}' y2='{y2:.1}' {style}/>");
}

fn text(svg: &mut String, [x, y]: [f64; 2], style: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(svg, "<text x='{x:.1}' y='{y:.1}' {FONT} {style}>{words}</text>");
}
