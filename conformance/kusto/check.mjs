// The official Node client of Kusto against the admin listener.
//
// Prints `ok NAME` or `FAIL NAME: reason` per check and exits 1 if one failed.
import assert from 'node:assert/strict';
import { Client, ClientRequestProperties, KustoConnectionStringBuilder } from 'azure-kusto-data';

const { GATEHOUSE_ADMIN, GATEHOUSE_TOKEN } = process.env;
const connection = KustoConnectionStringBuilder.withTokenProvider(
  `http://${GATEHOUSE_ADMIN}`,
  async () => GATEHOUSE_TOKEN,
);
const client = new Client(connection);
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

await check('kusto node query', async () => {
  const answer = await client.execute('gatehouse', 'print n = 7, t = datetime(2026-01-02), s = 1h');
  const [row] = [...answer.primaryResults[0].rows()];
  assert.equal(row.n, 7);
  assert.equal(row.t.toISOString(), '2026-01-02T00:00:00.000Z');
  assert.equal(row.s, 3600000);
});

await check('kusto node version 1', async () => {
  const answer = await client.executeQueryV1('gatehouse', 'print a = 1; print b = 2');
  assert.deepEqual(answer.primaryResults.map((table) => [...table.rows()][0].raw[0]), [1, 2]);
});

await check('kusto node commands', async () => {
  const answer = await client.execute('gatehouse', '.show database schema as json');
  const schema = JSON.parse([...answer.primaryResults[0].rows()][0].DatabaseSchema);
  assert.ok(schema.Databases.gatehouse.Tables.Interactions.OrderedColumns.length > 50);
});

await check('kusto node wrong query', async () => {
  await assert.rejects(client.execute('gatehouse', 'Interactions | where Nonsense > 1'), (error) => {
    assert.equal(error.response.status, 400);
    assert.match(error.response.data.error['@message'], /Nonsense/);
    return true;
  });
});

await check('kusto node properties', async () => {
  const properties = new ClientRequestProperties();
  properties.setOption('servertimeout', '00:00:30');
  properties.setParameter('n', 5);
  const query = 'declare query_parameters(n:long); print n + 2';
  const answer = await client.execute('gatehouse', query, properties);
  assert.equal([...answer.primaryResults[0].rows()][0].raw[0], 7);
});

client.close();
process.exit(failures ? 1 : 0);
