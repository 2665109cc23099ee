//! The samples over time, as an SVG.

use super::sample::Sample;
use anyhow::anyhow;
use plotters::prelude::*;
use std::path::Path;

const SIZE: (u32, u32) = (900, 1000);

/// A title, and the one line in the chart.
type Panel = (&'static str, fn(&Sample) -> f64);

const PANELS: [Panel; 6] = [
    ("resident memory of speed-layer, MB", |sample| sample.memory_mb),
    ("its open files and sockets", |sample| sample.handles as f64),
    ("sessions at PostgreSQL", |sample| sample.connections as f64),
    ("messages not yet written", |sample| sample.lag as f64),
    ("from sending to seeing, median, ms", |sample| sample.p50_ms),
    ("from sending to seeing, p99, ms", |sample| sample.p99_ms),
];

/// Draws all panels over the minutes, each from zero.
///
/// # Errors
/// A file that cannot be written.
pub fn draw(samples: &[Sample], file: &Path) -> anyhow::Result<()> {
    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    let failed = |error: &dyn std::fmt::Display| anyhow!("draw {}: {error}", file.display());
    root.fill(&WHITE).map_err(|error| failed(&error))?;
    for (area, panel) in root.split_evenly((PANELS.len(), 1)).iter().zip(&PANELS) {
        draw_panel(area, panel, samples).map_err(|error| failed(&error))?;
    }
    root.present().map_err(|error| failed(&error))
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn draw_panel(area: &Area<'_>, (title, of): &Panel, samples: &[Sample]) -> anyhow::Result<()> {
    let points: Vec<(f64, f64)> = samples
        .iter()
        .map(|sample| (sample.seconds / 60.0, of(sample)))
        .filter(|(_, value)| value.is_finite())
        .collect();
    let end = points.last().map_or(1.0, |(minutes, _)| *minutes);
    let top = points.iter().map(|(_, value)| *value).fold(1.0, f64::max) * 1.1;
    let mut chart = ChartBuilder::on(area)
        .caption(*title, ("sans-serif", 15))
        .margin(6)
        .x_label_area_size(22)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..end, 0.0..top)
        .map_err(|error| anyhow!("{error}"))?;
    let mut mesh = chart.configure_mesh();
    mesh.x_labels(13)
        .y_labels(4)
        .light_line_style(WHITE)
        .x_label_formatter(&|minutes| format!("{minutes:.0}"));
    mesh.draw().map_err(|error| anyhow!("{error}"))?;
    chart.draw_series(LineSeries::new(points, &BLUE)).map_err(|error| anyhow!("{error}"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_panel_is_drawn_with_its_title_even_where_a_value_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("soak.svg");
        let sample = |number: u32| Sample {
            seconds: f64::from(number) * 10.0,
            memory_mb: 40.0,
            handles: 30,
            threads: 7,
            connections: 2,
            lag: i64::from(number),
            written: 0,
            p50_ms: if number == 3 { f64::NAN } else { 20.0 },
            p99_ms: 40.0,
        };
        draw(&(0..60).map(sample).collect::<Vec<_>>(), &file).unwrap();
        let svg = std::fs::read_to_string(file).unwrap();
        for (title, _) in PANELS {
            assert!(svg.contains(title), "{title}");
        }
        assert!(!svg.contains("NaN"));
    }
}
