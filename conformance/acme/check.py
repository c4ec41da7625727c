"""A listener whose certificate comes from an ACME server: issued, kept sealed, renewed ahead of its end; the
certificate at hand is served while the authority is gone.

Prints `ok NAME` or `FAIL NAME: reason` per check and exits 1 if one failed.
"""

import http.client
import json
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

from cryptography import x509

from checks import free_ports

HERE = pathlib.Path(__file__).parent
AUTHORITY = pathlib.Path(os.environ["AUTHORITY_FOLDER"])
HOSTS = ["gateway.internal", "api.gateway.internal"]
LIMIT_S = 60
passed = failed = 0


def check(name, function):
    global passed, failed
    try:
        function()
        passed += 1
        print(f"ok acme {name}", flush=True)
    except Exception as error:  # a check that fails in any way is a failed check
        failed += 1
        print(f"FAIL acme {name}: {type(error).__name__}: {str(error)[:2000]}; {gateway_log()}", flush=True)


PORT, LISTENER, HEALTH = free_ports(3)
work = pathlib.Path(tempfile.mkdtemp())


def eventually(what, look):
    until = time.time() + LIMIT_S
    while True:
        try:
            found = look()
            if found:
                return found
            last = found
        except (OSError, AssertionError, ValueError) as error:
            last = error
        assert time.time() < until, f"{what}: not in {LIMIT_S} s: {last!r}; {gateway_log()}"
        time.sleep(0.1)


def gateway_log():
    return [line for line in (work / "log").read_text().splitlines() if " WARN " in line][-5:]


def start_authority(life_s):
    """Its certificates hold for so long."""
    environment = dict(os.environ, AUTHORITY_PORT=str(PORT), AUTHORITY_LISTENER_PORT=str(LISTENER),
                       AUTHORITY_LIFE_S=str(life_s))
    log = open(work / "authority", "a")
    process = subprocess.Popen([sys.executable, HERE / "authority.py"], env=environment, stdout=log, stderr=log)
    eventually("the authority is up", lambda: socket.create_connection(("127.0.0.1", PORT), 1).close() or True)
    return process


def start_gateway():
    listeners = [{"address": f"127.0.0.1:{LISTENER}", "tls": {"acme_hosts": HOSTS}}]
    acme = {"directory_url": f"https://127.0.0.1:{PORT}/directory", "accepts_terms": True,
            "contacts": ["mailto:certificates@example.org"], "egress": {"allow": ["127.0.0.0/8"]},
            "connection": {"ca_file": str(AUTHORITY / "ca.pem")}}
    environment = dict(os.environ, GATEHOUSE__EDGE__LISTENERS=json.dumps(listeners),
                       GATEHOUSE__ACME=json.dumps(acme), GATEHOUSE__HEALTH__LISTEN=f"127.0.0.1:{HEALTH}")
    command = [os.environ["GATEHOUSE"], "demo", "--port", "0", "--data-dir", work / "data", "--write-env", work / "env"]
    (work / "env").unlink(missing_ok=True)
    process = subprocess.Popen(command, env=environment, stdout=open(work / "log", "a"), stderr=subprocess.STDOUT)
    eventually("the gateway is up", lambda: (work / "env").exists() and health("/readyz?verbose"))
    return process


def stop(process):
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=30)


def health(path):
    connection = http.client.HTTPConnection("127.0.0.1", HEALTH, timeout=10)
    connection.request("GET", path)
    return connection.getresponse().read().decode()


def standing():
    [certificate] = json.loads(health("/readyz?verbose"))["certificates"]
    return certificate


def served(host=HOSTS[0], is_checked=True, protocols=("http/1.1",)):
    """The certificate that a client gets, checked against the authority's root and the host."""
    context = ssl.create_default_context(cafile=AUTHORITY / "ca.pem")
    if not is_checked:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(protocols)
    with socket.create_connection(("127.0.0.1", LISTENER), 5) as plain:
        with context.wrap_socket(plain, server_hostname=host) as session:
            return x509.load_der_x509_certificate(session.getpeercert(binary_form=True))


def issued():
    first = eventually("there is a certificate", served)
    for host in HOSTS:
        names = served(host).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert sorted(names.get_values_for_type(x509.DNSName)) == sorted(HOSTS), names
    assert served().serial_number == first.serial_number
    requests = (work / "authority").read_text()
    for step in ("newaccount", "neworders", "chall", "finalize"):
        assert step in requests.lower(), f"{step} is missing in {requests}"


def connected():
    """A connection of a client that believes the authority's root."""
    context = ssl.create_default_context(cafile=AUTHORITY / "ca.pem")
    plain = socket.create_connection(("127.0.0.1", LISTENER), 20)
    connection = http.client.HTTPConnection(HOSTS[0])
    connection.sock = context.wrap_socket(plain, server_hostname=HOSTS[0])
    return connection


