"""Runs schemathesis against the admin listener and prints a line for each operation.

Every operation of the document is asked with data that fits it and data that does not; no answer may be a
5xx, of a kind that the document does not name, or take what the document forbids. The seed is fixed.
"""

import os
import pathlib
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

HERE = pathlib.Path(__file__).parent
SEED = "20250101"
EXAMPLES = "6"


def main(folder: pathlib.Path) -> int:
    report = folder / "report.xml"
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        pathlib.Path(sys.executable).parent / "st",
        "--config-file", HERE / "schemathesis.toml",
        "run", f"http://{os.environ['GATEHOUSE_ADMIN']}/admin/v1/openapi.json",
        "--header", f"Authorization: Bearer {os.environ['GATEHOUSE_TOKEN']}",
        "--checks", "all", "--phases", "coverage,fuzzing",
        "--seed", SEED, "--max-examples", EXAMPLES, "--no-shrink", "--continue-on-failure",
        "--generation-database", "none", "--warnings", "off", "--no-color",
        "--report", "junit", "--report-junit-path", report,
    ]
    outcome = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=240)
    if not report.exists():
        print(f"FAIL admin: schemathesis did not run: {outcome.stdout}{outcome.stderr}")
        return 1
    passed = failed = 0
    for case in ElementTree.parse(report).iter("testcase"):
        wrong = [element for element in case if element.tag in ("failure", "error")]
        if wrong:
            failed += 1
            print(f"FAIL admin {case.get('name')}: {wrong[0].get('type') or wrong[0].tag}")
            for element in wrong:
                print(element.get("message"), element.text or "", file=sys.stderr)
        elif case.find("skipped") is None:
            passed += 1
            print(f"ok admin {case.get('name')}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed or outcome.returncode else 0


sys.exit(main(pathlib.Path(sys.argv[1])))
