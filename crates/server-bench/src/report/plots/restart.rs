//! Who comes back when a server is restarted: what `cargo xtask bench restart` has counted.

use anyhow::Result;
use plotters::{
    chart::ChartBuilder,
    prelude::{IntoDrawingArea as _, IntoLogRange as _, LineSeries, PathElement, SVGBackend, Text},
    style::{
        Color as _, IntoFont as _, RGBColor,
        text_anchor::{HPos, VPos},
    },
};
use serde::Deserialize;

use super::{FONT, GRID, INK, OTHERS, OURS, QUIET, bars::text};
use crate::report::number;

const WIDTH: u32 = 820;
const HEIGHT: u32 = 360;
/// On an axis that has no nothing.
const NOTHING: f64 = 0.5;

/// What is recorded of a restart, as far as it is drawn.
#[derive(Debug, Deserialize)]
pub(super) struct Restart {
    clients: u64,
    window_s: f64,
    before: Option<Run>,
    after: Run,
}

#[derive(Debug, Deserialize)]
struct Run {
    attempts_per_s_max: f64,
    attempts_per_s: Vec<u32>,
}

impl Restart {
    pub(super) fn title(&self) -> String {
        format!(
            "{} clients come back from a restart: attempts to connect in each second",
            number(self.clients as f64)
        )
    }
}

/// A line for each, as stairs: a second is one number.
pub(super) fn draw(restart: &Restart) -> Result<String> {
    let runs = || restart.before.iter().chain([&restart.after]);
    let last_s = runs().map(|run| run.attempts_per_s.len()).max().unwrap_or(0) + 1;
    let most = runs().flat_map(|run| &run.attempts_per_s).max().copied().unwrap_or(1);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT)).into_drawing_area();
        let title = restart.title();
        area.draw(&Text::new(title, (16, 16), text(21, INK, HPos::Left, VPos::Top)))?;
        let mut chart = ChartBuilder::on(&area.margin(52, 8, 4, 36))
            .x_label_area_size(48)
            .y_label_area_size(70)
            .build_cartesian_2d(0.0..last_s as f64, (NOTHING..f64::from(most) * 2.5).log_scale())?;
        chart
            .configure_mesh()
            .x_labels(8)
            .y_labels(5)
            .x_desc("seconds after SIGTERM")
            .x_label_formatter(&|at| number(*at))
            .y_label_formatter(&|at| number(*at))
            .label_style((FONT, 16).into_font().color(&QUIET))
            .axis_desc_style((FONT, 16).into_font().color(&QUIET))
            .axis_style(GRID.stroke_width(1))
            .bold_line_style(GRID.stroke_width(1))
            .light_line_style(GRID.mix(0.0))
            .draw()?;
        for (run, colour) in coloured(restart) {
            chart.draw_series(LineSeries::new(
                stairs(&run.attempts_per_s),
                colour.stroke_width(2),
            ))?;
        }
        legend(restart, &area)?;
        area.present()?;
    }
    Ok(svg)
}

fn legend<B: plotters::prelude::DrawingBackend>(
    restart: &Restart,
    area: &plotters::drawing::DrawingArea<B, plotters::coord::Shift>,
) -> Result<()>
where
    B::ErrorType: 'static,
{
    for (y, (run, colour)) in [66, 92].into_iter().zip(coloured(restart)) {
        let x = 330;
        let words = if colour == OURS {
            format!("each told another time, over {} s", number(restart.window_s))
        } else {
            "all at once, as before".to_owned()
        };
        let words = format!("{words}: at most {} a second", number(run.attempts_per_s_max));
        area.draw(&PathElement::new([(x, y), (x + 28, y)], colour.stroke_width(3)))?;
        area.draw(&Text::new(words, (x + 38, y), text(17, INK, HPos::Left, VPos::Center)))?;
    }
    Ok(())
}

fn coloured(restart: &Restart) -> impl Iterator<Item = (&Run, RGBColor)> {
    restart.before.iter().map(|run| (run, OTHERS)).chain([(&restart.after, OURS)])
}

fn stairs(per_s: &[u32]) -> Vec<(f64, f64)> {
    let height = |count: u32| f64::from(count).max(NOTHING);
    let steps = per_s.iter().enumerate().flat_map(|(second, &count)| {
        let from = second as f64;
        [(from, height(count)), (from + 1.0, height(count))]
    });
    steps.chain([(per_s.len() as f64, NOTHING)]).collect()
}
