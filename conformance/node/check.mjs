// The official Node SDK through Gatehouse: every kind of call, then what was recorded of it.
// Prints `ok NAME` or `FAIL NAME: reason` per check and exits 1 if one failed.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import tls from 'node:tls';
import OpenAI, { AzureOpenAI, toFile } from 'openai';
import { OpenAIRealtimeWebSocket } from 'openai/realtime/websocket';
import { OpenAIRealtimeWS } from 'openai/realtime/ws';
import { WebSocket } from 'ws';

const { GATEHOUSE, GATEHOUSE_ENDPOINT, GATEHOUSE_KEY, GATEHOUSE_CONFIG } = process.env;
const azure = new AzureOpenAI({
  endpoint: GATEHOUSE_ENDPOINT,
  apiKey: GATEHOUSE_KEY,
  apiVersion: '2025-04-01-preview',
  maxRetries: 0,
});
const plain = new OpenAI({ baseURL: `${GATEHOUSE_ENDPOINT}/openai/v1/`, apiKey: GATEHOUSE_KEY, maxRetries: 0 });
let failures = 0;

async function check(name, run) {
  try {
    await run();
    console.log(`ok ${name}`);
  } catch (error) {
    failures += 1;
    console.log(`FAIL ${name}: ${String(error?.message ?? error).slice(0, 500).replaceAll('\n', ' ')}`);
  }
}

// A row may take a second to be queryable.
async function kql(query, rows = 1) {
  let found = [];
  for (let attempt = 0; attempt < 50; attempt += 1) {
    const answer = execFileSync(
      GATEHOUSE,
      ['query', '--config', GATEHOUSE_CONFIG, '--purpose', 'conformance', '--output', 'json', query],
      { encoding: 'utf8', maxBuffer: 1 << 26 },
    );
    found = JSON.parse(answer);
    if (found.length >= rows) return found;
    await sleep(100);
  }
  throw new Error(`${found.length} rows instead of ${rows} for ${query}`);
}

const messages = [
  { role: 'system', content: 'You are terse.' },
  { role: 'user', content: 'node sdk: name three islands' },
];

