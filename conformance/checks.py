"""What the Python runners share: one check after the other, rows of the record, free ports."""

import json
import os
import random
import socket
import subprocess
import time

_failed = []


def check(name):
    """Runs a check at once and prints `ok NAME` or `FAIL NAME: reason`."""

    def run(function):
        try:
            function()
            print(f"ok {name}", flush=True)
        except Exception as error:  # a check that fails in any way is a failed check
            _failed.append(name)
            print(f"FAIL {name}: {type(error).__name__}: {str(error)[:800]}", flush=True)

    return run


def status():
    """What the runner exits with: 1 if a check failed."""
    return 1 if _failed else 0


def free_ports(count):
    """Ports of loopback that stay free until they are used: below those that the kernel hands out by itself."""
    found = []
    for port in random.sample(range(20_000, 32_000), 1000):
        with socket.socket() as bound:
            if bound.connect_ex(("127.0.0.1", port)) != 0:
                found.append(port)
        if len(found) == count:
            return found
    raise AssertionError(f"only {len(found)} of {count} ports are free")


def kql(query, rows=1):
    """Asks for recorded rows until there are enough: a row may take a second to be queryable."""
    for _ in range(50):
        answer = subprocess.run(
            [os.environ["GATEHOUSE"], "query", "--config", os.environ["GATEHOUSE_CONFIG"],
             "--purpose", "conformance", "--output", "json", query],
            capture_output=True, text=True,
        )
        if answer.returncode != 0:
            raise AssertionError(answer.stderr)
        found = json.loads(answer.stdout)
        if len(found) >= rows:
            return found
        time.sleep(0.1)
    raise AssertionError(f"{len(found)} rows instead of {rows} for {query}")
