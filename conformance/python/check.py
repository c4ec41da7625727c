"""The official Python SDK through Gatehouse: every kind of call, then what was recorded of it.

Prints `ok NAME` or `FAIL NAME: reason` per check and exits 1 if one failed.
"""

import io
import json
import os
import sys
import time
import wave

import openai
from checks import check, kql, status

ENDPOINT = os.environ["GATEHOUSE_ENDPOINT"]
KEY = os.environ["GATEHOUSE_KEY"]

# For realtime the SDK would insist on wss.
azure = openai.AzureOpenAI(
    azure_endpoint=ENDPOINT, api_key=KEY, api_version="2025-04-01-preview", max_retries=0,
    websocket_base_url=ENDPOINT.replace("http://", "ws://") + "/openai",
)
plain = openai.OpenAI(base_url=ENDPOINT + "/openai/v1/", api_key=KEY, max_retries=0)


def wav(seconds=1):
    """Silence as a WAV file."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(b"\0\0" * 8000 * seconds)
    return buffer.getvalue()


MESSAGES = [
    {"role": "system", "content": "You are terse."},
    {"role": "user", "content": "python sdk: name three islands"},
]

for label, client in (("azure", azure), ("v1", plain)):

    @check(f"{label} chat")
    def _():
        answer = client.chat.completions.create(model="gpt-4o", messages=MESSAGES, temperature=0.3)
        assert answer.choices[0].message.content
        assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
        row = kql(f"Interactions | where RequestId == '{answer.id}'")[0]
        assert row["PromptTokens"] == answer.usage.prompt_tokens, row["PromptTokens"]
        assert row["CompletionTokens"] == answer.usage.completion_tokens
        assert row["OperationId"] == "ChatCompletions_Create"
        assert row["DeploymentName"] == "gpt-4o"
        parts = kql(
            f"Messages | where CorrelationId == '{row['CorrelationId']}' | sort by SequenceNumber asc", 3
        )
        assert [part["Content"] for part in parts[:2]] == [m["content"] for m in MESSAGES]
        assert parts[2]["Content"] == answer.choices[0].message.content

    @check(f"{label} chat stream")
    def _():
        text, last = "", None
        for chunk in client.chat.completions.create(
            model="gpt-4o", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        ):
            last = chunk
            if chunk.choices and chunk.choices[0].delta.content:
                text += chunk.choices[0].delta.content
        assert text and last.usage.total_tokens > 0
        row = kql(f"Interactions | where RequestId == '{last.id}'")[0]
        assert row["IsStreamCompletion"] is True and row["StreamOutcome"] == "complete"
        assert row["TotalTokens"] == last.usage.total_tokens
        assert json.loads(row["ResponseBody"])["choices"][0]["message"]["content"] == text

    @check(f"{label} responses")
    def _():
        first = client.responses.create(model="gpt-4o", input="python sdk: a haiku")
        assert first.output_text and first.usage.total_tokens > 0
        second = client.responses.create(
            model="gpt-4o", input="python sdk: another", previous_response_id=first.id
        )
        assert second.output_text
        assert client.responses.retrieve(first.id).id == first.id
        row = kql(f"Interactions | where RequestId == '{first.id}' and Method == 'POST'")[0]
        assert row["TotalTokens"] == first.usage.total_tokens

    @check(f"{label} responses stream")
    def _():
        text, done = "", None
        for event in client.responses.create(model="gpt-4o", input="python sdk: stream", stream=True):
            if event.type == "response.output_text.delta":
                text += event.delta
            if event.type == "response.completed":
                done = event.response
        assert text and done.output_text == text
        row = kql(f"Interactions | where RequestId == '{done.id}'")[0]
        assert row["TotalTokens"] == done.usage.total_tokens

    @check(f"{label} embeddings")
    def _():
        answer = client.embeddings.create(
            model="text-embedding-3-small", input=["python sdk alpha", f"{label} beta"]
        )
        assert len(answer.data) == 2 and len(answer.data[0].embedding) >= 256
        parts = kql(f"Messages | where Content == '{label} beta' and ContentType == 'embedding_input'")
        assert parts[0]["ChoiceIndex"] == 1

    @check(f"{label} images")
    def _():
        answer = client.images.generate(model="dall-e-3", prompt=f"python sdk {label} fox", n=1)
        assert answer.data[0].url or answer.data[0].b64_json
        kql(f"Messages | where Content == 'python sdk {label} fox' and ContentType == 'image_prompt'")

    @check(f"{label} transcription")
    def _():
        answer = client.audio.transcriptions.create(model="whisper", file=("a.wav", wav()))
        assert answer.text
        kql(
            "Interactions | where OperationId == 'Transcriptions_Create' and ResponseCode == 200"
            f" and ResponseBody contains '{answer.text}'"
        )

    @check(f"{label} speech")
    def _():
        answer = client.audio.speech.create(model="tts-1", voice="alloy", input=f"python sdk {label} spoken")
        assert len(answer.read()) > 44
        kql(f"Messages | where Content == 'python sdk {label} spoken'")

    @check(f"{label} files and batches")
    def _():
        line = {"custom_id": "a", "method": "POST", "url": "/chat/completions",
                "body": {"model": "gpt-4o", "messages": MESSAGES}}
        file = client.files.create(
            file=("in.jsonl", (json.dumps(line) + "\n").encode()), purpose="batch"
        )
        assert client.files.retrieve(file.id).id == file.id
        assert any(found.id == file.id for found in client.files.list())
        batch = client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        for _ in range(20):
            batch = client.batches.retrieve(batch.id)
            if batch.status == "completed":
                break
        assert batch.status == "completed", batch.status
        assert client.files.content(batch.output_file_id).read()
        client.files.delete(file.id)

    @check(f"{label} fine-tuning")
    def _():
        line = json.dumps({"messages": MESSAGES + [{"role": "assistant", "content": "Crete"}]})
        file = client.files.create(
            file=("train.jsonl", (line + "\n").encode() * 10), purpose="fine-tune"
        )
        job = client.fine_tuning.jobs.create(model="gpt-4o-mini", training_file=file.id)
        assert client.fine_tuning.jobs.retrieve(job.id).id == job.id
        assert list(client.fine_tuning.jobs.list_events(job.id)) is not None
        kql(f"Interactions | where Kind == 'fine-tune' and RequestId == '{job.id}'")

    @check(f"{label} assistants")
    def _():
        beta = client.beta
        assistant = beta.assistants.create(model="gpt-4o", instructions=f"python {label} tutor")
        thread = beta.threads.create()
        beta.threads.messages.create(thread.id, role="user", content=f"python {label} what is 2+2?")
        run = beta.threads.runs.create_and_poll(
            thread_id=thread.id, assistant_id=assistant.id, poll_interval_ms=50
        )
        assert run.status == "completed", run.status
        messages = beta.threads.messages.list(thread.id)
        assert messages.data[0].role == "assistant"
        kql(f"Messages | where ThreadId == '{thread.id}' and Content == 'python {label} what is 2+2?'")
        kql(f"Interactions | where RunId == '{run.id}'")

    @check(f"{label} assistants stream")
    def _():
        beta = client.beta
        assistant = beta.assistants.create(model="gpt-4o", instructions="tutor")
        thread = beta.threads.create(messages=[{"role": "user", "content": f"python {label} streamed?"}])
        with beta.threads.runs.stream(thread_id=thread.id, assistant_id=assistant.id) as stream:
            text = "".join(stream.text_deltas)
        assert text
        parts = kql(f"Messages | where ThreadId == '{thread.id}' and Direction == 'completion'")
        assert any(part["Content"] == text for part in parts), parts

    @check(f"{label} realtime")
    def _():
        text = f"python {label} realtime"
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        with client.realtime.connect(model="gpt-realtime") as connection:
            connection.session.update(session={"type": "realtime", "output_modalities": ["text"]})
            connection.conversation.item.create(item=item)
            connection.response.create()
            for event in connection:
                assert event.type != "error", event
                if event.type == "response.done":
                    usage = event.response.usage
                    break
        rows = kql(f"Messages | where Content == '{text}' | join kind=inner Interactions on CorrelationId")
        assert len(rows) == 1, rows
        assert (rows[0]["ResponseCode"], rows[0]["TotalTokens"]) == (101, usage.total_tokens), rows
        assert rows[0]["DeploymentName"] == "gpt-realtime"

    @check(f"{label} responses over a websocket")
    def _():
        text = f"python {label} socket"
        with client.responses.connect() as connection:
            connection.response.create(model="gpt-4o", input=text)
            for event in connection:
                assert event.type != "error", event
                if event.type == "response.completed":
                    response = event.response
                    break
        rows = kql(f"Messages | where Content == '{text}' | join kind=inner Interactions on CorrelationId")
        assert rows[0]["TotalTokens"] == response.usage.total_tokens, rows
        assert rows[0]["OperationId"] == "Create_Response"

    @check(f"{label} models")
    def _():
        assert any(model.id for model in client.models.list())


@check("errors reach the SDK as its own types")
def _():
    wrong = openai.AzureOpenAI(
        azure_endpoint=ENDPOINT, api_key="wrong", api_version="2024-10-21", max_retries=0
    )
    try:
        wrong.chat.completions.create(model="gpt-4o", messages=MESSAGES)
        raise AssertionError("a wrong key was let in")
    except openai.AuthenticationError as error:
        assert error.status_code == 401
    try:
        azure.chat.completions.create(model="no-such-deployment", messages=MESSAGES)
        raise AssertionError("an unknown deployment answered")
    except openai.NotFoundError as error:
        assert error.body["code"] == "DeploymentNotFound", error.body
    try:
        azure.chat.completions.create(
            model="gpt-4o", messages=MESSAGES, extra_headers={"x-sim-fault": "status=429;retry-after-ms=5"}
        )
        raise AssertionError("the fault did not come through")
    except openai.RateLimitError as error:
        assert error.response.headers["retry-after-ms"]


def counting(max_retries, url=ENDPOINT + "/openai/v1/"):
    """A client that retries, and the answers it got with the times they came."""
    answers = []

    def note(answer):
        answers.append((answer.status_code, answer.headers, time.monotonic()))

    http = openai.DefaultHttpxClient(event_hooks={"response": [note]})
    return openai.OpenAI(base_url=url, api_key=KEY, max_retries=max_retries, http_client=http), answers


def raised(call):
    """The SDK's exception."""
    try:
        call()
    except openai.APIError as error:
        return error
    raise AssertionError("nothing was raised")


