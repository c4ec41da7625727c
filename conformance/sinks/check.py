"""Calls through a gateway whose stream jobs bring them to ClickHouse and Blob Storage, which are killed midway.

Prints `ok NAME` or `FAIL NAME: reason` per check and exits 1 if one failed.
"""

import atexit
import base64
import datetime
import hashlib
import hmac
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
import xml.etree.ElementTree

from checks import check, free_ports, status

GATEHOUSE = os.environ["GATEHOUSE"]
WORK = pathlib.Path(sys.argv[1])
AZURITE = sys.argv[2]
HERE = pathlib.Path(__file__).parent
CHAT = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
# What Azurite documents as its account.
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
PORT, ADMIN, HEALTH, CLICKHOUSE, BLOBS = free_ports(5)


def wait(what, ask):
    """Until it is so."""
    for _ in range(600):
        found = ask()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within a minute: {what}")


def is_open(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def start(command, port):
    log = (WORK / "log").open("a")
    process = subprocess.Popen(command, stdout=log, stderr=log)
    atexit.register(process.kill)
    wait(f"{command[0]} listens", lambda: is_open(port))
    return process


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()


def start_clickhouse():
    folder = str(WORK / "clickhouse")
    command = [sys.executable, str(HERE / "clickhouse.py"), str(CLICKHOUSE), folder, "gatehouse", "house-key"]
    return start(command, CLICKHOUSE)


def start_blobs():
    command = [AZURITE, "--silent", "--skipApiVersionCheck", "--location", str(WORK / "blobs"),
               "--blobHost", "127.0.0.1", "--blobPort", str(BLOBS)]
    return start(command, BLOBS)


def clickhouse(query):
    target = f"http://127.0.0.1:{CLICKHOUSE}/?query={urllib.parse.quote(query + ' FORMAT JSONEachRow')}"
    request = urllib.request.Request(target, method="POST", data=b"", headers={
        "X-ClickHouse-User": "gatehouse", "X-ClickHouse-Key": "house-key"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return [json.loads(line) for line in answer.read().decode().splitlines()]
    except OSError:
        return []


def shared_access():
    """An account's signature that allows everything for an hour."""
    until = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    fields = {"sv": "2021-08-06", "ss": "b", "srt": "sco", "sp": "rwlc", "se": until}
    signed = "\n".join([ACCOUNT, fields["sp"], fields["ss"], fields["srt"], "", until, "", "", fields["sv"], "", ""])
    digest = hmac.new(base64.b64decode(ACCOUNT_KEY), signed.encode(), hashlib.sha256).digest()
    return urllib.parse.urlencode(fields | {"sig": base64.b64encode(digest).decode()})


def blob(path, method="GET", **parameters):
    query = "&".join([shared_access(), *(f"{name}={value}" for name, value in parameters.items())])
    request = urllib.request.Request(f"http://127.0.0.1:{BLOBS}/{ACCOUNT}/{path}?{query}", method=method,
                                     headers={"x-ms-version": "2021-08-06", "Content-Length": "0"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read().decode("utf-8-sig")


def blobs():
    """Every blob: its name and its rows."""
    listed = xml.etree.ElementTree.fromstring(blob("audit", restype="container", comp="list"))
    names = [name.text for name in listed.iter("Name")]
    return {name: [json.loads(line) for line in blob(f"audit/{name}").splitlines()] for name in names}


def gatehouse(*arguments):
    answer = subprocess.run([GATEHOUSE, *arguments], capture_output=True, text=True)
    if answer.returncode != 0:
        raise AssertionError(f"{arguments}: {answer.returncode}: {answer.stdout[-400:]}{answer.stderr[-400:]}")
    return answer.stdout


def call(times):
    for _ in range(times):
        body = json.dumps({"messages": [{"role": "user", "content": "hello"}]}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{PORT}{CHAT}", data=body, headers={
            "api-key": KEY, "Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=30).read()


(WORK / "house-key").write_text("house-key")
(WORK / "signature").write_text(shared_access())
house, store = start_clickhouse(), start_blobs()
blob("audit", "PUT", restype="container")
clickhouse("CREATE DATABASE audit")
sinks = [
    {"id": "house", "kind": "clickhouse", "url": f"http://127.0.0.1:{CLICKHOUSE}", "database": "audit",
     "user": "gatehouse", "password": {"file": "house-key"}},
    {"id": "blobs", "kind": "azure_blob", "url": f"http://127.0.0.1:{BLOBS}", "password": {"file": "signature"}},
]
# Every type there is, and all columns.
shape = ("| extend Real = 1.5, Spent = decimal(1.25), Took = 1500ms, Id = guid(82b8be2d-dfa7-4bd1-8f63-24ad26d31449), "
         "Small = int(7), Text = 'a\\\"b\\\\c'")
jobs = [
    {"id": "calls", "table": "Interactions", "sink": "house", "into": "calls", "query": shape, "from": "beginning"},
    {"id": "calls-blobs", "table": "Interactions", "sink": "blobs", "into": f"{ACCOUNT}/audit/calls", "from": "beginning"},
]
simulator = subprocess.Popen([GATEHOUSE, "simulate", "--port", "0", "--key", "sim-key"], stderr=subprocess.PIPE, text=True)
atexit.register(simulator.kill)
backend = re.search(r"http://\S+", simulator.stderr.readline())[0]
config = str(WORK / "gatehouse.yaml")
os.environ |= {
    "AZURE_OPENAI_API_KEY": "sim-key", "GATEHOUSE__SINKS": json.dumps(sinks),
    "GATEHOUSE__STREAM_JOBS": json.dumps(jobs), "GATEHOUSE__ADMIN__LISTEN": f"127.0.0.1:{ADMIN}",
    "GATEHOUSE__HEALTH__LISTEN": f"127.0.0.1:{HEALTH}",
}
KEY = gatehouse("init", "--config", config, "--backend-url", backend, "--listen", f"127.0.0.1:{PORT}").split()[0]
serve = [GATEHOUSE, "serve", "--config", config]
gateway = start(serve, PORT)
call(10)
wait("some rows arrive", lambda: clickhouse("SELECT 1 FROM audit.calls"))
kill(house)
# Azurite keeps nothing of the last seconds when it is killed.
store.terminate()
store.wait()
call(10)
kill(gateway)
gateway = start(serve, PORT)
call(10)
house, store = start_clickhouse(), start_blobs()
told = wait("the tables have all calls", lambda: (lambda rows: rows if len(rows) == 30 else None)(json.loads(gatehouse(
    "query", "--config", config, "--output", "json",
    "Interactions | project CorrelationId, LedgerSequence, TimeGenerated | order by LedgerSequence asc"))))
ids = [row["CorrelationId"] for row in told]


def in_clickhouse():
    rows = clickhouse("SELECT * FROM audit.calls FINAL ORDER BY LedgerSequence")
    return rows if len(rows) >= 30 else None


@check("sinks.clickhouse has every call once though it was killed midway")
def _():
    rows = wait("all calls are in ClickHouse", in_clickhouse)
    assert [row["CorrelationId"] for row in rows] == ids, rows
    keys = [row["_Key"] for row in rows]
    assert len(set(keys)) == 30 and all(key.startswith("calls:") for key in keys), keys


@check("sinks.clickhouse keeps every type")
def _():
    row = clickhouse("SELECT Real, toString(Spent) AS Spent, Took, Id, Small, Text, IsRequestSuccess, TimeGenerated, "
                     "toTypeName(TimeGenerated) AS Type FROM audit.calls FINAL ORDER BY LedgerSequence LIMIT 1")[0]
    at = row.pop("TimeGenerated").replace(" ", "T")
    assert told[0]["TimeGenerated"].startswith(at[:23]), (at, told[0])
    assert row == {"Real": 1.5, "Spent": "1.25", "Took": row["Took"], "Id": "82b8be2d-dfa7-4bd1-8f63-24ad26d31449",
                   "Small": 7, "Text": "a\"b\\c", "IsRequestSuccess": True, "Type": "Nullable(DateTime64(6, 'UTC'))"}, row
    assert int(row["Took"]) == 1_500_000, row


@check("sinks.azure_blob has every call once though it was away midway")
def _():
    def all_rows():
        found = blobs()
        rows = [row for name in sorted(found, key=lambda name: int(name.rsplit("/", 1)[1].split("-")[0])) for row in found[name]]
        return rows if len(rows) >= 30 else None

    rows = wait("all calls are in blobs", all_rows)
    assert [row["CorrelationId"] for row in rows] == ids, len(rows)
    name = next(iter(blobs()))
    assert re.fullmatch(r"calls/calls-blobs/[^/]+/\d{4}/\d{2}/\d{2}/\d+-\d+\.ndjson", name), name


@check("sinks.a wrong key is told and nothing is lost")
def _():
    (WORK / "house-key").write_text("another key")
    kill(gateway)
    serving = start(serve, PORT)
    call(1)

    def refused():
        listed = json.loads(gatehouse("stream-job", "list", "--config", config))
        return [job for job in listed if job["state"] == "refused" and "403 (516)" in job["reason"]]

    wait("the job says why", refused)
    (WORK / "house-key").write_text("house-key")
    kill(serving)
    start(serve, PORT)
    wait("the last call arrives", lambda: len(clickhouse("SELECT 1 FROM audit.calls FINAL")) == 31)


sys.exit(status())
