"""LangChain and LiteLLM through Gatehouse, set up as their users do, then what was recorded of it.

Prints `ok NAME` or `FAIL NAME: reason` per check and exits 1 if one failed.
"""

import datetime
import json
import os
import sys

# Nothing is fetched: prices and vocabularies are those of the package.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
import openai
from checks import check, kql, status
from langchain_openai import AzureChatOpenAI, AzureOpenAIEmbeddings, ChatOpenAI, OpenAIEmbeddings

ENDPOINT = os.environ["GATEHOUSE_ENDPOINT"]
KEY = os.environ["GATEHOUSE_KEY"]
V1 = ENDPOINT + "/openai/v1/"
VERSION = "2024-10-21"
THROTTLED = {"x-sim-fault": "status=429;retry-after-ms=40"}
# Where LangChain's tokenizer finds its vocabularies.
os.environ["TIKTOKEN_CACHE_DIR"] = os.path.join(
    os.path.dirname(litellm.__file__), "litellm_core_utils", "tokenizers")
litellm.telemetry = False
litellm.suppress_debug_info = True


def interactions(prompt, rows=1):
    """What is on record of the calls with a prompt."""
    calls = f"Messages | where Content == '{prompt}' and Direction == 'prompt' | project CorrelationId"
    found = kql(f"Interactions | where CorrelationId in (({calls}))", rows)
    assert len(found) == rows, f"{len(found)} rows instead of {rows}"
    return found


def raised(kind, call):
    """The exception, which must be of this type."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__} was raised")


def told_and_waited(kind, prompt, call):
    """A backend that throttles: repeated after the time that is told, then raised as the caller's type."""
    error = raised(kind, call)
    assert error.status_code == 429, error
    rows = sorted(interactions(prompt, 3), key=lambda row: row["TimeGenerated"])
    assert {row["ResponseCode"] for row in rows} == {429}, rows
    ends = [datetime.datetime.fromisoformat(row["ClosedAt"]) for row in rows]
    begins = [datetime.datetime.fromisoformat(row["TimeGenerated"]) for row in rows]
    waits = [(then - at).total_seconds() for at, then in zip(ends, begins[1:])]
    # Their own pauses begin at half a second.
    assert all(0.035 <= wait < 0.45 for wait in waits), waits


CHATS = {
    "langchain azure": lambda **more: AzureChatOpenAI(**{
        "azure_endpoint": ENDPOINT, "api_key": KEY, "api_version": VERSION, "azure_deployment": "gpt-4o"} | more),
    "langchain v1": lambda **more: ChatOpenAI(**{"base_url": V1, "api_key": KEY, "model": "gpt-4o"} | more),
}
EMBEDDINGS = {
    "langchain azure": AzureOpenAIEmbeddings(
        azure_endpoint=ENDPOINT, api_key=KEY, api_version=VERSION, azure_deployment="text-embedding-3-small",
        model="text-embedding-3-small"),
    "langchain v1": OpenAIEmbeddings(base_url=V1, api_key=KEY, model="text-embedding-3-small"),
}

for label, chat in CHATS.items():

    @check(f"{label} chat")
    def _():
        answer = chat().invoke(f"{label}: an island?")
        row = interactions(f"{label}: an island?")[0]
        assert answer.content and row["TotalTokens"] == answer.usage_metadata["total_tokens"], row
        assert (row["OperationId"], row["DeploymentName"]) == ("ChatCompletions_Create", "gpt-4o"), row

    @check(f"{label} chat stream")
    def _():
        text = "".join(chunk.content for chunk in chat().stream(f"{label}: a stream?"))
        row = interactions(f"{label}: a stream?")[0]
        assert row["IsStreamCompletion"] is True and row["StreamOutcome"] == "complete", row
        assert json.loads(row["ResponseBody"])["choices"][0]["message"]["content"] == text
        assert row["UsageSource"] == "final_chunk", row["UsageSource"]

    @check(f"{label} embeddings")
    def _():
        # The texts go as token ids.
        vectors = EMBEDDINGS[label].embed_documents([f"{label} alpha", "beta"])
        assert len(vectors) == 2 and len(vectors[0]) == 1536
        row = kql("Interactions | where OperationId == 'Embeddings_Create' | top 1 by TimeGenerated desc")[0]
        assert row["DeploymentName"] == "text-embedding-3-small" and row["TotalTokens"] > 0, row

    @check(f"{label} errors")
    def _():
        error = raised(openai.AuthenticationError, lambda: chat(api_key="wrong").invoke("x"))
        assert error.status_code == 401, error
        prompt = f"{label}: throttled"
        told_and_waited(openai.RateLimitError, prompt,
                        lambda: chat(default_headers=THROTTLED, max_retries=2).invoke(prompt))


LITELLM = {
    "litellm azure": ("azure/", {"api_base": ENDPOINT, "api_key": KEY, "api_version": VERSION}),
    "litellm v1": ("openai/", {"api_base": V1, "api_key": KEY}),
}

for label, (provider, access) in LITELLM.items():

    def complete(prompt, **more):
        messages = [{"role": "user", "content": prompt}]
        return litellm.completion(**{"model": provider + "gpt-4o", "messages": messages} | access | more)

    @check(f"{label} chat")
    def _():
        answer = complete(f"{label}: an island?")
        row = interactions(f"{label}: an island?")[0]
        assert answer.choices[0].message.content and row["TotalTokens"] == answer.usage.total_tokens, row
        assert (row["OperationId"], row["DeploymentName"]) == ("ChatCompletions_Create", "gpt-4o"), row

    @check(f"{label} chat stream")
    def _():
        text = "".join(chunk.choices[0].delta.content or ""
                       for chunk in complete(f"{label}: a stream?", stream=True) if chunk.choices)
        row = interactions(f"{label}: a stream?")[0]
        assert row["IsStreamCompletion"] is True and row["StreamOutcome"] == "complete", row
        assert json.loads(row["ResponseBody"])["choices"][0]["message"]["content"] == text

    @check(f"{label} embeddings")
    def _():
        answer = litellm.embedding(
            model=provider + "text-embedding-3-small", input=[f"{label} alpha", f"{label} beta"], **access)
        assert len(answer.data) == 2 and len(answer.data[0]["embedding"]) == 1536
        row = interactions(f"{label} beta")[0]
        assert row["TotalTokens"] == answer.usage.total_tokens, row

    @check(f"{label} errors")
    def _():
        error = raised(litellm.AuthenticationError, lambda: complete("x", api_key="wrong"))
        assert error.status_code == 401, error
        error = raised(litellm.NotFoundError, lambda: complete("x", model=provider + "no-such-deployment"))
        assert error.status_code == 404, error
        prompt = f"{label}: throttled"
        told_and_waited(litellm.RateLimitError, prompt,
                        lambda: complete(prompt, extra_headers=THROTTLED, max_retries=2))


sys.exit(status())