@check("permanent refusals are not repeated")
def _():
    client, answers = counting(max_retries=3)
    error = raised(lambda: client.responses.retrieve("resp_unknown"))
    assert isinstance(error, openai.NotFoundError), error
    error = raised(lambda: client.chat.completions.create(model="no-such-model", messages=MESSAGES))
    assert isinstance(error, openai.NotFoundError), error
    assert len(answers) == 2, answers
    for _, headers, _ in answers:
        assert headers["x-should-retry"] == "false", headers


@check("throttling and outages are repeated after the time that is told")
def _():
    # Models that nothing else here calls: what throttles is left alone for a while.
    for status, kind, model in (
        (429, openai.RateLimitError, "gpt-4.1"), (503, openai.InternalServerError, "o4-mini"),
    ):
        client, answers = counting(max_retries=2)
        # Stateful, so that it goes to one backend, which says so each time.
        error = raised(lambda: client.responses.create(
            model=model, input="x",
            extra_headers={"x-sim-fault": f"status={status};retry-after-ms=1500"},
        ))
        assert isinstance(error, kind), error
        assert [answer[0] for answer in answers] == [status] * 3, answers
        waits = []
        for (_, headers, at), (_, _, then) in zip(answers, answers[1:]):
            told = float(headers["retry-after-ms"]) / 1000
            assert int(headers["retry-after"]) >= told, headers
            assert "x-should-retry" not in headers, headers
            waits.append((then - at, told))
        # The SDK's own pauses are half a second and a second: those that are longer are obeyed.
        assert all(1 < told <= wait for wait, told in waits), waits


