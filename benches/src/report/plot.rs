//! Plots, as SVG: readable on a phone, by day and by night.

use std::ops::Range;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::{
    ChartBuilder, Circle, Color as _, DrawingArea, IntoDrawingArea as _, IntoLogRange as _,
    LineSeries, PathElement, RGBColor, SVGBackend, Text,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{IntoFont as _, IntoTextStyle as _, TextStyle};

/// Whose answer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Ours,
    Peer,
    Floor,
}

/// One row of [`dots`].
#[derive(Clone, Debug)]
pub(crate) struct Dot {
    pub(crate) label: String,
    pub(crate) side: Side,
    pub(crate) value: f64,
    /// From what it comes to in good cases to what it comes to in bad ones.
    pub(crate) range: Range<f64>,
}

/// One line of [`lines`].
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) label: String,
    /// By how many of something, and what that came to.
    pub(crate) points: Vec<(f64, f64)>,
}

/// A row for each: a dot where it is, and a line for how far it spreads. Logarithmic.
pub(crate) fn dots(dots: &[Dot], spell: fn(f64) -> String) -> Result<String> {
    let values = dots.iter().flat_map(|dot| [dot.value, dot.range.start, dot.range.end]);
    let across = bounds(values, MARGIN).ok_or_else(|| anyhow!("nothing to plot"))?;
    let rows = dots.len() as f64;
    let height = (rows + BELOW) * f64::from(ROW);
    draw(height as u32 + EDGE, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin_top(EDGE / 2)
            .margin_left(SIDE)
            .margin_right(SIDE)
            .build_cartesian_2d(across.clone().log_scale(), -BELOW..rows)?;
        for tick in ticks(&across) {
            let line = [(tick, 0.0), (tick, rows)];
            chart.draw_series([PathElement::new(line, FAINT.stroke_width(1))])?;
            let style = text(SMALL, SOFT).pos(Pos::new(HPos::Center, VPos::Top));
            chart.draw_series([Text::new(spell(tick), (tick, -0.1), style)])?;
        }
        for (row, dot) in dots.iter().enumerate() {
            let (height, color) = (rows - row as f64 - 0.72, dot.side.color());
            let line = [(dot.range.start, height), (dot.range.end, height)];
            chart.draw_series([PathElement::new(line, color.stroke_width(2))])?;
            chart.draw_series([Circle::new((dot.value, height), 5, color.filled())])?;
            let label = format!("{}  {}", dot.label, spell(dot.value));
            let place = (across.start, height + 0.62);
            chart.draw_series([Text::new(label, place, text(LARGE, INK))])?;
        }
        Ok(())
    })
}

/// How something grows, each of them as a line. Both axes are logarithmic.
pub(crate) fn lines(lines: &[Line], spell: fn(f64) -> String) -> Result<String> {
    let points = || lines.iter().flat_map(|line| &line.points);
    let nothing = || anyhow!("nothing to plot");
    let across = bounds(points().map(|point| point.0), 1.2).ok_or_else(nothing)?;
    let up = bounds(points().map(|point| point.1), MARGIN).ok_or_else(nothing)?;
    let legend = LEGEND * lines.len() as u32;
    draw(TALL + legend, |area| {
        let (keys, area) = area.split_vertically(legend);
        for (row, line) in lines.iter().enumerate() {
            let (y, color) = ((row as u32 * LEGEND + LEGEND / 2) as i32, color(row));
            keys.draw(&Circle::new((SIDE as i32 + 5, y), 5, color.filled()))?;
            keys.draw(&Text::new(line.label.clone(), (SIDE as i32 + 18, y - 7), text(LARGE, INK)))?;
        }
        let mut chart = ChartBuilder::on(&area)
            .margin_top(EDGE)
            .margin_right(SIDE * 2)
            .x_label_area_size(AXIS)
            .y_label_area_size(LABELS)
            .build_cartesian_2d(across.log_scale(), up.log_scale())?;
        chart
            .configure_mesh()
            .axis_style(FAINT)
            .bold_line_style(FAINT)
            .light_line_style(NOTHING)
            .x_labels(5)
            .y_labels(6)
            .x_label_style(text(SMALL, SOFT))
            .y_label_style(text(SMALL, SOFT))
            .x_label_formatter(&|count| format!("{count:.0}"))
            .y_label_formatter(&|value| spell(*value))
            .draw()?;
        for (row, line) in lines.iter().enumerate() {
            let color = color(row);
            chart.draw_series(LineSeries::new(line.points.clone(), color.stroke_width(2)))?;
            let dots = line.points.iter().map(|point| Circle::new(*point, 4, color.filled()));
            chart.draw_series(dots)?;
        }
        Ok(())
    })
}

