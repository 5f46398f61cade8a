use anyhow::Result;
use plotters::{
    prelude::{IntoDrawingArea as _, PathElement, Rectangle, SVGBackend, Text},
    style::{
        Color as _, IntoFont as _, RGBColor, TextStyle,
        text_anchor::{HPos, Pos, VPos},
    },
};

use super::{Bars, FONT, GRID, INK, Measure, OTHERS, OURS, QUIET, WRITTEN_HERE};
use crate::{peer::Peer, report::number};

const WIDTH: i32 = 820;
const MARGIN: i32 = 16;
const TITLE: i32 = 48;
const ROW: i32 = 30;
const BAR: i32 = 18;
/// So many times as long as the next.
const FAR_LONGER: f64 = 3.0;
/// For the names on the left, and the figures on the right.
const NAMES: i32 = 350;
const FIGURES: i32 = 100;

/// Horizontal bars, each with its name, its figure and its spread.
pub(super) fn draw(plot: &Bars, bars: &[(Peer, Measure)]) -> Result<String> {
    let bottom = TITLE + ROW * i32::try_from(bars.len())?;
    let height = bottom + MARGIN;
    let mut svg = String::new();
    {
        let backend = SVGBackend::with_string(&mut svg, (WIDTH as u32, height as u32));
        let area = backend.into_drawing_area();
        let most = end_of_axis(bars);
        let length = f64::from(WIDTH - NAMES - FIGURES - MARGIN);
        let x = |figure: f64| NAMES + (figure.min(most) / most * length).round() as i32;
        area.draw(&Text::new(plot.title, (MARGIN, MARGIN), text(21, INK, HPos::Left, VPos::Top)))?;
        for (row, (peer, bar)) in (0..).zip(bars) {
            let middle = TITLE + ROW * row + ROW / 2;
            let colour = colour(*peer);
            let name = peer.title().replace(['*', '`'], "");
            let style = text(18, INK, HPos::Right, VPos::Center);
            area.draw(&Text::new(name, (NAMES - 10, middle), style))?;
            let corners = [(NAMES, middle - BAR / 2), (x(bar.median), middle + BAR / 2)];
            area.draw(&Rectangle::new(corners, colour.filled()))?;
            let (least, end) = (x(bar.least), x(bar.most));
            if bar.most > most {
                for at in [end - 24, end - 17] {
                    let cut = [(at - 3, middle + BAR / 2 + 3), (at + 3, middle - BAR / 2 - 3)];
                    area.draw(&PathElement::new(cut, INK.stroke_width(2)))?;
                }
            } else if end > least + 1 {
                let line = [(least, middle), (end, middle)];
                area.draw(&PathElement::new(line, INK.stroke_width(1)))?;
                for at in [least, end] {
                    let tick = [(at, middle - 4), (at, middle + 4)];
                    area.draw(&PathElement::new(tick, INK.stroke_width(1)))?;
                }
            }
            let figure = format!("{}{}", number(bar.median), plot.unit);
            let style = text(18, QUIET, HPos::Left, VPos::Center);
            area.draw(&Text::new(figure, (end.max(x(bar.median)) + 8, middle), style))?;
        }
        let axis = [(NAMES, TITLE), (NAMES, bottom)];
        area.draw(&PathElement::new(axis, GRID.stroke_width(1)))?;
        area.present()?;
    }
    Ok(svg)
}

/// Where the longest bar ends; one that is far longer than all others is cut there.
fn end_of_axis(bars: &[(Peer, Measure)]) -> f64 {
    let mut all: Vec<f64> = bars.iter().map(|(_, bar)| bar.most).collect();
    all.sort_by(f64::total_cmp);
    match all[..] {
        [.., second, first] => first.min(second * FAR_LONGER),
        [only] => only,
        [] => 1.0,
    }
}

fn colour(peer: Peer) -> RGBColor {
    if peer.is_ours() {
        OURS
    } else if peer.is_written_here() {
        WRITTEN_HERE
    } else {
        OTHERS
    }
}

pub(super) fn text(size: i32, colour: RGBColor, h: HPos, v: VPos) -> TextStyle<'static> {
    TextStyle {
        font: (FONT, size).into_font(),
        color: colour.to_backend_color(),
        pos: Pos::new(h, v),
    }
}
