// Names, types and mistakes of our binder against those of Kusto's own language service.
//
// Asks both about the queries of shapes.txt, of the engine's test data and of the public examples. Prints
// `ok NAME` for each of these, or `FAIL NAME: reason` for a query on which they differ unless
// differences.txt says why. Exits 1 if one failed.
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import vm from 'node:vm';

const { HERE, MODULES, BIND } = process.env;
const root = join(HERE, '../..');

const service = join(MODULES, 'node_modules/@kusto/language-service-next');
for (const file of ['bridge.min.js', 'Kusto.Language.Bridge.min.js']) {
  vm.runInThisContext(readFileSync(join(service, file), 'utf8'), { filename: file });
}
const { Kusto, Bridge, System } = globalThis;
const { KustoCode, GlobalState, Symbols } = Kusto.Language;

/** The state of the language service with these tables, kept for the queries that share them. */
const states = new Map();
function stateOf(tables) {
  const key = JSON.stringify(tables);
  if (!states.has(key)) {
    const list = new (System.Collections.Generic.List$1(Symbols.Symbol).ctor)();
    for (const name of Object.keys(tables).sort()) {
      list.add(Symbols.TableSymbol.From(tables[name]).WithName(name));
    }
    const database = new Symbols.DatabaseSymbol.$ctor1('db', list, false);
    states.set(key, GlobalState.Default.WithDatabase(database));
  }
  return states.get(key);
}

/** What the language service says: the columns of the result, or the codes of what is wrong. */
function theirs({ query, tables }) {
  let code;
  try {
    code = KustoCode.ParseAndAnalyze(query, stateOf(tables));
  } catch {
    // Some queries are too much for it.
    return undefined;
  }
  const found = Bridge.toArray(code.GetDiagnostics()).filter((d) => d.Severity === 'Error');
  if (found.length > 0) {
    return { mistakes: found.sort((a, b) => a.Start - b.Start).map((d) => [d.Code, d.Message]) };
  }
  const columns = code.ResultType?.Columns;
  return { columns: columns ? Bridge.toArray(columns).map((c) => [c.Name, c.Type?.Name ?? 'unknown']) : [] };
}

/** What our binder says of all queries. */
function ours(asked) {
  const input = asked.map((one) => JSON.stringify(one)).join('\n');
  const { status, stdout, stderr } = spawnSync(BIND, { input, encoding: 'utf8', maxBuffer: 1 << 28 });
  if (status !== 0) throw new Error(`${BIND}: ${stderr}`);
  return stdout.trimEnd().split('\n').map((line) => JSON.parse(line));
}

const UNSUPPORTED = 'GH001';

/** How two answers differ; nothing if they agree. */
function difference(our, their) {
  if (!their) return undefined;
  const [[ourCode, ourWords] = []] = our.mistakes ?? [];
  const [[theirCode, theirWords] = []] = their.mistakes ?? [];
  if (ourCode === UNSUPPORTED) return undefined;
  if (ourCode && theirCode) {
    return ourCode === theirCode ? undefined : `${ourCode} (${ourWords}), not ${theirCode} (${theirWords})`;
  }
  if (ourCode) return `refused with ${ourCode}: ${ourWords}`;
  if (theirCode) return `not refused with ${theirCode}: ${theirWords}`;
  const show = (columns) => columns.map((column) => column.join(':')).join(', ');
  const agree =
    our.columns.length === their.columns.length &&
    our.columns.every(([name, type], at) => {
      const [theirName, theirType] = their.columns[at];
      return name === theirName && (type === theirType || theirType === 'unknown');
    });
  return agree ? undefined : `${show(our.columns)}, not ${show(their.columns)}`;
}

/** The queries of shapes.txt. */
function shapes() {
  const tables = {};
  const asked = [];
  let templates = [];
  let filling = false;
  for (const line of readFileSync(join(HERE, 'shapes.txt'), 'utf8').split('\n')) {
    if (line.startsWith('#')) continue;
    const table = /^table (\w+) (\(.*\))$/.exec(line);
    if (table) tables[table[1]] = table[2];
    else if (line === '') [templates, filling] = [[], false];
    else if (line.startsWith('= ') && !filling) templates.push(line.slice(2));
    else if (templates.length === 0) asked.push(line);
    else {
      filling = true;
      asked.push(...templates.map((template) => template.replace('{}', () => line)));
    }
  }
  return asked.map((query) => ({ query, tables }));
}

/** The queries of the engine's test data. */
function testdata() {
  const folder = join(root, 'crates/query/testdata');
  const files = readdirSync(folder).filter((name) => name.endsWith('.kqlt'));
  return files.flatMap((file) =>
    readFileSync(join(folder, file), 'utf8').split('\n====\n').map((text) => {
      const sections = text.split('\n----\n');
      const tables = {};
      for (const [, name, columns] of sections[0].matchAll(/^table (\w+) ?(\(.*\))$/gm)) tables[name] = columns;
      return { query: sections.length === 3 ? sections[1] : sections[0], tables };
    }),
  );
}

/** The public examples that say which tables they need. */
function examples() {
  const lines = readFileSync(join(root, 'crates/kql/testdata/cases.jsonl'), 'utf8').trim().split('\n');
  const cases = lines.map((line) => JSON.parse(line));
  return cases
    .filter((one) => one.bind_tables || !one.parse_only)
    .map((one) => ({ query: one.query, tables: one.bind_tables ?? {} }));
}

const flat = (query) => query.replace(/\s+/g, ' ').trim();

/** Queries on which they may differ, each with the reason. */
function believed() {
  const reasons = new Map();
  let reason = '';
  for (const line of readFileSync(join(HERE, 'differences.txt'), 'utf8').split('\n')) {
    if (line.startsWith('# ')) reason = line.slice(2);
    else if (line !== '') reasons.set(flat(line), reason);
  }
  return reasons;
}

const known = believed();
const met = new Set();
let failures = 0;
for (const [name, asked] of Object.entries({ shapes: shapes(), testdata: testdata(), examples: examples() })) {
  const answers = ours(asked);
  const count = { agree: 0, unsupported: 0, believed: 0 };
  let failed = 0;
  asked.forEach((one, at) => {
    const query = flat(one.query);
    const differs = difference(answers[at], theirs(one));
    if (!differs) {
      count[answers[at].mistakes?.[0][0] === UNSUPPORTED ? 'unsupported' : 'agree'] += 1;
    } else if (known.has(query)) {
      met.add(query);
      count.believed += 1;
    } else {
      failed += 1;
      console.log(`FAIL language service ${name}: ${query}: ${flat(differs)}`);
    }
  });
  failures += failed;
  const { agree, unsupported, believed: other } = count;
  if (failed === 0) {
    console.log(`ok language service ${name}: ${agree} agree, ${unsupported} not supported here, ${other} differ for a reason`);
  }
}
for (const query of known.keys()) {
  if (met.has(query)) continue;
  failures += 1;
  console.log(`FAIL language service: differences.txt has a query that does not differ: ${query}`);
}
process.exitCode = failures > 0 ? 1 : 0;
