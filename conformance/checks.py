"""What the Python runners share: one check after the other, and rows of the record."""

import json
import os
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
