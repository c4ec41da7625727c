"""The first ten minutes with Gatehouse, one step after the other, as docs/walk.md tells them.

Prints `ok NAME` or `FAIL NAME: reason` per step and exits 1 if one failed.
"""

import http.server
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import openai

from checks import free_ports

ENDPOINT = os.environ["GATEHOUSE_ENDPOINT"]
CONFIG = Path(os.environ["GATEHOUSE_CONFIG"])
ADMIN = "http://" + re.search(r"^admin:\n\s+listen: (\S+)$", CONFIG.read_text(), re.M)[1]
TOKEN = (CONFIG.parent / "admin-token").read_text().strip()
SAMPLES = Path(__file__).parents[2] / "crates/gatehouse/src/demo"
# The whole walk may take so long, in seconds.
WALK_MAX = 60
began = time.monotonic()
failures = 0
cleanups = []


def step(name):
    """Takes a step at once and prints how it went."""

    def run(function):
        global failures
        started = time.monotonic()
        try:
            function()
            print(f"ok walk: {name} ({time.monotonic() - started:.1f} s)", flush=True)
        except Exception as error:  # a step that fails in any way is a failed step
            failures += 1
            print(f"FAIL walk: {name}: {type(error).__name__}: {str(error)[:800]}", flush=True)

    return run


def gatehouse(*arguments, expected=0, text=None, env=None):
    """Runs a command of the binary; answers what it prints."""
    done = subprocess.run(
        [os.environ["GATEHOUSE"], *map(str, arguments)], capture_output=True, text=True, input=text,
        env=None if env is None else os.environ | env, timeout=60,
    )
    assert done.returncode == expected, f"{arguments[:2]}: {done.returncode}: {done.stderr}"
    return done.stdout


def eventually(what, ask, seconds=20):
    """Asks again and again until there is an answer."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = ask()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what}")


def admin(path):
    request = urllib.request.Request(ADMIN + path, headers={"authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def kql(query):
    return json.loads(gatehouse("query", "--config", CONFIG, "--purpose", "the walk", "--output", "json", query))


def reload_with(old, new):
    """Changes the configuration of the running gateway."""
    text = CONFIG.read_text()
    assert old in text, f"no {old!r} in the configuration"
    CONFIG.write_text(text.replace(old, new, 1))
    gatehouse("reload", "--config", CONFIG)


class Tail:
    """The portal's live tail: what its screen `Live tail` is sent, with the times it came."""

    def __init__(self):
        request = urllib.request.Request(
            ADMIN + "/admin/v1/live", headers={"authorization": f"Bearer {TOKEN}"})
        self.stream = urllib.request.urlopen(request, timeout=60)
        self.rows = []
        threading.Thread(target=self.follow, daemon=True).start()

    def follow(self):
        for line in self.stream:
            if line.startswith(b"data: "):
                at = time.monotonic()
                self.rows += [(at, row) for row in json.loads(line[6:])]


class Webhook:
    """Where alerts are delivered to."""

    def __init__(self):
        received = self.received = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                received.append((time.monotonic(), dict(self.headers), json.loads(body)))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_port}/alerts"
        threading.Thread(target=server.serve_forever, daemon=True).start()


def sdk(key=os.environ["GATEHOUSE_KEY"], retries=0, note=None):
    hooks = {"response": [note]} if note else {}
    return openai.AzureOpenAI(
        azure_endpoint=ENDPOINT, api_key=key, api_version="2024-10-21", max_retries=retries,
        http_client=openai.DefaultHttpxClient(event_hooks=hooks),
    )


def ask(client, text):
    return client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": text}], max_tokens=20)


@step("a first call with the official SDK is audited, and seen in the live tail")
def _():
    tail = Tail()
    # The first look at the tables is over, so that what comes is pushed.
    ask(sdk(), "nobody waits for this one")
    eventually("the tail is open", lambda: tail.rows)
    seen = len(tail.rows)
    answer = ask(sdk(), "Which islands are warm in May?")
    ended = time.monotonic()
    at, row = eventually("the call is in the tail", lambda: tail.rows[seen:])[0]
    print(f"   seen {(at - ended) * 1000:.0f} ms after its end")
    assert (row["ResponseCode"], row["DeploymentName"]) == (200, "gpt-4o"), row
    assert row["TotalTokens"] == answer.usage.total_tokens, row
    messages = kql(f"Messages | where CorrelationId == '{row['CorrelationId']}' | project Role, Content")
    said = {message["Role"]: message["Content"] for message in messages}
    assert said["user"] == "Which islands are warm in May?", messages
    assert said["assistant"] == answer.choices[0].message.content, messages


@step("both sample queries of the reference architecture answer as published")
def _():
    usage = eventually("there is usage", lambda: kql((SAMPLES / "usage_by_ip_and_model.kql").read_text()))
    assert all("127.0.0.1" in row.values() for row in usage), usage
    prompts = kql((SAMPLES / "prompt_usage.kql").read_text())
    assert {row["model"] for row in prompts} == {"gpt-4o"}, prompts
    assert all(int(row["prompttokens"]) > 0 and row["prompttext"] for row in prompts), prompts


