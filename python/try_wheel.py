"""The wheel in the folder that is named, as somebody has it who installs it: `cargo xtask test --only packages`."""

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
PATIENCE_S = 60


def main(folder: str) -> None:
    (wheel,) = Path(folder).glob("*.whl")
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", wheel], check=True)
    with tempfile.TemporaryDirectory() as home:
        venv = Path(home, "venv")
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        pip = [venv / "bin/python", "-m", "pip", "install", "--quiet", "--no-index"]
        subprocess.run([*pip, wheel], check=True)
        where = "import tetherline; print(tetherline.binary())"
        binary = said([venv / "bin/python", "-c", where])
        assert Path(binary) == venv / "bin/tetherline", binary
        for shared in ("man/man1/tetherline-serve.1", "bash-completion/completions/tetherline"):
            assert Path(venv, "share", shared).stat().st_size > 1_000, shared
        for program in ([venv / "bin/tetherline"], [venv / "bin/python", "-m", "tetherline"]):
            assert subprocess.run([*program, "health", "--url", "http://127.0.0.1:1"], stderr=subprocess.DEVNULL).returncode == 1
            assert subprocess.run([*program, "nothing-of-the-kind"], stderr=subprocess.DEVNULL).returncode == 2
            with serving(program, home) as url:
                subprocess.run([*program, "health", "--url", url], check=True)
        with serving([venv / "bin/tetherline"], home) as url:
            application(url, Path(home, "data"))
    print("the wheel was installed and run, and so was the example for FastAPI")


def application(url: str, data: Path) -> None:
    """The example, asked as its pages and its own code would ask it."""
    os.environ.update(TETHERLINE=url, API_KEY=str(data / "api.key"), JWT_SECRET=str(data / "jwt.secret"))
    sys.path.insert(0, str(HERE))
    import httpx
    from example import app
    from fastapi.testclient import TestClient

    backend = TestClient(app)
    assert backend.post("/orders/ada/7").json() == {"seq": 1}
    assert backend.post("/orders/ada/7").json() == {"seq": 1}, "the same order twice is one message"
    token = backend.post("/tetherline-token/ada").json()["token"]
    # Without an upgrade the same URL says what is to be said of the token.
    good = httpx.get(f"{url}/ws/user/ada", headers={"Authorization": f"Bearer {token}"})
    assert good.status_code == 426, good.text
    wrong = httpx.get(f"{url}/ws/user/ada", headers={"Authorization": f"Bearer {token}x"})
    assert wrong.status_code == 401, wrong.text


@contextmanager
def serving(program: list, home: str):
    arguments = ["serve", "--data", str(Path(home, "data")), "--listen", "127.0.0.1:0"]
    server = subprocess.Popen([*program, *arguments], stdout=subprocess.PIPE, text=True)
    try:
        yield server.stdout.readline().removeprefix("listening on ").strip()
        server.send_signal(signal.SIGTERM)
        assert server.wait(PATIENCE_S) == 0, server.returncode
    finally:
        server.kill()
        server.wait()


def said(command: list) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main(*sys.argv[1:])