/// Colours and a ground for one that is shown outside of the page.
pub(crate) fn alone(svg: &str) -> String {
    svg.replacen('>', &format!("><style>{COLORS}{GROUND}</style>"), 1)
}

fn draw(
    height: u32,
    plot: impl FnOnce(&DrawingArea<SVGBackend<'_>, Shift>) -> Result<()>,
) -> Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        plot(&area)?;
        area.present()?;
    }
    // So that it is as wide as there is room, and its colours are those of the page.
    let size = format!("width=\"{WIDTH}\" height=\"{height}\" ");
    svg = svg.replacen(&size, "", 1);
    for (color, name) in NAMES {
        let RGBColor(red, green, blue) = color;
        let written = format!("\"#{red:02X}{green:02X}{blue:02X}\"");
        svg = svg.replace(&written, &format!("\"var(--{name})\""));
    }
    Ok(svg)
}

/// Round numbers between these, and not too many.
fn ticks(range: &Range<f64>) -> Vec<f64> {
    let decades = range.start.log10().floor() as i32..=range.end.log10().ceil() as i32;
    let steps = |of: &[f64]| -> Vec<f64> {
        let powers = decades.clone().map(|power| 10_f64.powi(power));
        let all = powers.flat_map(|power| of.iter().map(move |step| power * step));
        all.filter(|tick| range.contains(tick)).collect()
    };
    let all = [&[1.0, 1.5, 2.0, 3.0, 5.0, 7.0][..], &[1.0, 2.0, 5.0], &[1.0, 3.0], &[1.0]];
    let few = all.into_iter().map(steps).find(|ticks| ticks.len() <= MOST_TICKS);
    few.unwrap_or_else(|| steps(&[1.0]).into_iter().step_by(3).collect())
}

/// From a little below the least to a little above the greatest.
fn bounds(values: impl Iterator<Item = f64>, margin: f64) -> Option<Range<f64>> {
    let values = values.filter(|value| value.is_finite() && *value > 0.0);
    let (least, greatest) = values.fold((f64::INFINITY, 0.0_f64), |(least, greatest), value| {
        (least.min(value), greatest.max(value))
    });
    (greatest > 0.0).then(|| least / margin..greatest * margin)
}

fn text(size: u32, color: RGBColor) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&color).into_text_style(&(WIDTH, ROW))
}

impl Side {
    fn color(self) -> RGBColor {
        match self {
            Self::Ours => HUES[0],
            Self::Peer => HUES[1],
            Self::Floor => SOFT,
        }
    }
}

fn color(row: usize) -> RGBColor {
    HUES[row % HUES.len()]
}

/// What a page or a file has to define, by day and by night.
pub(crate) const COLORS: &str = "\
:root{--ink:#1c2024;--soft:#6b7280;--faint:#e3e5e9;--none:transparent;\
--hue0:#0b66c3;--hue1:#c2560a;--hue2:#1d7f45;--hue3:#8a3fb0;--hue4:#a3154b}\
@media(prefers-color-scheme:dark){:root{--ink:#e6e8eb;--soft:#9aa3af;--faint:#363c45;\
--hue0:#6cb2ff;--hue1:#ffa15c;--hue2:#63d391;--hue3:#d59bf2;--hue4:#ff8fb3}}";

const GROUND: &str = "\
svg{background:#fff}@media(prefers-color-scheme:dark){svg{background:#15181d}}";

