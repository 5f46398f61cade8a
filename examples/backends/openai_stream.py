"""Pipes what an OpenAI-compatible model says into an answer that grows on a user's screens.

    python3 openai_stream.py USER 'Why is the sky blue?'
"""

import json, os, sys, time
from urllib.parse import quote
from urllib.request import Request, urlopen

user, prompt = sys.argv[1:]
streams = f"{os.environ['TETHERLINE_URL']}/v1/users/{quote(user, safe='')}/streams"
api_key = open(os.environ["TETHERLINE_API_KEY_FILE"]).read().strip()
said, ending = "", {"status": "complete"}


def call(method, url, body=None, key=api_key, kind="application/json"):
    headers = {"Authorization": f"Bearer {key}", "Content-Type": kind}
    return urlopen(Request(url, body, headers, method=method), timeout=60)


def line(**fields):
    return json.dumps(fields).encode() + b"\n"


def model():
    """What it says, piece by piece."""
    url, key = f"{os.environ['OPENAI_BASE_URL']}/chat/completions", os.environ.get("OPENAI_API_KEY", "")
    messages = [{"role": "user", "content": prompt}]
    for event in call("POST", url, line(model=os.environ["CHAT_MODEL"], stream=True, messages=messages), key):
        data = event.removeprefix(b"data:").strip()
        if data == b"[DONE]":
            return
        chunk = json.loads(data) if event.startswith(b"data:") else {}
        if "error" in chunk:
            raise RuntimeError(json.dumps(chunk["error"]))
        for choice in chunk.get("choices") or []:
            yield (choice.get("delta") or {}).get("content") or ""
    raise RuntimeError("The model broke off.")


def lines(offset):
    """The text from `offset` on, each new piece as it comes, and how it ended."""
    global said, ending
    yield line(text=said.encode("utf-16-le")[2 * offset :].decode("utf-16-le"))  # It counts UTF-16 units.
    try:
        for piece in pieces:
            said += piece
            yield line(text=piece)
    except Exception as problem:  # Whatever goes wrong at the model's.
        ending = {"status": "failed", "message": {"error": str(problem)}}
    yield line(**ending)


opened, pieces = json.load(call("POST", streams, b"{}")), model()
answer = f"{streams}/{opened['message_uuid']}"
attempt = f"{answer}/{opened['attempt']}"
for tries in range(20):
    try:
        state = json.load(call("GET", answer))
        if state["phase"] == "stopping":
            call("DELETE", attempt)
        elif state["phase"] == "open" and state["attempt"] == opened["attempt"]:
            offset = state["next_offset"]
            call("POST", f"{attempt}/text?offset={offset}", lines(offset), kind="application/x-ndjson")
        break  # It is written, or somebody stopped it or began anew.
    except OSError:  # The request was refused or broke: look how far it got, and go on from there.
        time.sleep(min(0.1 * 2**tries, 5))
else:
    call("POST", f"{attempt}/finish", line(status="failed"))