def ask(connection):
    settings = dict(re.findall(r"^(\w+)=(.*)$", (work / "env").read_text(), re.M))
    path = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
    headers = {"api-key": settings["GATEHOUSE_KEY"].strip("'\""), "Content-Type": "application/json"}
    body = json.dumps({"messages": [{"role": "user", "content": "over TLS"}]})
    connection.request("POST", path, body, headers)
    answer = connection.getresponse()
    assert answer.status == 200, (answer.status, answer.read())
    answer.read()


def unheard():
    """Nobody is the authority yet."""
    certificate = eventually("the order fails", lambda: standing()["trouble"] and standing())
    assert "cannot connect" in certificate["trouble"], certificate
    assert certificate["ends_at_s"] is None and certificate["next_order_at_s"] > time.time(), certificate
    assert json.loads(health("/healthz"))["status"] == "alive" and gateway.poll() is None
    assert any("gateway::acme" in line and HOSTS[0] in line for line in gateway_log()), gateway_log()
    try:
        served()
    except (ssl.SSLError, OSError):
        return
    raise AssertionError("a certificate is served though there is none")


def shown():
    certificate = standing()
    assert certificate["hosts"] == HOSTS and not certificate["trouble"], certificate
    assert certificate["next_order_at_s"] < certificate["ends_at_s"], certificate
    name = f'gatehouse_certificate_expires_in_seconds{{listener="127.0.0.1:{LISTENER}"}} '
    [left] = [line[len(name):] for line in health("/metrics").splitlines() if line.startswith(name)]
    assert abs(time.time() + float(left) - certificate["ends_at_s"]) < 5, (left, certificate)


def sealed():
    shelf = work / "data" / "data" / "acme.sealed"
    shelf = shelf if shelf.exists() else next((work / "data").rglob("acme.sealed"))
    assert shelf.stat().st_mode & 0o077 == 0, oct(shelf.stat().st_mode)
    for file in (work / "data").rglob("*"):
        # What signs the ledger lies there openly, unless it is told where else.
        if file.is_file() and file.name != "checkpoint-key.pem":
            data = file.read_bytes()
            assert b"PRIVATE KEY" not in data and b"key_pkcs8" not in data, file


def no_proof_without_an_order():
    eventually("no order is under way", lambda: not standing()["trouble"])
    try:
        served(protocols=("acme-tls/1",), is_checked=False)
    except (ssl.SSLError, OSError):
        return
    raise AssertionError("a proof is shown though nobody ordered")


def renewed():
    before, connection = served().serial_number, connected()
    ask(connection)
    calls = 0
    while served().serial_number == before:
        ask(connected())
        calls += 1
        assert calls < 1_000, gateway_log()
        time.sleep(0.05)
    ask(connection)
    assert standing()["ends_at_s"] > time.time(), standing()


def served_on():
    global authority
    authority.kill()
    authority.wait()
    before = served(is_checked=False).serial_number
    eventually("the order fails", lambda: standing()["trouble"])
    assert served(is_checked=False).serial_number == before, "another certificate is served"
    kind = 'kind="certificate_ordered",severity="warning"'
    eventually("the failure is counted", lambda: kind in health("/metrics"))


def recalled():
    global authority, gateway
    stop(gateway)
    authority = start_authority(3_600)
    accounts = (work / "authority").read_text().lower().count("newaccount")
    gateway = start_gateway()
    eventually("there is a new certificate", lambda: standing()["ends_at_s"] > time.time() + 1_000)
    again = (work / "authority").read_text().lower().count("newaccount")
    assert again == accounts, "the account was made anew"
    before, orders = served().serial_number, (work / "authority").read_text().lower().count("finalize")
    stop(gateway)
    gateway = start_gateway()
    assert eventually("the kept one is served", served).serial_number == before
    assert (work / "authority").read_text().lower().count("finalize") == orders, "it was ordered anew"


authority = gateway = None
try:
    gateway = start_gateway()
    check("while nobody is the authority, health and log say so and nothing else is wrong", unheard)
    stop(gateway)
    # A third of it is for the order that renews it, on a machine that is busy.
    authority = start_authority(48)
    gateway = start_gateway()
    check("a certificate for two hosts is issued after a proof by tls-alpn-01", issued)
    check("a call over it is answered", lambda: ask(connected()))
    check("readiness and metrics tell when it ends", shown)
    check("keys lie on the disk sealed only", sealed)
    check("without an order no proof is shown", no_proof_without_an_order)
    check("it is renewed ahead of its end, and neither calls nor open connections are cut", renewed)
    check("while the authority is gone the certificate at hand is served", served_on)
    check("after a restart account and certificate are those that were kept", recalled)
finally:
    for process in (gateway, authority):
        if process and process.poll() is None:
            process.kill()
            process.wait()
print(f"{passed} passed, {failed} failed")
sys.exit(1 if failed else 0)
