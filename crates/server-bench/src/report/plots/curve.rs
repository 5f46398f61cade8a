use anyhow::Result;
use plotters::{
    chart::ChartBuilder,
    prelude::{
        Circle, IntoDrawingArea as _, IntoLogRange as _, LineSeries, PathElement, SVGBackend, Text,
    },
    style::{
        Color as _, IntoFont as _,
        text_anchor::{HPos, VPos},
    },
};

use super::{Curve, FONT, GRID, INK, Measure, OURS, QUIET, bars::text};
use crate::report::number;

const WIDTH: u32 = 820;
const HEIGHT: u32 = 330;

/// A line with a point for each measurement, both axes logarithmic: what grows evenly is straight.
pub(super) fn draw(plot: &Curve, points: &[(u32, Measure)]) -> Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT)).into_drawing_area();
        area.draw(&Text::new(plot.title, (16, 16), text(21, INK, HPos::Left, VPos::Top)))?;
        let chart = area.margin(52, 8, 4, 36);
        let x = points.iter().map(|(at, _)| f64::from(*at));
        let (first, last) = (x.clone().fold(f64::MAX, f64::min), x.fold(0.0, f64::max));
        let (low, high) = decades(points);
        let mut chart = ChartBuilder::on(&chart)
            .x_label_area_size(48)
            .y_label_area_size(70)
            .build_cartesian_2d((first * 0.8..last * 1.25).log_scale(), (low..high).log_scale())?;
        chart
            .configure_mesh()
            .x_labels(5)
            .y_labels(5)
            .x_desc(plot.along)
            .x_label_formatter(&|at| number(*at))
            .y_label_formatter(&|at| number(*at))
            .label_style((FONT, 16).into_font().color(&QUIET))
            .axis_desc_style((FONT, 16).into_font().color(&QUIET))
            .axis_style(GRID.stroke_width(1))
            .bold_line_style(GRID.stroke_width(1))
            .light_line_style(GRID.mix(0.0))
            .draw()?;
        let line = points.iter().map(|(at, measure)| (f64::from(*at), measure.median));
        chart.draw_series(LineSeries::new(line, OURS.stroke_width(2)))?;
        chart.draw_series(points.iter().map(|(at, measure)| {
            let at = f64::from(*at);
            PathElement::new([(at, measure.least), (at, measure.most)], INK.stroke_width(1))
        }))?;
        chart.draw_series(points.iter().map(|(at, measure)| {
            Circle::new((f64::from(*at), measure.median), 4, OURS.filled())
        }))?;
        chart.draw_series(points.iter().map(|(at, measure)| {
            let style = text(17, INK, HPos::Center, VPos::Bottom);
            let above = measure.most * (high / low).powf(0.04);
            Text::new(number(measure.median), (f64::from(*at), above), style)
        }))?;
        area.present()?;
    }
    Ok(svg)
}

/// Whole powers of ten around everything that was measured.
fn decades(points: &[(u32, Measure)]) -> (f64, f64) {
    let least = points.iter().map(|(_, measure)| measure.least).fold(f64::MAX, f64::min);
    let most = points.iter().map(|(_, measure)| measure.most).fold(0.0, f64::max);
    let power = |exponent: f64| 10_f64.powf(exponent);
    (power(least.max(1e-3).log10().floor()), power((most * 1.3).max(1e-2).log10().ceil()))
}
