"""Pipes what an OpenAI-compatible model says into a stream on a user's screens.

    python3 openai_stream.py USER 'Why is the sky blue?'
"""

import io, json, os, sys, time
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from itertools import chain
from select import select
from urllib.parse import quote, urlsplit
from uuid import uuid4

user, prompt = sys.argv[1:]
streams = f"{os.environ['TETHERLINE_URL'].rstrip('/')}/v1/users/{quote(user, safe='')}/streams"
api_key = open(os.environ["TETHERLINE_API_KEY_FILE"]).read().strip()
answer = uuid4()  # A name of ours: opening it can be repeated.
said, ending, is_full = "", {"status": "complete"}, False
CUT = {"length": "length", "max_tokens": "length", "content_filter": "content_filter"}
TROUBLE, LATER = (OSError, HTTPException), (408, 429, 500, 502, 503, 504)


def line(**fields):
    return json.dumps(fields).encode() + b"\n"


def ask(method, url, body=None, key=api_key, kind="application/json"):
    """One request, redirected nowhere. A body that is still to come ends when the answer is there."""
    to = urlsplit(url)
    scheme = HTTPSConnection if to.scheme == "https" else HTTPConnection
    connection = scheme(to.netloc, timeout=120)

    def unanswered():
        for piece in body:
            if select([connection.sock], [], [], 0)[0]:
                return
            yield piece

    is_here = body is None or isinstance(body, bytes)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": kind}
    target = url.partition(to.netloc)[2]
    connection.request(method, target, body if is_here else unanswered(), headers)
    return connection.getresponse()


# ---- The model ----


def events(response):
    """The JSON of its events. A server that does not stream sends one, and nothing around it."""
    text, data = io.TextIOWrapper(response, "utf-8-sig", "replace"), ""
    for line in chain(text, ["\n"]):
        if line.lstrip().startswith("{"):
            yield line + text.read()
            yield "[DONE]"
        elif line.startswith("data:"):
            data += line.removeprefix("data:")
        elif line == "\n" and data.strip():
            yield data
            data = ""


def words(choice, has_spoken):
    """A whole message behind its pieces repeats them. Content may be in parts."""
    message = {} if has_spoken else choice.get("message")
    content = (choice.get("delta") or message or {}).get("content") or choice.get("text") or ""
    return content if isinstance(content, str) else "".join(part.get("text") or "" for part in content)


def model():
    """What it says, piece by piece, to its end: some give their reason to end early, or with every piece."""
    url, key = f"{os.environ['OPENAI_BASE_URL']}/chat/completions", os.environ.get("OPENAI_API_KEY", "")
    messages = [{"role": "user", "content": prompt}]
    response = ask("POST", url, line(model=os.environ["CHAT_MODEL"], stream=True, messages=messages), key)
    if response.status != 200:
        raise RuntimeError(f"The model refused to answer (HTTP {response.status}).")
    has_spoken, half, reason, went_on = False, "", None, False
    try:
        for data in map(str.strip, events(response)):
            if data == "[DONE]":
                reason, went_on = reason or "", False
                break
            chunk = json.loads(data)
            if chunk.get("error") or chunk.get("object") == "error":
                raise RuntimeError(json.dumps(chunk.get("error") or chunk))
            for choice in (chunk.get("choices") or [])[:1]:
                text = half + words(choice, has_spoken)
                # Half of a character may come now, and half with the next piece.
                text, half = (text[:-1], text[-1]) if "\ud800" <= text[-1:] <= "\udbff" else (text, "")
                if text:
                    yield text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
                has_spoken = has_spoken or bool(text.strip())
                given = choice.get("finish_reason")
                if text and not given:
                    reason = None
                elif given is not None:
                    reason, went_on = given, bool(text) and reason is not None
    except TROUBLE:
        if went_on:
            reason = None
    if half:
        yield "\ufffd"
    if reason is None:
        raise RuntimeError("The model broke off.")
    if not has_spoken:
        raise RuntimeError(f"The model said nothing ({reason}).")
    if reason in CUT:
        ending["message"] = {"finish_reason": CUT[reason]}


# ---- The answer ----


class Refused(Exception):
    """Tetherline's own no. It would say the same again, and says why."""


def tell(method, path="", body=None, kind="application/json"):
    """What Tetherline says to it. A proxy's page is no answer, and no more is "later": say it again."""
    response = ask(method, f"{streams}{path}", body, kind=kind)
    try:
        answered = json.loads(response.read())
        if response.status < 300:
            return answered
        code = answered["error"]["code"]
    except (ValueError, LookupError, TypeError):
        code = None
    if code is None or response.status in LATER:
        raise OSError(f"HTTP {response.status}")
    raise Refused(code)


def lines(offset):
    """The text from `offset` on, each new piece as it comes, and how it ended."""
    global said, ending
    if not is_full:
        yield line(text=said.encode("utf-16-le")[2 * offset :].decode("utf-16-le"))  # It counts UTF-16 units.
        try:
            for piece in pieces:
                said += piece
                yield line(text=piece)
        except Exception as problem:  # Whatever goes wrong at the model's.
            words = str(problem) if isinstance(problem, RuntimeError) else "The model's answer makes no sense."
            ending = {"status": "failed", "message": {"error": words}}
    yield line(**ending)


pieces, attempt, offset, tries = model(), None, 0, 0
while True:
    try:
        attempt = attempt or tell("POST", body=line(message_uuid=str(answer)))["attempt"]
        state = tell("GET", f"/{answer}")
        if state["phase"] == "stopping" and state["attempt"] == attempt:
            tell("DELETE", f"/{answer}/{attempt}")
        elif state["phase"] == "open" and state["attempt"] == attempt:
            tries = 0 if state["next_offset"] > offset else tries
            offset = state["next_offset"]
            tell("POST", f"/{answer}/{attempt}/text?offset={offset}", lines(offset), "application/x-ndjson")
        break  # It is written, or somebody stopped it or began anew.
    except Refused as refusal:
        if str(refusal) == "message_too_large":
            is_full, ending = True, {"status": "complete", "message": {"finish_reason": "length"}}
        elif str(refusal) != "conflict" or tries == 20:
            sys.exit(f"Tetherline refused the answer: {refusal}.")
    except TROUBLE as trouble:
        if tries == 20:
            sys.exit(f"Tetherline cannot be reached: {trouble}.")
    tries += 1  # Look how far it got, and go on from there.
    time.sleep(min(0.1 * 2**tries, 5))
