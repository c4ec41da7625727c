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
from checks import check, kql, status

ENDPOINT = os.environ["GATEHOUSE_ENDPOINT"]
CONFIG = os.environ["GATEHOUSE_CONFIG"]
AUDIENCE = "https://gatehouse.example"
MESSAGES = [{"role": "user", "content": "hello"}]


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


@check("identity: a program's token is let in by the SDK's token provider")
def _():
    assert chat(azure).choices[0].message.content
    row = kql("Interactions | where ProductId == 'for-programs' | project UserId, ApimSubscriptionId | take 1")[0]
    assert row["UserId"] == f"{ISSUER}|granted-app", row
    assert row["ApimSubscriptionId"] == f"user:{ISSUER}|granted-app", row


@check("identity: streams work with it")
def _():
    stream = azure.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True)
    text = "".join(c.choices[0].delta.content or "" for c in stream if c.choices)
    assert text


@check("identity: the token stands nowhere in the record")
def _():
    secret = token()
    chat(client(lambda: secret))
    part = secret.rsplit(".", 1)[1][:40]
    found = gatehouse("query", "--output", "json", "--purpose", "is the token on record?",
                      "Interactions | project RequestHeaders, RequestBody")
    assert part not in found and "Bearer ***" in found


@check("identity: another program gets 403 and a record that says why")
def _():
    try:
        chat(client(lambda: token("other-app")))
        raise AssertionError("it was let in")
    except openai.PermissionDeniedError as error:
        assert error.code == "ProductNotGranted", error.body
    kql("Interactions | where LastErrorReason == 'ProductNotGranted' | project UserId | take 1")


@check("identity: a token for somebody else gets 401 with a challenge")
def _():
    try:
        chat(client(lambda: token(resource="https://other.example")))
        raise AssertionError("it was let in")
    except openai.AuthenticationError as error:
        assert error.body["innererror"]["code"] == "TokenAudienceNotAllowed", error.body
        assert "invalid_token" in ", ".join(error.response.headers.get_list("www-authenticate"))


@check("identity: a token with one changed letter gets 401")
def _():
    good = token()
    bad = good[:-10] + ("A" if good[-10] != "A" else "B") + good[-9:]
    try:
        chat(client(lambda: bad))
        raise AssertionError("it was let in")
    except openai.AuthenticationError as error:
        assert error.body["innererror"]["code"] == "TokenSignatureInvalid", error.body


@check("identity: keys go on as before")
def _():
    plain = openai.AzureOpenAI(
        azure_endpoint=ENDPOINT, api_key=os.environ["GATEHOUSE_KEY"], api_version="2024-10-21",
    )
    assert chat(plain).choices


@check("identity: no call fails while the provider changes its signing key under load")
def _():
    calls, errors, over = [], [], threading.Event()

    def load():
        mine = client(token)
        while not over.is_set():
            try:
                chat(mine)
                calls.append(time.monotonic())
            except Exception as error:
                errors.append(repr(error)[:300])

    def wait_for(count, since):
        end = time.monotonic() + 30
        while sum(at > since for at in list(calls)) < count and not errors and time.monotonic() < end:
            time.sleep(0.05)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_for(20, 0)
    urllib.request.urlopen(urllib.request.Request(ISSUER + "/rotate", method="POST"), timeout=10)
    # What began before the new key has ended by then.
    rotated = time.monotonic() + 0.5
    wait_for(20, rotated)
    over.set()
    for thread in threads:
        thread.join()
    after = sum(at > rotated for at in calls)
    assert not errors and after >= 20, (len(calls), after, errors[:3])


@check("identity: with the provider dead its callers go on until its keys are too old, and then it is said")
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


@check("identity: and when it is back they are served again")
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
sys.exit(status())
