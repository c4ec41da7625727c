// Calls of every kind, so that the portal has something to show.
import { readFileSync } from 'node:fs';

const VERSION = 'api-version=2025-04-01-preview';
const QUESTIONS = [
  'Which islands are warm in May?',
  'Summarise the minutes of the board meeting in three sentences.',
  'Write a polite reminder for invoice 2026-1147.',
  'What is the boiling point of water at 3,000 m?',
];
// One red pixel, and a fifth of a second of silence.
const PNG =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC';

/** A caller with an endpoint and a key. */
export class Caller {
  constructor(endpoint, key) {
    this.endpoint = endpoint;
    this.key = key;
  }

  async call(
    path,
    body,
    { key = this.key, agent = 'AzureOpenAI/Python 2.8.1', method = 'POST', fault } = {},
  ) {
    const target = `${this.endpoint}${path}${path.includes('?') ? '&' : '?'}${VERSION}`;
    const response = await fetch(target, {
      method,
      headers: {
        'api-key': key,
        'content-type': 'application/json',
        'user-agent': agent,
        ...(fault && { 'x-sim-fault': fault }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const bytes = Buffer.from(await response.arrayBuffer());
    return { status: response.status, text: bytes.toString('utf8') };
  }

  chat(content, { deployment = 'gpt-4o', stream = false, ...more } = {}) {
    const messages = [
      { role: 'system', content: 'You are a terse assistant.' },
      { role: 'user', content },
    ];
    return this.call(
      `/openai/deployments/${deployment}/chat/completions`,
      { messages, stream },
      more,
    );
  }
}

/** A little of everything: answers the number of calls. */
export async function everything(caller) {
  const tool = {
    type: 'function',
    function: {
      name: 'weather',
      parameters: { type: 'object', properties: { place: { type: 'string' } } },
    },
  };
  const picture = { type: 'image_url', image_url: { url: `data:image/png;base64,${PNG}` } };
  const calls = [
    ...QUESTIONS.map((question, at) => () => caller.chat(question, { stream: at % 2 === 1 })),
    ...QUESTIONS.map(
      (question) => () =>
        caller.chat(question, { deployment: 'gpt-4o-mini', agent: 'AzureOpenAI/JS 5.12.0' }),
    ),
    () => caller.chat([{ type: 'text', text: 'What is in this picture?' }, picture]),
    () =>
      caller.call('/openai/deployments/gpt-4o/chat/completions', {
        messages: [{ role: 'user', content: 'Is it raining in Bergen?' }],
        tools: [tool],
      }),
    () => caller.call('/openai/responses', { model: 'gpt-4o', input: 'A haiku about audit' }),
    () =>
      caller.call('/openai/deployments/text-embedding-3-small/embeddings', {
        input: ['the quick brown fox', 'jumps over'],
      }),
    () =>
      caller.call('/openai/deployments/dall-e-3/images/generations', {
        prompt: 'a lighthouse in fog',
        n: 1,
        size: '1024x1024',
        response_format: 'b64_json',
      }),
    () =>
      caller.call('/openai/deployments/tts-1/audio/speech', {
        model: 'tts-1',
        input: 'Mind the gap',
        voice: 'alloy',
      }),
    () => caller.chat('Who am I?', { key: 'not-a-key', agent: 'curl/8.5.0' }),
    () => caller.chat('No such deployment', { deployment: 'gpt-9' }),
    () => caller.call('/openai/nonsense/path', {}, { agent: 'curl/8.5.0' }),
    () => caller.call('/openai/deployments', undefined, { method: 'GET' }),
  ];
  for (const call of calls) await call();
  return calls.length;
}

/** Reads the settings that `gatehouse demo --write-env` writes. */
export function readEnvironment(file) {
  const lines = readFileSync(file, 'utf8').matchAll(/^(\w+)='(.*)'$/gm);
  return Object.fromEntries([...lines].map(([, name, value]) => [name, value]));
}
