"""Three instances of which one is killed, one throttles and one is slow, behind a gateway; 5,000 mixed calls
through the official Python and Node SDKs with the retries that they make by themselves.

Prints `ok NAME` or `FAIL NAME: reason` per check and exits 1 if one failed. What is expected comes from the
callers' own books, which are compared with the record.
"""

import collections
import datetime
import json
import os
import pathlib
import queue
import re
import socket
import subprocess
import sys
import threading
import time

import openai
from checks import check, free_ports, status

GATEHOUSE = os.environ["GATEHOUSE"]
WORK = pathlib.Path(sys.argv[1])
HERE = pathlib.Path(__file__).parent
CALLERS = [[sys.executable, "-W", "ignore", str(HERE / "calls.py")], ["node", sys.argv[2]]]
# Calls before and during the trouble, of both SDKs together.
STEADY, TROUBLED = 1_600, 3_400
WORKERS = 10
SUBSCRIPTIONS = 6
WEIGHTS = {"dying": 3, "throttling": 2, "slow": 1}
SIMULATE = {
    "dying": [],
    # Of the model that is called in trouble: 40 requests in 10 seconds.
    "throttling": ["--tokens-per-minute", "gpt-4o=40000"],
    "slow": ["--first-byte-ms", "120", "--per-token-ms", "2"],
}
# What goes to any instance, with the deployment that it calls before the trouble.
BALANCED = {"chat": "gpt-4o-mini", "stream": "gpt-4o-mini", "response": "gpt-4o-mini",
            "embeddings": "text-embedding-3-small", "completion": "gpt-35-turbo-instruct"}


def gatehouse(*arguments):
    """What a command prints."""
    answer = subprocess.run([GATEHOUSE, *arguments], capture_output=True, text=True)
    if answer.returncode != 0:
        raise AssertionError(f"{arguments}: {answer.returncode}: {answer.stdout[-400:]}{answer.stderr[-400:]}")
    return answer.stdout


def kql(query):
    config = str(WORK / "gatehouse.yaml")
    return json.loads(gatehouse("query", "--config", config, "--output", "json", query))


