import{C as e,F as t,M as n,S as r,Y as i,_ as a,c as o,j as s,p as c,r as l,t as u,w as d}from"./index-C01cdl7H.js";import{n as f}from"./copy-BfcQe1nk.js";import{t as p}from"./text-CTjgZ3lM.js";import{t as m}from"./query-table-OLdiOjZd.js";import{t as h}from"./tabs-WmDI6yNG.js";var g=`https://gatehouse.example.org`,_=`gpt-4o`,v=[{name:`Python, Azure OpenAI`,text:({endpoint:e,deployment:t})=>`# pip install openai
import os
from openai import AzureOpenAI

client = AzureOpenAI(
    azure_endpoint=${JSON.stringify(e)},
    api_key=os.environ["GATEHOUSE_KEY"],
    api_version="2024-10-21",
)
answer = client.chat.completions.create(
    model=${JSON.stringify(t)},
    messages=[{"role": "user", "content": "Hello"}],
)
print(answer.choices[0].message.content)`},{name:`Python, OpenAI v1`,text:({endpoint:e,deployment:t})=>`import os
from openai import OpenAI

client = OpenAI(base_url=${JSON.stringify(`${e}/openai/v1`)}, api_key=os.environ["GATEHOUSE_KEY"])
answer = client.responses.create(model=${JSON.stringify(t)}, input="Hello")
print(answer.output_text)`},{name:`Node`,text:({endpoint:e,deployment:t})=>`// npm install openai
import { AzureOpenAI } from 'openai';

const client = new AzureOpenAI({
  endpoint: ${JSON.stringify(e)},
  apiKey: process.env.GATEHOUSE_KEY,
  apiVersion: '2024-10-21',
});
const answer = await client.chat.completions.create({
  model: ${JSON.stringify(t)},
  messages: [{ role: 'user', content: 'Hello' }],
});
console.log(answer.choices[0].message.content);`},{name:`.NET`,text:({endpoint:e,deployment:t})=>`// dotnet add package Azure.AI.OpenAI
using System.ClientModel;
using Azure.AI.OpenAI;

var key = Environment.GetEnvironmentVariable("GATEHOUSE_KEY");
var client = new AzureOpenAIClient(new Uri(${JSON.stringify(e)}), new ApiKeyCredential(key));
var answer = await client.GetChatClient(${JSON.stringify(t)}).CompleteChatAsync("Hello");
Console.WriteLine(answer.Value.Content[0].Text);`},{name:`curl`,text:({endpoint:e,deployment:t})=>`curl -s '${e}/openai/deployments/${encodeURIComponent(t)}/chat/completions?api-version=2024-10-21' \\
  -H "api-key: $GATEHOUSE_KEY" -H 'Content-Type: application/json' \\
  -d '{"messages":[{"role":"user","content":"Hello"}]}'`}];function y(){let e=(r(`endpoint`)||g).replace(/\/+$/,``),t=r(`deployment`)||_;return a(`div`,{class:`stack setup`,children:[a(`p`,{children:`A client changes endpoint and key, nothing else. The endpoint is the gateway's data listener, the key belongs to a subscription. Keep the key in the environment, not in the code.`}),a(`div`,{class:`filters`,children:[a(`div`,{class:`grow`,children:a(c,{label:`Endpoint`,value:e,onChange:e=>d({endpoint:e})})}),a(c,{label:`Deployment`,value:t,onChange:e=>d({deployment:e})})]}),v.map(({name:n,text:r})=>a(f,{name:n,text:r({endpoint:e,deployment:t})},n))]})}var b=[{id:`use`,name:`In use`},{id:`setup`,name:`Set up a client`}];function x(){return a(i,{children:[a(o,{title:`Clients`}),a(h,{tabs:b,label:`Clients`,children:e=>a(e===`setup`?y:C,{})})]})}var S=`toint(RequestHeaders['x-stainless-retry-count'])`;function C(){let r=`Interactions\n| where ${u(l(e.value.params))}`,i=`${r}
| summarize Calls = count(), Callers = dcount(CallerIpAddress), Failed = countif(ResponseCode >= 400),
    Retries = countif(${S} > 0), LastSeen = max(TimeGenerated) by UserAgent
| top 50 by Calls desc`,o=`${r} and ResponseCode in (404, 405) and (BackendId == '' or OperationId == '')
| summarize Calls = count(), Agents = make_set(UserAgent, 3)
    by Method, Path = tostring(split(Url, '?')[0]), Reason = LastErrorReason
| top 50 by Calls desc`,c=`${r} and OperationId != ''
| summarize Calls = count(), LastSeen = max(TimeGenerated) by ApiVersion, Surface
| top 50 by Calls desc`;return a(`div`,{class:`stack`,children:[a(m,{title:`Programs`,note:`by user agent`,csl:i,none:`Nobody has called in this time range.`,columns:[{name:`User agent`,show:e=>p(e.UserAgent)||`(none)`},{name:`Calls`,isNumber:!0,show:e=>s(e.Calls)},{name:`Callers`,isNumber:!0,show:e=>s(e.Callers)},{name:`Failed`,isNumber:!0,show:e=>n(e.Failed,e.Calls)},{name:`Retries`,isNumber:!0,show:e=>n(e.Retries,e.Calls)},{name:`Last seen`,isNumber:!0,show:e=>t(e.LastSeen)}]}),a(m,{title:`Wrong paths`,note:`unknown to the gateway`,csl:o,none:`Every call went to a path that is known.`,columns:[{name:`Method`,show:e=>e.Method},{name:`Path`,show:e=>a(`span`,{class:`mono`,children:p(e.Path)})},{name:`Reason`,show:e=>p(e.Reason)},{name:`Calls`,isNumber:!0,show:e=>s(e.Calls)},{name:`Programs`,show:e=>p((e.Agents??[]).join(`, `))}]}),a(m,{title:`API versions`,csl:c,none:`Nobody has called in this time range.`,columns:[{name:`Version`,show:e=>p(e.ApiVersion)||`(none)`},{name:`Surface`,show:e=>e.Surface},{name:`Calls`,isNumber:!0,show:e=>s(e.Calls)},{name:`Last seen`,isNumber:!0,show:e=>t(e.LastSeen)}]})]})}export{x as default};