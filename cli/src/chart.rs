//! Draws two scales over time: what was, and what would have been. As SVG, or as PNG with a font that is built in, so
//! that the machine needs none.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};
use stormhook_shared::domain::time::Timestamp;
use stormhook_shared::what_if::{Comparison, Step};

const SIZE: (u32, u32) = (1_200, 480);
const WAS: RGBColor = RGBColor(120, 120, 120);
const WOULD: RGBColor = RGBColor(0, 114, 178);
/// What the built-in font is called in the picture.
const FONT: &str = "sans-serif";

/// Draws the scales of `comparison` into the file at `path`, whose ending says how: .svg or .png.
pub fn draw(comparison: &Comparison, path: &Path) -> Result<()> {
    register_font(FONT, FontStyle::Normal, dejavu::sans::regular())
        .map_err(|_| anyhow!("the built-in font cannot be read"))?;
    let ending = path.extension().and_then(|ending| ending.to_str());
    match ending.map(str::to_ascii_lowercase).as_deref() {
        Some("svg") => {
            let area = SVGBackend::new(path, SIZE).into_drawing_area();
            curves(&area, comparison).with_context(|| format!("write {}", path.display()))
        }
        Some("png") => png(comparison, path).with_context(|| format!("write {}", path.display())),
        _ => bail!("{} must end with .svg or .png", path.display()),
    }
}

fn png(comparison: &Comparison, path: &Path) -> Result<()> {
    let (width, height) = SIZE;
    let mut pixels = vec![0; width as usize * height as usize * 3];
    curves(
        &BitMapBackend::with_buffer(&mut pixels, SIZE).into_drawing_area(),
        comparison,
    )?;
    let mut encoder = png::Encoder::new(BufWriter::new(File::create(path)?), width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels)?;
    Ok(writer.finish()?)
}

fn curves<B: DrawingBackend>(area: &DrawingArea<B, Shift>, comparison: &Comparison) -> Result<()>
where
    B::ErrorType: 'static,
{
    let (was, would) = (&comparison.recorded.curve, &comparison.what_if.curve);
    let steps = || was.iter().chain(would);
    let times = || steps().map(|step| step.at);
    let (Some(begin), Some(end)) = (times().min(), times().max()) else {
        bail!("there is no scale to draw in that time");
    };
    let highest = steps().map(|step| step.scale).max().unwrap_or(0);
    let seconds = end.since(begin).as_secs_f64().max(1.0);
    let top = f64::from(highest) * 1.05 + 1.0;
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(area)
        .margin(16)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..seconds, 0.0..top)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .label_style((FONT, 14))
        .x_desc(format!("time (UTC), from {begin}"))
        .y_desc("scale")
        .x_label_formatter(&|seconds| clock(begin, *seconds))
        .y_label_formatter(&|scale| format!("{scale:.0}"))
        .draw()?;
    for (name, steps, colour) in [("was", was, WAS), ("would have been", would, WOULD)] {
        let line = stairs(steps, begin, seconds);
        chart
            .draw_series(LineSeries::new(line, colour.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 24, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .label_font((FONT, 14))
        .background_style(WHITE.mix(0.8))
        .border_style(WAS)
        .position(SeriesLabelPosition::UpperLeft)
        .draw()?;
    Ok(area.present()?)
}

/// A line that stays at each scale until the next.
fn stairs(steps: &[Step], begin: Timestamp, end: f64) -> Vec<(f64, f64)> {
    let mut line: Vec<(f64, f64)> = Vec::with_capacity(2 * steps.len() + 1);
    for step in steps {
        let at = step.at.since(begin).as_secs_f64();
        if let Some((_, before)) = line.last().copied() {
            line.push((at, before));
        }
        line.push((at, step.scale.into()));
    }
    if let Some((_, last)) = line.last().copied() {
        line.push((end, last));
    }
    line
}

fn clock(begin: Timestamp, seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "a place on an axis")]
    let millis = begin.as_millis().saturating_add((seconds * 1_000.0) as i64);
    let text = Timestamp::from_millis(millis).to_string();
    text.get(11..19).unwrap_or(&text).to_owned()
}
