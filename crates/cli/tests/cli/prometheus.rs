//! A real Prometheus scrapes the real server; rules, their tests and the dashboard are held by it and by `promtool`.

use std::{
    collections::BTreeSet,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use reqwest::{Client, Url};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{PATIENCE, Process, Watched, text};

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// A Prometheus that looks at a server four times a second.
struct Prometheus {
    _process: Process,
    _folder: TempDir,
    http: Client,
    url: String,
}

impl Prometheus {
    fn start(admin: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let target = admin.trim_start_matches("http://");
        let rules = repository("deploy/prometheus/tetherline.rules.yml");
        let config = serde_json::json!({
            "global": { "scrape_interval": "250ms", "scrape_timeout": "250ms", "evaluation_interval": "250ms" },
            "rule_files": [text(&rules)],
            "scrape_configs": [{ "job_name": "tetherline", "static_configs": [{ "targets": [target] }] }],
        });
        // JSON is YAML.
        fs::write(folder.path().join("prometheus.yml"), config.to_string()).unwrap();
        // It says nowhere which port it took, so it is told one that was free just now.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", text(&folder.path().join("prometheus.yml"))))
            .arg(format!("--storage.tsdb.path={}", text(&folder.path().join("data"))))
            .arg(format!("--web.listen-address={port}"))
            .stdin(Stdio::null());
        let process = Process::spawn(command);
        let http = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        Self { _process: process, _folder: folder, http, url: format!("http://{port}") }
    }

    async fn asked(&self, path: &str, query: &[(&str, &str)]) -> Option<Value> {
        let url = Url::parse_with_params(&format!("{}/api/v1/{path}", self.url), query).unwrap();
        let answer = self.http.get(url).send().await.ok()?.text().await.ok()?;
        serde_json::from_str(&answer).ok()
    }

    /// What an expression comes to.
    async fn value(&self, expression: &str) -> Option<f64> {
        let answer = self.asked("query", &[("query", expression)]).await?;
        answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    }

    async fn until(&self, expression: &str, expected: f64) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let value = self.value(expression).await;
            if value.is_some_and(|value| (value - expected).abs() < 1e-9) {
                return;
            }
            assert!(Instant::now() < deadline, "{expression} is {value:?}, not {expected}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn metrics(&self) -> BTreeSet<String> {
        let answer = self.asked("label/__name__/values", &[]).await.unwrap();
        let names = answer["data"].as_array().unwrap();
        names.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    }

    /// The rules, each of which has to have been evaluated.
    async fn rules(&self) -> Vec<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.asked("rules", &[]).await.unwrap();
            let rules =
                answer["data"]["groups"][0]["rules"].as_array().cloned().unwrap_or_default();
            if !rules.is_empty() && rules.iter().all(|rule| rule["health"] == "ok") {
                return rules;
            }
            assert!(Instant::now() < deadline, "{answer}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// The metrics that an expression names.
fn named_in(expression: &str) -> impl Iterator<Item = &str> {
    let is_of_a_name = |char: char| char.is_ascii_alphanumeric() || char == '_';
    let words = expression.split(move |char| !is_of_a_name(char));
    words.filter(|word| word.starts_with("tetherline_") || word.starts_with("process_"))
}

/// Each `expr` of a dashboard, with its variables in.
fn expressions(dashboard: &Value, found: &mut Vec<String>) {
    match dashboard {
        Value::Object(fields) => {
            if let Some(Value::String(expression)) = fields.get("expr") {
                found.push(expression.replace("$__rate_interval", "1m").replace("$instance", ".*"));
            }
            fields.values().for_each(|value| expressions(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        _ => {}
    }
}

fn promtool(arguments: &[&str], input: Option<&str>) {
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(repository("deploy/prometheus"));
    let input = input.map(|input| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("input"), input).unwrap();
        folder
    });
    if let Some(folder) = &input {
        command.stdin(fs::File::open(folder.path().join("input")).unwrap());
    }
    let said = command.output().unwrap();
    let words = [said.stdout, said.stderr].concat();
    assert!(said.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&words));
}

#[test]
fn rules_and_configuration_are_what_promtool_takes() {
    promtool(&["check", "config", "prometheus.yml"], None);
    promtool(&["check", "rules", "tetherline.rules.yml"], None);
    promtool(&["test", "rules", "tetherline.rules.test.yml"], None);
}

#[tokio::test]
async fn a_real_prometheus_sees_what_happens_and_knows_each_name_of_rules_and_dashboard() {
    let watched = Watched::start(&[]);
    watched.server.publish("ada", r#"{"n":1}"#);
    watched.server.publish("ada", r#"{"n":2}"#);
    let tail = watched.server.tail("ada", &[]);
    assert_eq!(tail.until_caught_up(), [1, 2]);
    let scrape = reqwest::get(format!("{}/metrics", watched.admin)).await.unwrap();
    promtool(&["check", "metrics"], Some(&scrape.text().await.unwrap()));

    let prometheus = Prometheus::start(&watched.admin);
    prometheus.until(r#"up{job="tetherline"}"#, 1.0).await;
    prometheus.until(r#"tetherline_publishes_total{outcome="published"}"#, 2.0).await;
    prometheus.until("tetherline_connections", 1.0).await;
    prometheus.until("tetherline_deliveries_total", 2.0).await;
    prometheus.until("tetherline_ready", 1.0).await;
    prometheus.until(r#"count(tetherline_commit_seconds_bucket{le="+Inf"})"#, 1.0).await;
    watched.server.publish("ada", r#"{"n":3}"#);
    prometheus.until(r#"tetherline_publishes_total{outcome="published"}"#, 3.0).await;

    let known = prometheus.metrics().await;
    let tests =
        fs::read_to_string(repository("deploy/prometheus/tetherline.rules.test.yml")).unwrap();
    let document = fs::read_to_string(repository("docs/operations.md")).unwrap();
    let rules = prometheus.rules().await;
    for rule in &rules {
        let name = rule["name"].as_str().unwrap();
        for metric in named_in(rule["query"].as_str().unwrap()) {
            assert!(known.contains(metric), "{name} names {metric}, which is none");
        }
        for tested in ["fires", "stays quiet"] {
            assert!(tests.contains(&format!("{name} {tested}")), "no test that {name} {tested}");
        }
        let annotations = &rule["annotations"];
        assert!(annotations["summary"].is_string() && annotations["description"].is_string());
        let runbook = format!("docs/operations.md#{}", name.to_ascii_lowercase());
        assert_eq!(annotations["runbook"], runbook, "{name}");
        assert!(document.contains(&format!("\n### {name}\n")), "{name} has no heading");
    }
    let headings = document.matches("\n### Tetherline").count();
    assert_eq!(headings, rules.len(), "a heading for an alert that is none");

    let dashboard = fs::read_to_string(repository("deploy/grafana/tetherline.json")).unwrap();
    let mut asked = Vec::new();
    expressions(&serde_json::from_str(&dashboard).unwrap(), &mut asked);
    assert!(asked.len() > 30, "{asked:?}");
    for expression in asked {
        let mut names = named_in(&expression).peekable();
        assert!(names.peek().is_some(), "{expression} names no metric");
        for metric in names {
            assert!(known.contains(metric), "{expression} names {metric}, which is none");
        }
        let answer = prometheus.asked("query", &[("query", &expression)]).await.unwrap();
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
    }

    drop(watched);
    prometheus.until(r#"up{job="tetherline"}"#, 0.0).await;
    prometheus
        .until(r#"count(ALERTS{alertname="TetherlineDown",alertstate="pending"})"#, 1.0)
        .await;
}