for (const [label, client] of [['azure', azure], ['v1', plain]]) {
  await check(`${label} chat`, async () => {
    const answer = await client.chat.completions.create({ model: 'gpt-4o', messages });
    const [row] = await kql(`Interactions | where RequestId == '${answer.id}'`);
    assert.equal(row.TotalTokens, answer.usage.total_tokens);
    assert.equal(row.DeploymentName, 'gpt-4o');
    const parts = await kql(`Messages | where CorrelationId == '${row.CorrelationId}' | sort by SequenceNumber asc`, 3);
    assert.equal(parts[1].Content, messages[1].content);
    assert.equal(parts[2].Content, answer.choices[0].message.content);
  });

  await check(`${label} chat stream`, async () => {
    let text = '';
    let id = '';
    const stream = await client.chat.completions.create({ model: 'gpt-4o', messages, stream: true });
    for await (const chunk of stream) {
      id ||= chunk.id;
      text += chunk.choices[0]?.delta?.content ?? '';
    }
    assert.ok(text);
    const [row] = await kql(`Interactions | where RequestId == '${id}'`);
    assert.equal(JSON.parse(row.ResponseBody).choices[0].message.content, text);
  });

  await check(`${label} responses`, async () => {
    const answer = await client.responses.create({ model: 'gpt-4o', input: 'node sdk: a haiku' });
    assert.ok(answer.output_text);
    await kql(`Messages | where Content == 'node sdk: a haiku'`);
  });

  await check(`${label} responses stream`, async () => {
    let text = '';
    let final;
    const stream = await client.responses.create({ model: 'gpt-4o', input: 'node sdk: flow', stream: true });
    for await (const event of stream) {
      if (event.type === 'response.output_text.delta') text += event.delta;
      if (event.type === 'response.completed') final = event.response;
    }
    const [row] = await kql(`Interactions | where RequestId == '${final.id}'`);
    assert.equal(row.TotalTokens, final.usage.total_tokens);
    assert.ok(text);
  });

  await check(`${label} embeddings`, async () => {
    const answer = await client.embeddings.create({ model: 'text-embedding-3-small', input: `node ${label} alpha` });
    assert.ok(answer.data[0].embedding.length >= 256);
    await kql(`Messages | where Content == 'node ${label} alpha'`);
  });

  await check(`${label} images`, async () => {
    const answer = await client.images.generate({ model: 'dall-e-3', prompt: `node ${label} fox` });
    assert.ok(answer.data[0].url ?? answer.data[0].b64_json);
    await kql(`Messages | where Content == 'node ${label} fox' and ContentType == 'image_prompt'`);
  });

  await check(`${label} transcription`, async () => {
    const file = await toFile(Buffer.alloc(1600), 'a.wav');
    const answer = await client.audio.transcriptions.create({ model: 'whisper', file });
    assert.ok(answer.text);
  });

  await check(`${label} files and batches`, async () => {
    const line = { custom_id: 'a', method: 'POST', url: '/chat/completions', body: { model: 'gpt-4o', messages } };
    const file = await client.files.create({
      file: await toFile(Buffer.from(`${JSON.stringify(line)}\n`), 'in.jsonl'),
      purpose: 'batch',
    });
    let batch = await client.batches.create({
      input_file_id: file.id,
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
    });
    for (let poll = 0; poll < 20 && batch.status !== 'completed'; poll += 1) {
      batch = await client.batches.retrieve(batch.id);
    }
    assert.equal(batch.status, 'completed');
    const output = await client.files.content(batch.output_file_id);
    assert.ok((await output.text()).length > 0);
  });

  await check(`${label} fine-tuning`, async () => {
    const line = JSON.stringify({ messages: [...messages, { role: 'assistant', content: 'Crete' }] });
    const file = await client.files.create({
      file: await toFile(Buffer.from(`${line}\n`.repeat(10)), 'train.jsonl'),
      purpose: 'fine-tune',
    });
    const job = await client.fineTuning.jobs.create({ model: 'gpt-4o-mini', training_file: file.id });
    assert.equal((await client.fineTuning.jobs.retrieve(job.id)).id, job.id);
  });

  await check(`${label} assistants`, async () => {
    const { beta } = client;
    const assistant = await beta.assistants.create({ model: 'gpt-4o', instructions: `node ${label} tutor` });
    const thread = await beta.threads.create();
    await beta.threads.messages.create(thread.id, { role: 'user', content: `node ${label} what is 2+2?` });
    const run = await beta.threads.runs.createAndPoll(
      thread.id,
      { assistant_id: assistant.id },
      { pollIntervalMs: 50 },
    );
    assert.equal(run.status, 'completed');
    await kql(`Messages | where ThreadId == '${thread.id}' and Content == 'node ${label} what is 2+2?'`);
  });

  await check(`${label} assistants stream`, async () => {
    const { beta } = client;
    const assistant = await beta.assistants.create({ model: 'gpt-4o', instructions: 'tutor' });
    const thread = await beta.threads.create({ messages: [{ role: 'user', content: 'streamed?' }] });
    let text = '';
    const stream = await beta.threads.runs.create(thread.id, { assistant_id: assistant.id, stream: true });
    for await (const event of stream) {
      if (event.event === 'thread.message.delta') text += event.data.delta.content?.[0]?.text?.value ?? '';
    }
    assert.ok(text);
    const parts = await kql(`Messages | where ThreadId == '${thread.id}' and Direction == 'completion'`);
    assert.ok(parts.some((part) => part.Content === text));
  });
}

// One turn; the text that was answered and the tokens it took.
async function turn(realtime, text) {
  const { socket } = realtime;
  return new Promise((resolve, reject) => {
    let answer = '';
    realtime.on('error', reject);
    socket.addEventListener('close', ({ code }) => reject(new Error(`closed with ${code}`)));
    const said = ({ delta }) => {
      answer += delta;
    };
    realtime.on('response.output_text.delta', said);
    realtime.on('response.text.delta', said);
    realtime.on('response.done', ({ response }) => {
      realtime.close();
      resolve({ answer, usage: response.usage });
    });
    socket.addEventListener('open', () => {
      realtime.send({ type: 'session.update', session: { type: 'realtime', output_modalities: ['text'] } });
      const content = [{ type: 'input_text', text }];
      realtime.send({ type: 'conversation.item.create', item: { type: 'message', role: 'user', content } });
      realtime.send({ type: 'response.create' });
    });
  });
}

