"""The official Python SDK with `azure_ad_token_provider` through Gatehouse, against a real OIDC provider.

Prints `ok NAME` or `FAIL NAME: reason` per check and exits 1 if one failed.
"""

import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import openai

ENDPOINT = os.environ["GATEHOUSE_ENDPOINT"]
CONFIG = os.environ["GATEHOUSE_CONFIG"]
AUDIENCE = "https://gatehouse.example"
MESSAGES = [{"role": "user", "content": "hello"}]
failures = 0


def check(name):
    """Runs a check at once and prints how it went."""

    def run(function):
        global failures
        try:
            function()
            print(f"ok identity: {name}", flush=True)
        except Exception as error:  # a check that fails in any way is a failed check
            failures += 1
            print(f"FAIL identity: {name}: {type(error).__name__}: {str(error)[:500]}", flush=True)

    return run


def start_provider(port=0):
    process = subprocess.Popen(
        ["node", os.environ["PROVIDER"], str(port)], stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    )
    for line in process.stdout:
        # The library warns on the same channel.
        if line.startswith("http://"):
            return process, line.strip()
    raise AssertionError("the provider did not come up")


def token(client="granted-app", resource=AUDIENCE):
    form = urllib.parse.urlencode({
        "grant_type": "client_credentials", "client_id": client,
        "client_secret": f"secret of {client}", "scope": "models", "resource": resource,
    })
    with urllib.request.urlopen(ISSUER + "/token", form.encode(), timeout=10) as answer:
        return json.load(answer)["access_token"]


def client(provider):
    return openai.AzureOpenAI(
        azure_endpoint=ENDPOINT, azure_ad_token_provider=provider, api_version="2024-10-21",
        max_retries=0,
    )


def chat(azure):
    return azure.chat.completions.create(model="gpt-4o", messages=MESSAGES)


def gatehouse(*arguments):
    answer = subprocess.run(
        [os.environ["GATEHOUSE"], *arguments, "--config", CONFIG], capture_output=True, text=True,
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def kql(query):
    """Asks for recorded rows until there are some: a row may take a second to be queryable."""
    for _ in range(50):
        found = json.loads(gatehouse("query", "--output", "json", query))
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"no row for {query}")


def provider_state():
    listen = re.search(r"^health:\n  listen: (\S+)", open(CONFIG).read(), re.M).group(1)
    with urllib.request.urlopen(f"http://{listen}/readyz?verbose", timeout=10) as answer:
        return json.load(answer)["identity_providers"][0]


def await_state(state):
    for _ in range(200):
        found = provider_state()
        if found["state"] == state:
            return found
        time.sleep(0.1)
    raise AssertionError(f"{found} instead of {state}")


PROCESS, ISSUER = start_provider()
with open(CONFIG, "a") as file:
    file.write(f"""
identity:
  refresh_s: 2
  unknown_key_refresh_s: 1
  stale_keys_max_s: 6
  egress:
    allow: [127.0.0.0/8]
  providers:
    - id: conformance
      issuer: {ISSUER}
      audiences: [{AUDIENCE}]
""")
gatehouse("reload")
PRODUCT = os.path.join(os.path.dirname(CONFIG), "for-programs.yaml")
with open(PRODUCT, "w") as file:
    file.write("id: for-programs\nclients: [granted-app]\n")
gatehouse("product", "put", "--file", PRODUCT)
azure = client(token)


@check("a program's token is let in by the SDK's token provider")
def _():
    assert chat(azure).choices[0].message.content
    row = kql("Interactions | where ProductId == 'for-programs' | project UserId, ApimSubscriptionId | take 1")[0]
    assert row["UserId"] == f"{ISSUER}|granted-app", row
    assert row["ApimSubscriptionId"] == f"user:{ISSUER}|granted-app", row


@check("streams work with it")
def _():
    stream = azure.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True)
    text = "".join(c.choices[0].delta.content or "" for c in stream if c.choices)
    assert text


@check("the token stands nowhere in the record")
def _():
    secret = token()
    chat(client(lambda: secret))
    part = secret.rsplit(".", 1)[1][:40]
    found = gatehouse("query", "--output", "json", "--purpose", "is the token on record?",
                      "Interactions | project RequestHeaders, RequestBody")
    assert part not in found and "Bearer ***" in found


@check("another program gets 403 and a record that says why")
def _():
    try:
        chat(client(lambda: token("other-app")))
        raise AssertionError("it was let in")
    except openai.PermissionDeniedError as error:
        assert error.code == "ProductNotGranted", error.body
    kql("Interactions | where LastErrorReason == 'ProductNotGranted' | project UserId | take 1")


@check("a token for somebody else gets 401 with a challenge")
def _():
    try:
        chat(client(lambda: token(resource="https://other.example")))
        raise AssertionError("it was let in")
    except openai.AuthenticationError as error:
        assert error.body["innererror"]["code"] == "TokenAudienceNotAllowed", error.body
        assert "invalid_token" in ", ".join(error.response.headers.get_list("www-authenticate"))


@check("a token with one changed letter gets 401")
def _():
    good = token()
    bad = good[:-10] + ("A" if good[-10] != "A" else "B") + good[-9:]
    try:
        chat(client(lambda: bad))
        raise AssertionError("it was let in")
    except openai.AuthenticationError as error:
        assert error.body["innererror"]["code"] == "TokenSignatureInvalid", error.body


@check("keys go on as before")
def _():
    plain = openai.AzureOpenAI(
        azure_endpoint=ENDPOINT, api_key=os.environ["GATEHOUSE_KEY"], api_version="2024-10-21",
    )
    assert chat(plain).choices


@check("no call fails while the provider changes its signing key under load")
def _():
    calls, errors, stop = [], [], time.monotonic() + 6

    def load():
        mine = client(token)
        while time.monotonic() < stop:
            try:
                chat(mine)
                calls.append(time.monotonic())
            except Exception as error:
                errors.append(repr(error)[:300])

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(3)
    urllib.request.urlopen(urllib.request.Request(ISSUER + "/rotate", method="POST"), timeout=10)
    rotated = time.monotonic()
    for thread in threads:
        thread.join()
    after = sum(1 for at in calls if at > rotated + 0.5)
    assert not errors and after > 4, (len(calls), after, errors[:3])


@check("with the provider dead its callers go on until its keys are too old, and then it is said")
def _():
    held = token()
    mine = client(lambda: held)
    chat(mine)
    PROCESS.kill()
    PROCESS.wait()
    chat(mine)
    assert await_state("stale")["error"]
    chat(mine)
    await_state("closed")
    try:
        chat(mine)
        raise AssertionError("it was let in")
    except openai.InternalServerError as error:
        assert error.status_code == 503 and error.code == "IdentityProviderUnavailable", error.body
        assert "conformance" in error.message


@check("and when it is back they are served again")
def _():
    global PROCESS
    PROCESS, issuer = start_provider(urllib.parse.urlparse(ISSUER).port)
    assert issuer == ISSUER
    for _ in range(100):
        try:
            chat(client(token))
            break
        except openai.APIStatusError:
            time.sleep(0.2)
    assert provider_state()["state"] == "up"


PROCESS.kill()
print(f"identity: {failures} failed")
sys.exit(1 if failures else 0)
