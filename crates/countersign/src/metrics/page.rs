//! A page of metrics on its way to text.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

/// Names and values, in order.
pub(super) type Labels = Vec<(&'static str, String)>;

/// What stands for a metric.
#[derive(Clone, Debug)]
enum Samples {
    /// They only rise.
    Counter(Vec<(Labels, u64)>),
    /// They rise and fall.
    Gauge(Vec<(Labels, f64)>),
    /// Sum, count, and how many are in each bucket up to its end.
    Histogram(f64, u64, Vec<(f64, u64)>),
}

#[derive(Clone, Debug)]
struct Metric {
    name: &'static str,
    help: &'static str,
    samples: Samples,
}

/// Metrics of one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Page(Vec<Metric>);

impl Page {
    /// Adds numbers that only rise; the name is without `_total`.
    pub(super) fn counter(&mut self, name: &'static str, help: &'static str, samples: Vec<(Labels, u64)>) {
        self.0.push(Metric { name, help, samples: Samples::Counter(samples) });
    }

    /// Adds numbers that rise and fall.
    pub(super) fn gauge(&mut self, name: &'static str, help: &'static str, samples: Vec<(Labels, f64)>) {
        self.0.push(Metric { name, help, samples: Samples::Gauge(samples) });
    }

    /// Adds a histogram.
    pub(super) fn histogram(
        &mut self,
        name: &'static str,
        help: &'static str,
        (sum, count, buckets): (f64, u64, Vec<(f64, u64)>),
    ) {
        self.0.push(Metric { name, help, samples: Samples::Histogram(sum, count, buckets) });
    }

    /// The page as OpenMetrics text.
    pub(super) fn text(self) -> String {
        let mut registry = Registry::with_prefix("countersign");
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        if let Err(error) = encode(&mut text, &registry) {
            tracing::error!(%error, "metrics not written");
        }
        text
    }
}

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for Metric { name, help, samples } in &self.0 {
            match samples {
                Samples::Counter(samples) => {
                    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
                    for (labels, value) in samples {
                        if labels.is_empty() {
                            metric.encode_counter::<NoLabelSet, _, u64>(value, None)?;
                        } else {
                            metric
                                .encode_family(labels)?
                                .encode_counter::<NoLabelSet, _, u64>(value, None)?;
                        }
                    }
                }
                Samples::Gauge(samples) => {
                    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
                    for (labels, value) in samples {
                        if labels.is_empty() {
                            metric.encode_gauge(value)?;
                        } else {
                            metric.encode_family(labels)?.encode_gauge(value)?;
                        }
                    }
                }
                Samples::Histogram(sum, count, buckets) => {
                    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
                    metric.encode_histogram::<NoLabelSet>(*sum, *count, buckets, None)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_open_metrics_and_values_are_escaped() {
        let mut page = Page::default();
        page.counter("requests", "Requests", vec![(vec![("door", "a\"b".to_owned())], 3)]);
        page.gauge("up", "Whether it is", vec![(vec![], 1.0)]);
        page.histogram("commit_seconds", "Commits", (0.5, 2, vec![(0.1, 1), (f64::INFINITY, 1)]));
        let text = page.text();
        for line in [
            "# TYPE countersign_requests counter",
            "countersign_requests_total{door=\"a\\\"b\"} 3",
            "countersign_up 1.0",
            "countersign_commit_seconds_bucket{le=\"0.1\"} 1",
            "countersign_commit_seconds_bucket{le=\"+Inf\"} 2",
            "countersign_commit_seconds_count 2",
            "# EOF",
        ] {
            assert!(text.lines().any(|one| one == line), "{line}: {text}");
        }
    }
}