// The SDK insists on wss: TLS ends here, the rest is the gateway's.
const pem = execFileSync(
  'openssl',
  ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-keyout', '-'],
  { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
);
const behind = new URL(GATEHOUSE_ENDPOINT);
const front = tls.createServer({ key: pem, cert: pem }, (socket) => {
  const back = net.connect(Number(behind.port), behind.hostname);
  for (const end of [socket, back]) end.on('error', () => {});
  socket.pipe(back).pipe(socket);
});
await new Promise((listening) => {
  front.listen(0, '127.0.0.1', listening);
});
process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
const secure = `https://127.0.0.1:${front.address().port}`;
const azureSecure = new AzureOpenAI({
  endpoint: secure,
  apiKey: GATEHOUSE_KEY,
  apiVersion: '2025-04-01-preview',
});
const plainSecure = new OpenAI({ baseURL: `${secure}/openai/v1/`, apiKey: GATEHOUSE_KEY });

// As in a browser: no headers, so the key is in the query or a subprotocol.
globalThis.WebSocket = WebSocket;
const model = 'gpt-realtime';
for (const [label, open] of [
  ['azure realtime ws', () => OpenAIRealtimeWS.azure(azureSecure, { deploymentName: model })],
  ['azure realtime in a browser', () => OpenAIRealtimeWebSocket.azure(azureSecure, { deploymentName: model })],
  ['v1 realtime ws', async () => new OpenAIRealtimeWS({ model }, plainSecure)],
  ['v1 realtime in a browser', async () => new OpenAIRealtimeWebSocket({ model }, plainSecure)],
]) {
  await check(label, async () => {
    const text = `node ${label}`;
    const { answer, usage } = await turn(await open(), text);
    assert.ok(answer);
    const [row] = await kql(
      `Messages | where Content == '${text}' | join kind=inner Interactions on CorrelationId`,
    );
    assert.equal(row.ResponseCode, 101);
    assert.equal(row.TotalTokens, usage.total_tokens);
    assert.ok(!JSON.stringify(row).includes(GATEHOUSE_KEY), 'the key is in the record');
    const parts = await kql(`Messages | where CorrelationId == '${row.CorrelationId}' and Content == '${answer}'`);
    assert.equal(parts[0].Direction, 'completion');
  });
}

await check("errors reach the SDK as its own types", async () => {
  const wrong = new AzureOpenAI({ endpoint: GATEHOUSE_ENDPOINT, apiKey: 'wrong', apiVersion: '2024-10-21', maxRetries: 0 });
  await assert.rejects(wrong.chat.completions.create({ model: 'gpt-4o', messages }), OpenAI.AuthenticationError);
  await assert.rejects(azure.chat.completions.create({ model: 'no-such-deployment', messages }), OpenAI.NotFoundError);
});

// A client that retries, and the answers it got with the times they came.
function counting(maxRetries) {
  const answers = [];
  const noting = async (...asked) => {
    const answer = await fetch(...asked);
    answers.push({ status: answer.status, headers: answer.headers, at: performance.now() });
    return answer;
  };
  const client = new OpenAI({ baseURL: `${GATEHOUSE_ENDPOINT}/openai/v1/`, apiKey: GATEHOUSE_KEY, maxRetries, fetch: noting });
  return { client, answers };
}

await check('permanent refusals are not repeated', async () => {
  const { client, answers } = counting(3);
  await assert.rejects(client.responses.retrieve('resp_unknown'), OpenAI.NotFoundError);
  await assert.rejects(client.chat.completions.create({ model: 'no-such-model', messages }), OpenAI.NotFoundError);
  assert.equal(answers.length, 2);
  for (const { headers } of answers) assert.equal(headers.get('x-should-retry'), 'false');
});

await check('throttling and outages are repeated after the time that is told', async () => {
  // Models that nothing else here calls: what throttles is left alone for a while.
  for (const [status, kind, model] of [
    [429, OpenAI.RateLimitError, 'gpt-4.1'], [503, OpenAI.InternalServerError, 'o4-mini'],
  ]) {
    const { client, answers } = counting(2);
    const headers = { 'x-sim-fault': `status=${status};retry-after-ms=1500` };
    await assert.rejects(client.responses.create({ model, input: 'x' }, { headers }), kind);
    assert.deepEqual(answers.map((answer) => answer.status), [status, status, status]);
    for (const [place, { headers: told, at }] of answers.slice(0, 2).entries()) {
      const milliseconds = Number(told.get('retry-after-ms'));
      assert.ok(Number(told.get('retry-after')) * 1000 >= milliseconds);
      assert.equal(told.get('x-should-retry'), null);
      const wait = answers[place + 1].at - at;
      // The SDK's own pauses are half a second and a second: those that are longer are obeyed.
      assert.ok(milliseconds > 1000 && wait >= milliseconds - 2, `${wait} ms instead of ${milliseconds}`);
    }
  }
});

await check('late errors in streams are raised', async () => {
  const streams = {
    chat: (headers) => plain.chat.completions.create({ model: 'gpt-4o', messages, stream: true }, { headers }),
    responses: (headers) => plain.responses.create({ model: 'gpt-4o', input: 'x', stream: true }, { headers }),
  };
  for (const [name, stream] of Object.entries(streams)) {
    for (const fault of ['cut-after=700', 'mid-stream-error']) {
      const read = async () => {
        for await (const event of await stream({ 'x-sim-fault': fault })) assert.ok(event);
      };
      await assert.rejects(read, (error) => {
        assert.ok(error instanceof OpenAI.APIError, `${name} ${fault}: ${error}`);
        if (fault !== 'mid-stream-error') assert.equal(error.code, 'BackendConnectionFailure', name);
        return true;
      });
    }
  }
});

process.exit(failures ? 1 : 0);
