"""TLS of both listeners by sslyze's reading of Mozilla's intermediate profile, and the admin listener over it.

Prints `ok NAME` or `FAIL NAME: reason` per check and exits 1 if one failed.
"""

import http.client
import json
import os
import pathlib
import ssl
import subprocess
import sys
import warnings

ADMIN, DATA = os.environ["GATEHOUSE_ADMIN"], os.environ["GATEHOUSE_DATA"]
BEARER = {"Authorization": f"Bearer {os.environ['GATEHOUSE_TOKEN']}"}
CA = os.environ["GATEHOUSE_CA"]
passed = failed = 0
warnings.simplefilter("ignore", DeprecationWarning)


def check(name, function):
    global passed, failed
    try:
        function()
        passed += 1
        print(f"ok tls {name}", flush=True)
    except Exception as error:  # a check that fails in any way is a failed check
        failed += 1
        print(f"FAIL tls {name}: {type(error).__name__}: {str(error)[:2000]}", flush=True)


def ask(address, method, path, headers=None, body=None, **tls):
    host, port = address.split(":")
    context = ssl.create_default_context(cafile=CA)
    for option, value in tls.items():
        setattr(context, option, value)
    connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=20)
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    return answer.status, dict(answer.getheaders()), answer.read()


def intermediate(address):
    command = [
        pathlib.Path(sys.executable).parent / "sslyze",
        "--mozilla_config", "intermediate", "--certinfo_ca_file", CA,
        address.replace("127.0.0.1", "localhost"),
    ]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=120)
    report = outcome.stdout
    verdict = report[report.find("COMPLIANCE AGAINST"):]
    assert outcome.returncode == 0 and "OK - Compliant" in verdict, verdict or outcome.stderr


def administration():
    status, _, body = ask(ADMIN, "GET", "/admin/v1/me", BEARER)
    assert status == 200 and "administrator" in json.loads(body)["roles"], (status, body)
    status, _, _ = ask(ADMIN, "GET", "/admin/v1/me")
    assert status == 401, status


def pages():
    status, headers, body = ask(ADMIN, "GET", "/")
    assert status == 200 and headers["content-type"].startswith("text/html"), (status, headers)
    assert b"<script" in body, body[:200]


def plain_text():
    host, port = ADMIN.split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=20)
    try:
        connection.request("GET", "/admin/v1/me", headers=BEARER)
        answer = connection.getresponse()
    except (http.client.HTTPException, OSError):
        return
    raise AssertionError(f"plain text was answered with {answer.status}")


def old_versions():
    for address in (ADMIN, DATA):
        try:
            ask(address, "GET", "/", maximum_version=ssl.TLSVersion.TLSv1_1,
                minimum_version=ssl.TLSVersion.TLSv1)
        except (ssl.SSLError, OSError):
            continue
        raise AssertionError(f"{address} speaks TLS 1.1")


def call():
    path = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
    headers = {"api-key": os.environ["GATEHOUSE_KEY"], "Content-Type": "application/json"}
    body = json.dumps({"messages": [{"role": "user", "content": "over TLS"}]})
    status, _, answer = ask(DATA, "POST", path, headers, body)
    assert status == 200, (status, answer)


def command_line():
    command = [os.environ["GATEHOUSE"], "backend", "list", "--config", os.environ["GATEHOUSE_CONFIG"]]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert outcome.returncode == 0 and "eastus" in outcome.stdout, outcome.stderr


check("the listener of clients satisfies Mozilla's intermediate profile", lambda: intermediate(DATA))
check("the admin listener satisfies Mozilla's intermediate profile", lambda: intermediate(ADMIN))
check("a call over TLS is answered", call)
check("the admin API is served over TLS", administration)
check("the portal is served over TLS", pages)
check("the admin listener answers no plain text", plain_text)
check("older versions are refused", old_versions)
check("the command line finds the admin listener over TLS", command_line)
print(f"{passed} passed, {failed} failed")
sys.exit(1 if failed else 0)
