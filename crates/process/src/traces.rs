//! Spans for OpenTelemetry, if the environment names who takes them (`OTEL_EXPORTER_OTLP_ENDPOINT`).

use std::{env, sync::OnceLock, thread, time::Duration};

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};

/// How long the end of a process waits for its last spans to be taken.
const FINISH_TIMEOUT: Duration = Duration::from_secs(1);
/// What its crates are called: others' spans are not ours to hand on.
const OURS: &str = "tetherline";

static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// Hands on every span of ours, whatever the log shows. Nobody waits for whoever takes them.
pub(crate) fn layer<S>() -> Option<impl Layer<S>>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    let names = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
    names.iter().find(|name| env::var_os(name).is_some_and(|value| !value.is_empty()))?;
    let provider = provider()?;
    let tracer = provider.tracer(OURS);
    let _ = PROVIDER.set(provider);
    let ours = filter_fn(|metadata| metadata.is_span() && metadata.target().starts_with(OURS));
    Some(tracing_opentelemetry::layer().with_tracer(tracer).with_filter(ours))
}

fn provider() -> Option<SdkTracerProvider> {
    // A blocking client may not be made where others are served.
    let exporter = thread::spawn(|| {
        // As everywhere here, a proxy that the environment names is not asked.
        let client = reqwest::blocking::Client::builder().no_proxy().build().ok()?;
        let exporter = SpanExporter::builder().with_http().with_http_client(client);
        exporter.with_protocol(Protocol::HttpBinary).build().ok()
    });
    let exporter = exporter.join().ok()??;
    let mut resource = Resource::builder();
    if env::var_os("OTEL_SERVICE_NAME").is_none() {
        resource = resource.with_service_name(OURS);
    }
    let provider = SdkTracerProvider::builder().with_resource(resource.build());
    Some(provider.with_batch_exporter(exporter).build())
}

pub(crate) fn finish() {
    if let Some(provider) = PROVIDER.get() {
        let _ = provider.shutdown_with_timeout(FINISH_TIMEOUT);
    }
}