@check("late errors in streams are raised")
def _():
    thread = azure.beta.threads.create(messages=[{"role": "user", "content": "late errors"}])
    assistant = azure.beta.assistants.create(model="gpt-4o")
    streams = {
        "chat": lambda headers: plain.chat.completions.create(
            model="gpt-4o", messages=MESSAGES, stream=True, extra_headers=headers),
        "completion": lambda headers: azure.completions.create(
            model="gpt-35-turbo-instruct", prompt="x", stream=True, extra_headers=headers),
        "responses": lambda headers: plain.responses.create(
            model="gpt-4o", input="x", stream=True, extra_headers=headers),
        "run": lambda headers: azure.beta.threads.runs.create(
            thread_id=thread.id, assistant_id=assistant.id, stream=True, extra_headers=headers),
    }
    for name, stream in streams.items():
        for fault in ("cut-after=700", "mid-stream-error"):
            seen = []

            def read():
                for event in stream({"x-sim-fault": fault}):
                    seen.append(event)

            error = raised(read)
            assert type(error) is openai.APIError, (name, fault, error)
            if fault == "mid-stream-error":
                continue
            assert error.body["code"] == "BackendConnectionFailure", (name, fault, error.body)
            if name == "responses":
                numbers = [event.sequence_number for event in seen]
                assert numbers == list(range(len(numbers))), numbers


sys.exit(status())
