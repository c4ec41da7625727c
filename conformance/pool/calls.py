"""Mixed calls through the official Python SDK with its own way of trying again.

Takes a plan as JSON and prints a line of JSON for each call: what it was, every answer that came with its
correlation id, the objects that it made and named, and the error that its caller saw. calls.mjs is the same
in Node.
"""

import json
import sys
import threading
import time

import openai

PLAN = json.loads(sys.argv[1])
# The order of work; a response, a file and a thread are several calls.
MIX = [
    "chat", "stream", "embeddings", "chat", "completion", "response", "chat", "stream", "embeddings", "file",
    "chat", "stream", "completion", "embeddings", "thread", "chat", "response", "stream", "chat", "embeddings",
]
lock = threading.Lock()
done = 0


class Worker:
    """Calls of one subscription, one after the other."""

    def __init__(self, number):
        self.number = number
        self.answers = []
        http = openai.DefaultHttpxClient(event_hooks={"response": [self.note]})
        key = PLAN["keys"][number % len(PLAN["keys"])]
        if number % 2:
            self.client = openai.OpenAI(
                base_url=PLAN["endpoint"] + "/openai/v1/", api_key=key, http_client=http)
        else:
            self.client = openai.AzureOpenAI(
                azure_endpoint=PLAN["endpoint"], api_key=key, api_version="2025-04-01-preview",
                http_client=http)

    def note(self, answer):
        self.answers.append([answer.status_code, answer.headers["x-gatehouse-correlation-id"]])

    def run(self):
        place = self.number
        while done < PLAN["calls"]:
            getattr(self, MIX[place % len(MIX)])()
            place += 1

    def call(self, what, run, names=(), makes=True):
        """What the call answers; none if its caller saw an error."""
        global done
        self.answers, self.begun = [], False
        story = {"what": what, "names": list(names), "made": [], "error": None}
        result = None
        try:
            result = run()
            story["made"] = [result.id] if makes else []
        except openai.APIError as error:
            story["error"] = f"{type(error).__name__}: {error}"[:500]
        story |= {"ended": time.time(), "begun": self.begun, "answers": self.answers}
        with lock:
            done += 1
            print(json.dumps(story), flush=True)
        return result

    def messages(self):
        return [{"role": "user", "content": f"pool: caller {self.number} asks for a story"}]

    def chat(self):
        self.call("chat", lambda: self.client.chat.completions.create(
            model=PLAN["chat"], messages=self.messages()), makes=False)

    def stream(self):
        def read():
            for _ in self.client.chat.completions.create(
                    model=PLAN["chat"], messages=self.messages(), stream=True):
                self.begun = True

        self.call("stream", read, makes=False)

    def embeddings(self):
        self.call("embeddings", lambda: self.client.embeddings.create(
            model="text-embedding-3-small", input=["pool", "of three"]), makes=False)

    def completion(self):
        self.call("completion", lambda: self.client.completions.create(
            model="gpt-35-turbo-instruct", prompt="pool: once upon a time"), makes=False)

    def response(self):
        responses = self.client.responses
        first = self.call("response", lambda: responses.create(model=PLAN["chat"], input="pool: begin"))
        if first:
            self.call("response follow-up", lambda: responses.create(
                model=PLAN["chat"], input="go on", previous_response_id=first.id), [first.id])
            self.call("response retrieval", lambda: responses.retrieve(first.id), [first.id], makes=False)

    def file(self):
        files = self.client.files
        made = self.call("file", lambda: files.create(file=("a.jsonl", b"{}\n"), purpose="assistants"))
        if made:
            self.call("file retrieval", lambda: files.retrieve(made.id), [made.id], makes=False)
            self.call("file content", lambda: files.content(made.id), [made.id], makes=False)

    def thread(self):
        beta = self.client.beta
        assistant = self.call("assistant", lambda: beta.assistants.create(model=PLAN["chat"]))
        thread = assistant and self.call("thread", lambda: beta.threads.create())
        if not thread:
            return
        names = [thread.id]
        message = self.call("message", lambda: beta.threads.messages.create(
            thread.id, role="user", content="pool: and then?"), names, makes=False)
        run = message and self.call("run", lambda: beta.threads.runs.create(
            thread_id=thread.id, assistant_id=assistant.id), [thread.id, assistant.id], makes=False)
        if run:
            self.call("run retrieval", lambda: beta.threads.runs.retrieve(
                run.id, thread_id=thread.id), names, makes=False)
            self.call("messages", lambda: beta.threads.messages.list(thread.id), names, makes=False)


workers = [threading.Thread(target=Worker(number).run) for number in range(PLAN["workers"])]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