/// These stand for colours that the page gives.
const NAMES: [(RGBColor, &str); 9] = [
    (INK, "ink"),
    (SOFT, "soft"),
    (FAINT, "faint"),
    (NOTHING, "none"),
    (HUES[0], "hue0"),
    (HUES[1], "hue1"),
    (HUES[2], "hue2"),
    (HUES[3], "hue3"),
    (HUES[4], "hue4"),
];
const INK: RGBColor = RGBColor(1, 1, 1);
const SOFT: RGBColor = RGBColor(1, 1, 2);
const FAINT: RGBColor = RGBColor(1, 1, 3);
const NOTHING: RGBColor = RGBColor(1, 1, 4);
const HUES: [RGBColor; 5] =
    [RGBColor(1, 2, 0), RGBColor(1, 2, 1), RGBColor(1, 2, 2), RGBColor(1, 2, 3), RGBColor(1, 2, 4)];

/// Of a phone, so that letters keep their size there.
const WIDTH: u32 = 380;
const ROW: u32 = 44;
const AXIS: u32 = 26;
const EDGE: u32 = 12;
/// Room for the numbers below, in rows.
const BELOW: f64 = 0.55;
const MOST_TICKS: usize = 5;
const SIDE: u32 = 12;
const TALL: u32 = 260;
const LEGEND: u32 = 22;
const LABELS: u32 = 62;
const LARGE: u32 = 14;
const SMALL: u32 = 12;
const MARGIN: f64 = 1.6;

#[cfg(test)]
mod tests {
    use super::*;

    fn spell(value: f64) -> String {
        format!("{value} µs")
    }

    #[test]
    fn every_row_is_named_and_takes_its_colours_from_the_page() {
        let row = |label: &str, side, value: f64| Dot {
            label: label.to_owned(),
            side,
            value,
            range: value / 2.0..value * 3.0,
        };
        let rows = [row("ours", Side::Ours, 2.0), row("<theirs>", Side::Peer, 90.0)];
        let svg = dots(&rows, spell).unwrap();
        assert!(svg.contains("ours  2 µs") && svg.contains("&lt;theirs&gt;  90 µs"), "{svg}");
        assert!(svg.contains("var(--hue0)") && svg.contains("var(--hue1)"), "{svg}");
        assert!(!svg.contains("\"#"), "a colour of its own: {svg}");
    }

    #[test]
    fn growth_is_a_line_for_each() {
        let line = |label: &str, slope: f64| Line {
            label: label.to_owned(),
            points: [1.0, 10.0, 100.0].map(|count| (count, count * slope)).to_vec(),
        };
        let svg = lines(&[line("redis", 1.0), line("etcd", 2.0)], spell).unwrap();
        assert!(svg.contains("redis") && svg.contains("etcd"), "{svg}");
        assert!(svg.matches("<polyline").count() >= 2, "{svg}");
        assert!(!svg.contains("\"#"), "a colour of its own: {svg}");
    }

    #[test]
    fn alone_it_has_colours_of_its_own() {
        let line = Line { label: "a".to_owned(), points: vec![(1.0, 2.0), (2.0, 3.0)] };
        let svg = alone(&lines(&[line], spell).unwrap());
        let (before, after) = svg.split_once("<style>").unwrap();
        assert!(before.starts_with("<svg") && !before.contains("<line"), "{svg}");
        assert!(after.contains("--hue0:") && after.contains("background"), "{svg}");
    }

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(ticks(&(90.0..450.0)), [100.0, 150.0, 200.0, 300.0]);
        assert_eq!(ticks(&(0.9..900.0)), [1.0, 10.0, 100.0]);
        assert!(ticks(&(1e-3..1e9)).len() <= MOST_TICKS);
    }

    #[test]
    fn nothing_is_no_plot() {
        assert!(dots(&[], spell).is_err() && lines(&[], spell).is_err());
        assert_eq!(bounds([f64::NAN, 0.0, 4.0, 2.0].into_iter(), 2.0), Some(1.0..8.0));
    }
}
