/** Which dashboards there are: the built-in one, those that everybody sees, those of this browser. */
import { type DashboardConfig, readDashboards } from '../api/state';
import { param, place, setParams } from '../location';
import { BUILT_IN, checked, type Dashboard, FORMAT, own } from './model';

export interface Listed {
  kind: 'built-in' | 'shared' | 'own';
  /** The id of a shared one, the name of another. */
  id: string;
  dashboard: Dashboard;
}

/** What a shared one shows; it is not trusted more than JSON that somebody sent. */
export function fromConfig({ name, parameters, tiles }: DashboardConfig): Dashboard {
  const plain = tiles.map(({ title, query, is_wide }) => ({ title, query, isWide: is_wide }));
  return checked({ format: FORMAT, name, parameters, tiles: plain });
}

export const toConfig = (id: string, { name, parameters, tiles }: Dashboard): DashboardConfig => ({
  id,
  name,
  parameters,
  tiles: tiles.map(({ title, query, isWide }) => ({ title, query, is_wide: isWide })),
});

export async function readShared(signal: AbortSignal): Promise<Listed[]> {
  const found = await readDashboards(signal);
  return found.map((one) => ({ kind: 'shared', id: one.id, dashboard: fromConfig(one) }));
}

const named = (kind: Listed['kind'], dashboard: Dashboard): Listed => ({
  kind,
  id: dashboard.name,
  dashboard,
});

export const FIRST = named('built-in', BUILT_IN);

export const all = (shared: Listed[]): Listed[] => [
  FIRST,
  ...shared,
  ...own.value.map((one) => named('own', one)),
];

/** The one that the address names; a name may be that of an own one, or of a shared one. */
export function addressed(found: Listed[]): Listed | undefined {
  const [id, name] = [param('shared'), param('name')];
  if (id) return found.find((one) => one.kind === 'shared' && one.id === id);
  if (!name) return FIRST;
  const so = found.filter(({ dashboard }) => dashboard.name === name);
  return so.find(({ kind }) => kind !== 'shared') ?? so[0];
}

/** Goes to one. Of the parameters in the address, those stay that it has. */
export function open({ kind, id, dashboard }: Listed): void {
  const kept = new Set(dashboard.parameters.map(({ name }) => `p.${name}`));
  const given = [...place.value.params.keys()].filter((name) => name.startsWith('p.'));
  const gone = given.filter((name) => !kept.has(name)).map((name) => [name, null]);
  setParams({
    ...Object.fromEntries(gone),
    shared: kind === 'shared' ? id : null,
    name: kind === 'own' ? id : null,
  });
}

/** An id made from a name: what is no letter or digit of ASCII becomes a hyphen. */
export const idOf = (name: string): string =>
  name
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');