def when(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def is_open(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class System:
    """Three instances and a gateway, each a process of its own."""

    def __init__(self):
        self.processes = {}
        backends = []
        for name, arguments in SIMULATE.items():
            command = [GATEHOUSE, "simulate", "--port", "0", "--name", name, "--key", "pool-key", *arguments]
            process = self.processes[name] = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
            url = re.search(r"http://\S+", process.stderr.readline())[0]
            backends.append({"id": name, "base_url": url, "weight": WEIGHTS[name],
                             "api_key": {"env": "POOL_KEY"}, "probe": {"path": "/status"}})
        port, admin, health = free_ports(3)
        os.environ |= {
            "POOL_KEY": "pool-key", "GATEHOUSE__BACKENDS": json.dumps(backends),
            "GATEHOUSE__ADMIN__LISTEN": f"127.0.0.1:{admin}",
            "GATEHOUSE__HEALTH__LISTEN": f"127.0.0.1:{health}",
        }
        self.endpoint = f"http://127.0.0.1:{port}"
        config = str(WORK / "gatehouse.yaml")
        gatehouse("init", "--config", config, "--backend-url", backends[0]["base_url"],
                  "--listen", f"127.0.0.1:{port}")
        log = (WORK / "log").open("w")
        self.processes["gateway"] = subprocess.Popen(
            [GATEHOUSE, "serve", "--config", config], stdout=log, stderr=log)
        for _ in range(300):
            if is_open(admin) and is_open(port):
                break
            time.sleep(0.1)
        create = ["subscription", "create", "--config", config]
        self.keys = [gatehouse(*create, f"caller-{number}").split()[0] for number in range(SUBSCRIPTIONS)]
        self.stranger = gatehouse(*create, "stranger").split()[0]

    def calls(self, chat, count, at_third=lambda: None):
        """The stories of so many calls, half of them of each SDK."""
        plan = {"endpoint": self.endpoint, "keys": self.keys, "chat": chat,
                "calls": count // len(CALLERS), "workers": WORKERS}
        lines = queue.Queue()
        callers = [subprocess.Popen([*command, json.dumps(plan)], stdout=subprocess.PIPE, text=True)
                   for command in CALLERS]

        def read(caller):
            for line in caller.stdout:
                lines.put(line)
            lines.put(None)

        for caller in callers:
            threading.Thread(target=read, args=[caller], daemon=True).start()
        stories, open_ends = [], len(callers)
        while open_ends:
            line = lines.get()
            if line is None:
                open_ends -= 1
                continue
            stories.append(json.loads(line))
            if len(stories) == count // 3:
                at_third()
        for caller in callers:
            assert caller.wait() == 0, f"{caller.args[0]} ended with {caller.returncode}"
        return stories

    def stop(self):
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait()


class Killing:
    """Kills an instance, as a machine that goes away."""

    at = None

    def __call__(self):
        self.at = time.time()
        system.processes["dying"].kill()


def path_of(made):
    for prefix, path in (("resp_", "/responses/"), ("asst_", "/assistants/"), ("thread_", "/threads/")):
        if made.startswith(prefix):
            return path + made
    return "/files/" + made


def asked(key, made):
    """Status and code of a look at an object, and what the books need of it."""
    notes = []
    http = openai.DefaultHttpxClient(event_hooks={"response": [lambda answer: notes.append(answer)]})
    with openai.OpenAI(base_url=system.endpoint + "/openai/v1/", api_key=key, max_retries=0,
                       http_client=http) as client:
        for each in made:
            try:
                client.get(path_of(each), cast_to=object)
            except openai.APIStatusError:
                pass
    seen.extend(answer.headers["x-gatehouse-correlation-id"] for answer in notes)
    return notes


def settle():
    """Waits until what was seen is in the tables: that may take a second."""
    until = time.monotonic() + 20
    while kql("Interactions | count")[0]["Count"] < len(seen) and time.monotonic() < until:
        time.sleep(0.2)


began = time.monotonic()
system = System()
kill = Killing()
try:
    steady = system.calls("gpt-4o-mini", STEADY)
    stories = steady + system.calls("gpt-4o", TROUBLED, at_third=kill)
    # Correlation ids of all answers, as the callers saw them.
    seen = [each for story in stories for _, each in story["answers"]]
    objects = [made for story in stories for made in story["made"]]
    strangers = asked(system.stranger, objects)
    settle()
    rows = kql("Interactions | project TimeGenerated, CorrelationId, BackendId, Attempts, Errors")
    recorded = {row["CorrelationId"]: row for row in rows}
    backend = {id: row["BackendId"] for id, row in recorded.items()}
    home = {made: backend.get(story["answers"][-1][1]) for story in stories for made in story["made"]}
    lost = [made for made in objects if home[made] == "dying"]

    def is_lost(story):
        """It names what only the dead instance has."""
        return story["ended"] > kill.at and any(home[name] == "dying" for name in story["names"])

    def is_cut(story):
        """A stream of the dead instance that had begun, of which the caller has a part."""
        return story["ended"] > kill.at and story["begun"] and backend[story["answers"][-1][1]] == "dying"

    @check(f"{STEADY + TROUBLED} mixed calls: no caller sees an error of repeatable work")
    def _():
        assert len(stories) >= STEADY + TROUBLED, len(stories)
        wrong = [story for story in stories if story["error"] and not is_lost(story) and not is_cut(story)]
        assert not wrong, f"{len(wrong)}: {collections.Counter(s['error'] for s in wrong).most_common(3)} {wrong[:2]}"
        cut = [story for story in stories if story["error"] and is_cut(story)]
        assert len(cut) <= 2 * WORKERS, f"{len(cut)} streams were cut"

    @check("the trouble was real: the SDKs and the gateway had to try again")
    def _():
        again = sum(len(story["answers"]) > 1 for story in stories)
        over = sum((row["Attempts"] or 0) > 1 for row in rows)
        told = sum(story["error"] is not None for story in stories)
        print(f"   {len(stories)} calls, {len(seen)} answers; {again} calls repeated by the SDKs, {over} by the "
              f"gateway; {told} about what died; {len(objects)} objects, {time.monotonic() - began:.0f} s")
        throttled = kql("BackendHealth | where BackendId == 'throttling' and State == 'throttled'")
        assert throttled and over > 0 and again > 0

    @check("while all are healthy, traffic follows the weights within 5 %")
    def _():
        counts = collections.defaultdict(collections.Counter)
        for story in steady:
            if story["what"] in BALANCED:
                counts[BALANCED[story["what"]]][backend[story["answers"][-1][1]]] += 1
        for deployment, calls in counts.items():
            for name, weight in WEIGHTS.items():
                due = calls.total() * weight / sum(WEIGHTS.values())
                assert abs(calls[name] - due) <= max(0.05 * due, 1.5), (deployment, calls)
        print(f"   {sum(counts.values(), collections.Counter())} for weights {WEIGHTS}")

    @check("the dead instance is ejected within 1 s of its first failure")
    def _():
        failed = [when(row["TimeGenerated"]) + error["elapsed"] / 1000
                  for row in rows for error in row["Errors"] or [] if "dying: " in error["message"]]
        out = kql("BackendHealth | where BackendId == 'dying' and Scope in ('connections', 'probe')"
                  " | where State in ('open', 'unhealthy') | summarize Out = min(TimeGenerated)")
        first, out = min(failed), when(out[0]["Out"])
        assert kill.at <= first and out - first <= 1, (kill.at, first, out)
        late = sum(moment > out + 1 for moment in failed)
        assert late <= 16, f"{late} calls went to it later, beyond trials"
        print(f"   killed; {(first - kill.at) * 1000:.0f} ms later the first of {len(failed)} calls failed; "
              f"{(out - kill.at) * 1000:.0f} ms later it was out")

    @check("every follow-up reaches the home of what it names")
    def _():
        assert set(home.values()) == set(WEIGHTS), collections.Counter(home.values())
        count = 0
        for story in stories:
            for name in story["names"]:
                if story["error"] is None:
                    count += 1
                    assert backend[story["answers"][-1][1]] == home[name], (story, home[name])
        assert count > 1_000, count

    @check("what died with its instance is out and not forgotten")
    def _():
        some = lost[:: max(1, len(lost) // 10)]
        found = [answer for key in system.keys for answer in asked(key, some)]
        statuses = collections.Counter(answer.status_code for answer in found)
        assert statuses == {503: len(some), 404: len(some) * (SUBSCRIPTIONS - 1)}, statuses
        assert all("retry-after" in answer.headers for answer in found if answer.status_code == 503)

    @check("a stranger gets 404 for each object")
    def _():
        assert len(strangers) == len(objects) > 300
        assert {answer.status_code for answer in strangers} == {404}

    @check("every call is on record exactly once")
    def _():
        settle()
        found = [row["CorrelationId"] for row in kql("Interactions | project CorrelationId")]
        twice = [each for each, times in collections.Counter(seen).items() if times > 1]
        assert not twice, [story for story in stories if twice[0] in dict(map(reversed, story["answers"]))]
        assert collections.Counter(found) == collections.Counter(seen), (len(found), len(seen))

    @check("the record is proven")
    def _():
        gatehouse("audit", "verify", "--config", str(WORK / "gatehouse.yaml"))
finally:
    system.stop()

sys.exit(status())
