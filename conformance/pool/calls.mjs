// Mixed calls through the official Node SDK with its own way of trying again: see calls.py, which is the
// same in Python.

import OpenAI, { AzureOpenAI, toFile } from 'openai';

const plan = JSON.parse(process.argv[2]);
const mix = [
  'chat', 'stream', 'embeddings', 'chat', 'completion', 'response', 'chat', 'stream', 'embeddings', 'file',
  'chat', 'stream', 'completion', 'embeddings', 'thread', 'chat', 'response', 'stream', 'chat', 'embeddings',
];
let done = 0;

// Calls of one subscription, one after the other.
class Worker {
  constructor(number) {
    this.number = number;
    this.answers = [];
    const apiKey = plan.keys[number % plan.keys.length];
    const noting = async (...asked) => {
      const answer = await fetch(...asked);
      // The SDK tries once whether forms can be sent, without a server.
      if (String(asked[0]).startsWith('data:')) return answer;
      this.answers.push([answer.status, answer.headers.get('x-gatehouse-correlation-id')]);
      return answer;
    };
    this.client = number % 2
      ? new OpenAI({ baseURL: `${plan.endpoint}/openai/v1/`, apiKey, fetch: noting })
      : new AzureOpenAI({ endpoint: plan.endpoint, apiKey, apiVersion: '2025-04-01-preview', fetch: noting });
  }

  async run() {
    for (let place = this.number; done < plan.calls; place += 1) await this[mix[place % mix.length]]();
  }

  // What the call answers; none if its caller saw an error.
  async call(what, run, { names = [], makes = false } = {}) {
    this.answers = [];
    this.begun = false;
    const story = { what, names, made: [], error: null };
    let result;
    try {
      result = await run();
      if (makes) story.made = [result.id];
    } catch (error) {
      if (!(error instanceof OpenAI.APIError)) throw error;
      story.error = `${error.constructor.name}: ${error.message}`.slice(0, 500);
    }
    done += 1;
    console.log(JSON.stringify({ ...story, ended: Date.now() / 1000, begun: this.begun, answers: this.answers }));
    return result;
  }

  get messages() {
    return [{ role: 'user', content: `pool: caller ${this.number} asks for a story` }];
  }

  async chat() {
    const asked = { model: plan.chat, messages: this.messages };
    await this.call('chat', () => this.client.chat.completions.create(asked));
  }

  async stream() {
    await this.call('stream', async () => {
      const asked = { model: plan.chat, messages: this.messages, stream: true };
      for await (const chunk of await this.client.chat.completions.create(asked)) this.begun = Boolean(chunk);
    });
  }

  async embeddings() {
    const asked = { model: 'text-embedding-3-small', input: ['pool', 'of three'] };
    await this.call('embeddings', () => this.client.embeddings.create(asked));
  }

  async completion() {
    const asked = { model: 'gpt-35-turbo-instruct', prompt: 'pool: once upon a time' };
    await this.call('completion', () => this.client.completions.create(asked));
  }

  async response() {
    const { responses } = this.client;
    const model = plan.chat;
    const first = await this.call('response', () => responses.create({ model, input: 'pool: begin' }), { makes: true });
    if (!first) return;
    const names = [first.id];
    const next = { model, input: 'go on', previous_response_id: first.id };
    await this.call('response follow-up', () => responses.create(next), { names, makes: true });
    await this.call('response retrieval', () => responses.retrieve(first.id), { names });
  }

  async file() {
    const { files } = this.client;
    const upload = async () =>
      files.create({ file: await toFile(Buffer.from('{}\n'), 'a.jsonl'), purpose: 'assistants' });
    const made = await this.call('file', upload, { makes: true });
    if (!made) return;
    const names = [made.id];
    await this.call('file retrieval', () => files.retrieve(made.id), { names });
    await this.call('file content', async () => (await files.content(made.id)).text(), { names });
  }

  async thread() {
    const { assistants, threads } = this.client.beta;
    const assistant = await this.call('assistant', () => assistants.create({ model: plan.chat }), { makes: true });
    const thread = assistant && (await this.call('thread', () => threads.create(), { makes: true }));
    if (!thread) return;
    const names = [thread.id];
    const said = { role: 'user', content: 'pool: and then?' };
    const message = await this.call('message', () => threads.messages.create(thread.id, said), { names });
    if (!message) return;
    const asked = { assistant_id: assistant.id };
    const both = { names: [thread.id, assistant.id] };
    const run = await this.call('run', () => threads.runs.create(thread.id, asked), both);
    if (!run) return;
    await this.call('run retrieval', () => threads.runs.retrieve(run.id, { thread_id: thread.id }), { names });
    await this.call('messages', () => threads.messages.list(thread.id), { names });
  }
}

await Promise.all(Array.from({ length: plan.workers }, (_, number) => new Worker(number).run()));
