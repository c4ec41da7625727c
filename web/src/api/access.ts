/** Subscriptions and roles: the desired state. Keys come once, when they are made. */
import { getJson, getTagged, type Tagged, unchanged, withReason } from './http';

export interface Subscription {
  id: string;
  product: string;
  owner: string;
  state: string;
  expires_at?: string | null;
  retired_keys?: { expires_at?: string }[];
}

export interface Keyed {
  subscription: Subscription;
  primary_key: string | null;
  secondary_key: string | null;
}

export interface RoleHolders {
  role: string;
  groups?: string[];
  users?: string[];
}

interface Page<T> {
  items: T[];
  next: string | null;
}

/** Pages read at most. */
const PAGES_MAX = 100;

const at = (id: string, verb = ''): string =>
  `/admin/v1/subscriptions/${encodeURIComponent(id)}${verb && `/${verb}`}`;

export async function readSubscriptions(signal: AbortSignal): Promise<Subscription[]> {
  const found: Subscription[] = [];
  let after: string | null = '';
  for (let page = 0; page < PAGES_MAX && after !== null; page += 1) {
    const query: string = after && `?after=${encodeURIComponent(after)}`;
    const path = `/admin/v1/subscriptions${query}`;
    const answer: Page<Subscription> = await getJson(path, { signal });
    found.push(...answer.items);
    after = answer.next;
  }
  return found;
}

export interface NewSubscription {
  id: string;
  product: string;
  owner: string;
}

export const createSubscription = (body: NewSubscription, reason: string): Promise<Keyed> =>
  getJson(withReason('/admin/v1/subscriptions', reason), { method: 'POST', body });

export const readSubscription = (id: string, signal: AbortSignal): Promise<Tagged<Subscription>> =>
  getTagged(at(id), { signal });

export const rotateKey = (
  { value: { id }, etag }: Tagged<Subscription>,
  key: 'primary' | 'secondary',
  grace_s: number,
  reason: string,
): Promise<Keyed> =>
  getJson(withReason(at(id, 'rotate'), reason), {
    method: 'POST',
    body: { key, grace_s },
    headers: unchanged(etag),
  });

export type SubscriptionStep = 'suspend' | 'activate' | 'approve' | 'reject' | 'cancel';

export const stepSubscription = (id: string, step: SubscriptionStep): Promise<unknown> =>
  getJson(at(id, step), { method: 'POST' });

export async function readRoles(signal: AbortSignal): Promise<RoleHolders[]> {
  const { items } = await getJson<{ items: RoleHolders[] }>('/admin/v1/roles', { signal });
  return items;
}
