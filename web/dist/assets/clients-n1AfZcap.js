import{E as e,I as t,L as n,T as r,V as i,c as a,g as o,p as s,r as c,t as l,vt as u,w as d,x as f}from"./index-DC9w_QkD.js";import{n as p}from"./copy-g1qhDYSY.js";import{n as m}from"./reveal-DoChlk0q.js";import{t as h}from"./query-table-CgbBhkfi.js";import{t as g}from"./tabs-DkdwEEDJ.js";var _=`https://gatehouse.example.org`,v=`gpt-4o`,y=[{name:`Python, Azure OpenAI`,text:({endpoint:e,deployment:t})=>`# pip install openai
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
  -d '{"messages":[{"role":"user","content":"Hello"}]}'`}];function b(){let t=(d(`endpoint`)||_).replace(/\/+$/,``),n=d(`deployment`)||v;return f(`div`,{class:`stack setup`,children:[f(`p`,{children:`A client changes endpoint and key, nothing else. The endpoint is the gateway's data listener, the key belongs to a subscription. Keep the key in the environment, not in the code.`}),f(`div`,{class:`filters`,children:[f(`div`,{class:`grow`,children:f(o,{label:`Endpoint`,value:t,onChange:t=>e({endpoint:t})})}),f(o,{label:`Deployment`,value:n,onChange:t=>e({deployment:t})})]}),y.map(({name:e,text:r})=>f(p,{name:e,text:r({endpoint:t,deployment:n})},e))]})}var x=[{id:`use`,name:`In use`},{id:`setup`,name:`Set up a client`}];function S(){return f(u,{children:[f(a,{title:`Clients`}),f(g,{tabs:x,label:`Clients`,children:e=>f(e===`setup`?b:w,{})})]})}function C({within:e,purpose:r}){let i=`${e}
| extend Sdk = tostring(RequestHeaders['x-stainless-lang']), Version = tostring(RequestHeaders['x-stainless-package-version']), Attempt = toint(RequestHeaders['x-stainless-retry-count'])
| where Sdk != ''
| summarize Calls = count(), Retries = countif(Attempt > 0) by Sdk, Version
| top 50 by Calls desc`;return f(h,{title:`Official SDKs and their retries`,csl:i,purpose:r,none:`No official SDK has called in this time range.`,columns:[{name:`SDK`,show:e=>s(e.Sdk)},{name:`Version`,show:e=>s(e.Version)},{name:`Calls`,isNumber:!0,show:e=>t(e.Calls)},{name:`Retries`,isNumber:!0,show:e=>n(e.Retries,e.Calls)}]})}function w(){let e=`Interactions\n| where ${l(c(r.value.params))}`,a=`${e}
| summarize Calls = count(), Callers = dcount(CallerIpAddress), Failed = countif(ResponseCode >= 400),
    LastSeen = max(TimeGenerated) by UserAgent
| top 50 by Calls desc`,o=`${e} and ResponseCode in (404, 405) and (BackendId == '' or OperationId == '')
| summarize Calls = count(), Agents = make_set(UserAgent, 3)
    by Method, Path = tostring(split(Url, '?')[0]), Reason = LastErrorReason
| top 50 by Calls desc`,u=`${e} and OperationId != ''
| summarize Calls = count(), LastSeen = max(TimeGenerated) by ApiVersion, Surface
| top 50 by Calls desc`;return f(`div`,{class:`stack`,children:[f(h,{title:`Programs`,note:`by user agent`,csl:a,none:`Nobody has called in this time range.`,columns:[{name:`User agent`,show:e=>s(e.UserAgent)||`(none)`},{name:`Calls`,isNumber:!0,show:e=>t(e.Calls)},{name:`Callers`,isNumber:!0,show:e=>t(e.Callers)},{name:`Failed`,isNumber:!0,show:e=>n(e.Failed,e.Calls)},{name:`Last seen`,isNumber:!0,show:e=>i(e.LastSeen)}]}),f(m,{id:`retries of clients`,children:t=>f(C,{within:e,purpose:t})}),f(h,{title:`Wrong paths`,note:`unknown to the gateway`,csl:o,none:`Every call went to a path that is known.`,columns:[{name:`Method`,show:e=>e.Method},{name:`Path`,show:e=>f(`span`,{class:`mono`,children:s(e.Path)})},{name:`Reason`,show:e=>s(e.Reason)},{name:`Calls`,isNumber:!0,show:e=>t(e.Calls)},{name:`Programs`,show:e=>s((e.Agents??[]).join(`, `))}]}),f(h,{title:`API versions`,csl:u,none:`Nobody has called in this time range.`,columns:[{name:`Version`,show:e=>s(e.ApiVersion)||`(none)`},{name:`Surface`,show:e=>e.Surface},{name:`Calls`,isNumber:!0,show:e=>t(e.Calls)},{name:`Last seen`,isNumber:!0,show:e=>i(e.LastSeen)}]})]})}export{S as default};