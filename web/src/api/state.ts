/** The configuration in force, and the desired state: products, budgets, dashboards and versions. */
import { deleteTagged, getJson, getTagged, putTagged, type Tagged, withReason } from './http';

export type Origin = 'default' | 'file' | 'environment' | 'database';

export interface Setting {
  path: string;
  value: unknown;
  origin: Origin;
  variable: string | null;
  needs_restart: boolean;
}

export interface SettingList {
  file: string;
  settings: Setting[];
}

export const readSettings = (signal: AbortSignal): Promise<SettingList> =>
  getJson('/admin/v1/configuration', { signal });

export interface Version {
  version: number;
  created_at_us: number;
  operation: string;
  principal_name: string;
  message: string;
}

export interface VersionPage {
  items: Version[];
  next: string | null;
}

export const readVersions = (after: string, signal: AbortSignal): Promise<VersionPage> =>
  getJson(`/admin/v1/versions${after && `?after=${encodeURIComponent(after)}`}`, { signal });

export interface Change {
  kind: string;
  id: string;
  change: 'added' | 'changed' | 'removed';
  before: unknown;
  after: unknown;
}

export interface Changes {
  version: number;
  changes: Change[];
}

/** What leads from one version to another; from the one before if none is named. */
export const readDiff = (
  version: number,
  from: number | null,
  signal: AbortSignal,
): Promise<Changes> =>
  getJson(`/admin/v1/versions/${version}/diff${from === null ? '' : `?from=${from}`}`, { signal });

export const rollBack = (version: number, reason: string): Promise<Changes> =>
  getJson(withReason(`/admin/v1/versions/${version}/rollback`, reason), { method: 'POST' });

export interface Product {
  id: string;
  operations?: string[];
  deployments?: string[];
  limits?: unknown[];
  [field: string]: unknown;
}

export async function readProducts(signal: AbortSignal): Promise<Product[]> {
  const { items } = await getJson<{ items: Product[] }>('/admin/v1/products?limit=1000', {
    signal,
  });
  return items;
}

const product = (id: string): string => `/admin/v1/products/${encodeURIComponent(id)}`;

export const readProduct = (id: string, signal: AbortSignal): Promise<Tagged<Product>> =>
  getTagged(product(id), { signal });

/** `etag` is null for a new one. */
export const putProduct = (body: Product, etag: string | null, reason: string): Promise<Product> =>
  putTagged(product(body.id), body, etag, reason);

export const deleteProduct = (id: string, etag: string, reason: string): Promise<unknown> =>
  deleteTagged(product(id), etag, reason);

/** Money that shall not be exceeded in a period; empty scopes are for all. */
export interface BudgetConfig {
  id: string;
  amount_usd: number;
  period: string;
  subscription: string;
  product: string;
  user: string;
  deployment: string;
  model: string;
}

const budget = (id: string): string => `/admin/v1/budgets/${encodeURIComponent(id)}`;

export const readBudget = (id: string, signal: AbortSignal): Promise<Tagged<BudgetConfig>> =>
  getTagged(budget(id), { signal });

/** `etag` is null for a new one. */
export const putBudget = (
  body: BudgetConfig,
  etag: string | null,
  reason: string,
): Promise<BudgetConfig> => putTagged(budget(body.id), body, etag, reason);

export const deleteBudget = (id: string, etag: string, reason: string): Promise<unknown> =>
  deleteTagged(budget(id), etag, reason);

/** A dashboard that everybody sees. */
export interface DashboardConfig {
  id: string;
  name: string;
  parameters: { name: string; type: string; first: string }[];
  tiles: { title: string; query: string; is_wide: boolean }[];
}

/** All of them: there are 100 at most. */
export async function readDashboards(signal: AbortSignal): Promise<DashboardConfig[]> {
  const { items } = await getJson<{ items: DashboardConfig[] }>('/admin/v1/dashboards', { signal });
  return items;
}

const dashboard = (id: string): string => `/admin/v1/dashboards/${encodeURIComponent(id)}`;

export const readDashboard = (id: string, signal: AbortSignal): Promise<Tagged<DashboardConfig>> =>
  getTagged(dashboard(id), { signal });

/** `etag` is null for a new one. */
export const putDashboard = (
  body: DashboardConfig,
  etag: string | null,
  reason: string,
): Promise<DashboardConfig> => putTagged(dashboard(body.id), body, etag, reason);

export const deleteDashboard = (id: string, etag: string, reason: string): Promise<unknown> =>
  deleteTagged(dashboard(id), etag, reason);