@step("a limit refuses with 429; the SDK waits as long as it is told and succeeds; a spent quota is final")
def _():
    product = CONFIG.parent / "walk.yaml"
    product.write_text("id: walk\nlimits:\n  - { calls: 2, renewal_period_s: 3 }\n")
    gatehouse("product", "put", "--config", CONFIG, "--file", product)
    key = gatehouse("subscription", "create", "--config", CONFIG, "--product", "walk", "walk").split()[0]
    answers = []
    client = sdk(key, retries=2, note=lambda answer: answers.append(
        (time.monotonic(), answer.status_code, answer.headers)))
    # Two more than the limit lets in, however the period falls.
    for number in range(5):
        ask(client, f"call {number}")
    statuses = [status for _, status, _ in answers]
    assert statuses.count(200) == 5 and 429 in statuses, statuses
    for (refused_at, status, headers), (then, _, _) in zip(answers, answers[1:]):
        if status == 429:
            told = float(headers["retry-after-ms"]) / 1000
            assert 0 < told <= 4 and then - refused_at >= told, (told, then - refused_at)
    product.write_text("id: walk\nlimits:\n  - { call_quota: 1, call_quota_period: daily }\n")
    gatehouse("product", "put", "--config", CONFIG, "--file", product)
    del answers[:]
    try:
        for number in range(2):
            ask(client, f"today, {number}")
        raise AssertionError("a spent quota let a call in")
    except openai.PermissionDeniedError as error:
        assert "quota" in error.message, error
    assert [status for _, status, _ in answers] == [200, 403], answers


@step("an alert on those refusals reaches a webhook within a minute")
def _():
    webhook = Webhook()
    reload_with("backends:\n", f"""alerts:
  sinks: [{{ id: walk, kind: webhook, url: "{webhook.url}" }}]
  rules:
    - id: walk-refusals
      query: Interactions | where ApimSubscriptionId == 'walk' and ResponseCode in (403, 429)
      threshold: 1
      frequency_s: 5
      severity: 1
backends:
""")
    changed = time.monotonic()
    def delivered():
        essentials = [(at, body["data"]["essentials"]) for at, _, body in webhook.received]
        return [found for found in essentials if found[1]["alertRule"] == "walk-refusals"]
    at, essentials = eventually("the webhook is called", delivered, seconds=60)[0]
    assert at - changed < 60
    assert (essentials["severity"], essentials["monitorCondition"]) == ("Sev1", "Fired"), essentials
    history = lambda: kql("Alerts | where RuleId == 'walk-refusals' and State == 'Delivered'")
    assert eventually("it is in the history", history)[0]["Target"] == "walk"


@step("a backend that dies is left alone, and no caller notices")
def _():
    [port] = free_ports(1)
    third = subprocess.Popen([os.environ["GATEHOUSE"], "simulate", "--port", str(port)],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    cleanups.append(third.kill)
    eventually("the third backend listens", lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0)
    reload_with("backends:\n", f"""backends:
  - id: third
    base_url: http://127.0.0.1:{port}
    deployments: [gpt-4o]
    probe: {{ path: /status, interval_ms: 500, timeout_ms: 500 }}
""")
    client = sdk()
    def third_answers():
        ask(client, "who answers?")
        return kql("Interactions | where BackendId == 'third' and ResponseCode == 200 | take 1")
    eventually("the third backend answers calls", third_answers)
    third.send_signal(signal.SIGKILL)
    third.wait()
    for number in range(12):
        ask(client, f"after the failure, {number}")
    def ejected():
        state = next(one for one in admin("/admin/v1/backends")["backends"] if one["id"] == "third")
        return not state["is_up"]
    eventually("the dead backend is ejected", ejected)
    rows = lambda: kql("BackendHealth | where BackendId == 'third' and State in ('open', 'down')")
    eventually("that is on record", rows)


@step("the audit proves that nothing is missing or changed")
def _():
    report = json.loads(gatehouse("audit", "verify", "--config", CONFIG, "--json"))
    assert report["is_clean"] and report["open"] == 0, report
    ended = report["closed"] + report["refused"]
    eventually(f"{ended} rows", lambda: kql("Interactions | count")[0]["Count"] == ended)


@step("a configuration for real backends is generated, and holds")
def _():
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "gatehouse.yaml"
        url = "https://my-resource.openai.azure.com"
        key = gatehouse("init", "--config", file, "--backend-url", url).strip()
        assert len(key) >= 32 and url in file.read_text()
        assert key not in file.read_text(), "the key itself is in the file"
        gatehouse("config", "validate", "--config", file, env={"AZURE_OPENAI_API_KEY": "x"})
        file.write_text(file.read_text().replace("durability: strict", "durabilty: strict"))
        gatehouse("config", "validate", "--config", file, expected=78)


@step(f"all of it takes no more than {WALK_MAX} seconds")
def _():
    taken = time.monotonic() - began
    assert taken <= WALK_MAX, f"{taken:.0f} s"


for cleanup in cleanups:
    cleanup()
sys.exit(1 if failures else 0)
