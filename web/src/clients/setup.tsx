/** What a developer changes: the endpoint and the key. */
import { param, setParams } from '../location';
import { Snippet } from '../ui/copy';
import { Input } from '../ui/field';

const FIRST_ENDPOINT = 'https://gatehouse.example.org';
const FIRST_DEPLOYMENT = 'gpt-4o';

interface Target {
  endpoint: string;
  deployment: string;
}

const SNIPPETS: readonly { name: string; text: (target: Target) => string }[] = [
  {
    name: 'Python, Azure OpenAI',
    text: ({ endpoint, deployment }) => `# pip install openai
import os
from openai import AzureOpenAI

client = AzureOpenAI(
    azure_endpoint=${JSON.stringify(endpoint)},
    api_key=os.environ["GATEHOUSE_KEY"],
    api_version="2024-10-21",
)
answer = client.chat.completions.create(
    model=${JSON.stringify(deployment)},
    messages=[{"role": "user", "content": "Hello"}],
)
print(answer.choices[0].message.content)`,
  },
  {
    name: 'Python, OpenAI v1',
    text: ({ endpoint, deployment }) => `import os
from openai import OpenAI

client = OpenAI(base_url=${JSON.stringify(`${endpoint}/openai/v1`)}, api_key=os.environ["GATEHOUSE_KEY"])
answer = client.responses.create(model=${JSON.stringify(deployment)}, input="Hello")
print(answer.output_text)`,
  },
  {
    name: 'Node',
    text: ({ endpoint, deployment }) => `// npm install openai
import { AzureOpenAI } from 'openai';

const client = new AzureOpenAI({
  endpoint: ${JSON.stringify(endpoint)},
  apiKey: process.env.GATEHOUSE_KEY,
  apiVersion: '2024-10-21',
});
const answer = await client.chat.completions.create({
  model: ${JSON.stringify(deployment)},
  messages: [{ role: 'user', content: 'Hello' }],
});
console.log(answer.choices[0].message.content);`,
  },
  {
    name: '.NET',
    text: ({ endpoint, deployment }) => `// dotnet add package Azure.AI.OpenAI
using System.ClientModel;
using Azure.AI.OpenAI;

var key = Environment.GetEnvironmentVariable("GATEHOUSE_KEY");
var client = new AzureOpenAIClient(new Uri(${JSON.stringify(endpoint)}), new ApiKeyCredential(key));
var answer = await client.GetChatClient(${JSON.stringify(deployment)}).CompleteChatAsync("Hello");
Console.WriteLine(answer.Value.Content[0].Text);`,
  },
  {
    name: 'curl',
    text: ({
      endpoint,
      deployment,
    }) => `curl -s '${endpoint}/openai/deployments/${encodeURIComponent(deployment)}/chat/completions?api-version=2024-10-21' \\
  -H "api-key: $GATEHOUSE_KEY" -H 'Content-Type: application/json' \\
  -d '{"messages":[{"role":"user","content":"Hello"}]}'`,
  },
];

export function Setup() {
  const endpoint = (param('endpoint') || FIRST_ENDPOINT).replace(/\/+$/, '');
  const deployment = param('deployment') || FIRST_DEPLOYMENT;
  return (
    <div class="stack setup">
      <p>
        A client changes endpoint and key, nothing else. The endpoint is the gateway's data
        listener, the key belongs to a subscription. Keep the key in the environment, not in the
        code.
      </p>
      <div class="filters">
        <div class="grow">
          <Input
            label="Endpoint"
            value={endpoint}
            onChange={(value) => setParams({ endpoint: value })}
          />
        </div>
        <Input
          label="Deployment"
          value={deployment}
          onChange={(value) => setParams({ deployment: value })}
        />
      </div>
      {SNIPPETS.map(({ name, text }) => (
        <Snippet key={name} name={name} text={text({ endpoint, deployment })} />
      ))}
    </div>
  );
}
