/** Dashboards: tiles of KQL with parameters. Own ones are kept in this browser; all travel as JSON. */
import { signal } from '@preact/signals';
import { literal } from '../kql/text';

export interface Tile {
  title: string;
  query: string;
  isWide: boolean;
}

export const PARAMETER_TYPES = ['string', 'timespan', 'datetime', 'long', 'real'] as const;
export type ParameterType = (typeof PARAMETER_TYPES)[number];

export interface Parameter {
  name: string;
  type: ParameterType;
  first: string;
}

export interface Dashboard {
  name: string;
  parameters: Parameter[];
  tiles: Tile[];
}

export const FORMAT = 1;
const DASHBOARDS_MAX = 50;
const TILES_MAX = 40;
const NAME_CHARACTERS_MAX = 100;
const NAME = 'dashboards';

/** What everybody has. `Span` is a timespan such as 24h, `Deployment` may be empty. */
export const BUILT_IN: Dashboard = {
  name: 'Models at a glance',
  parameters: [
    { name: 'Span', type: 'timespan', first: '24h' },
    { name: 'Deployment', type: 'string', first: '' },
  ],
  tiles: [
    tile(
      'Calls',
      'summarize Calls = count(), Failed = countif(ResponseCode >= 500), Tokens = sum(TotalTokens), CostUsd = sum(CostUsd) | render card',
      true,
    ),
    tile(
      'Calls by deployment',
      'summarize Calls = count() by bin(TimeGenerated, Span / 48), DeploymentName | render columnchart',
    ),
    tile(
      'Duration, 95 %',
      'summarize Duration = percentile(TotalTime, 95) by bin(TimeGenerated, Span / 48) | render timechart',
    ),
    tile(
      'Tokens by model',
      'summarize Tokens = sum(TotalTokens) by ModelName | top 10 by Tokens desc | render barchart',
    ),
    tile(
      'Errors',
      "where LastErrorReason != '' | summarize Calls = count() by LastErrorReason, ResponseCode | sort by Calls desc",
    ),
  ],
};

function tile(title: string, rest: string, isWide = false): Tile {
  const source =
    'Interactions\n| where TimeGenerated > ago(Span)\n| where Deployment == "" or DeploymentName == Deployment';
  return { title, query: `${source}\n| ${rest.replaceAll(' | ', '\n| ')}`, isWide };
}

/** The query of a tile with the parameters declared, so that values are never code. */
export function withParameters(query: string, parameters: Parameter[]): string {
  if (parameters.length === 0) return query;
  const declared = parameters.map(({ name, type }) => `${name}:${type}`).join(', ');
  return `declare query_parameters(${declared});\n${query}`;
}

/** The value of a parameter as the literal that Kusto wants. */
export const literalOf = ({ type }: Parameter, text: string): string =>
  type === 'string' ? literal(text) : text.trim();

const IDENTIFIER = /^[A-Za-z_]\w{0,40}$/;
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A dashboard from JSON; what is wrong with it is an error that names it. */
export function fromJson(text: string): Dashboard {
  return checked(JSON.parse(text));
}

/** A dashboard that came as a value; what is wrong with it is an error that names it. */
export function checked(found: unknown): Dashboard {
  if (!isObject(found)) throw new Error('the file holds no dashboard');
  if (found.format !== FORMAT) throw new Error(`"format" must be ${FORMAT}`);
  if (typeof found.name !== 'string' || !found.name.trim()) throw new Error('"name" is missing');
  if (!Array.isArray(found.tiles) || found.tiles.length > TILES_MAX) {
    throw new Error(`"tiles" must be a list of at most ${TILES_MAX}`);
  }
  const parameters: unknown[] = Array.isArray(found.parameters) ? found.parameters : [];
  return {
    name: [...found.name.trim()].slice(0, NAME_CHARACTERS_MAX).join(''),
    parameters: parameters.map(parameterFrom),
    tiles: found.tiles.map(tileFrom),
  };
}

function parameterFrom(value: unknown): Parameter {
  if (!isObject(value) || typeof value.name !== 'string' || !IDENTIFIER.test(value.name)) {
    throw new Error('a parameter has a "name" of letters, digits and _');
  }
  const type = PARAMETER_TYPES.find((known) => known === value.type);
  if (!type) throw new Error(`the "type" of a parameter is one of ${PARAMETER_TYPES.join(', ')}`);
  return { name: value.name, type, first: typeof value.first === 'string' ? value.first : '' };
}

function tileFrom(value: unknown): Tile {
  if (!isObject(value) || typeof value.title !== 'string' || typeof value.query !== 'string') {
    throw new Error('a tile has a "title" and a "query"');
  }
  return { title: value.title, query: value.query, isWide: value.isWide === true };
}

export const toJson = (dashboard: Dashboard): string =>
  `${JSON.stringify({ format: FORMAT, ...dashboard }, null, 2)}\n`;

function read(): Dashboard[] {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(NAME) ?? '[]');
    return Array.isArray(found) ? found.map(checked) : [];
  } catch {
    return [];
  }
}

export const own = signal<Dashboard[]>(read());

function keep(dashboards: Dashboard[]): void {
  own.value = dashboards.slice(0, DASHBOARDS_MAX);
  const stored = own.value.map((dashboard) => ({ format: FORMAT, ...dashboard }));
  localStorage.setItem(NAME, JSON.stringify(stored));
}

/** Keeps a dashboard; one of the same name is replaced. */
export const save = (dashboard: Dashboard): void =>
  keep([dashboard, ...own.value.filter(({ name }) => name !== dashboard.name)]);

export const forget = (name: string): void => keep(own.value.filter((one) => one.name !== name));
