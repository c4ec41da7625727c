/** Approvals of reading content, where a second person has to agree. */
import { getJson } from './http';

export interface Approval {
  id: string;
  state: 'waiting' | 'approved' | 'denied' | 'ended';
  purpose: string;
  requester_id: string;
  requester_name: string;
  requested_at_s: number;
  approver_name: string;
  ends_at_s: number;
}

export interface Approvals {
  is_needed: boolean;
  items: Approval[];
}

export const readApprovals = (signal: AbortSignal): Promise<Approvals> =>
  getJson('/admin/v1/approvals', { signal });

export const requestApproval = (purpose: string): Promise<Approval> =>
  getJson('/admin/v1/approvals', { method: 'POST', body: { purpose } });

export const decide = (id: string, verb: 'approve' | 'deny'): Promise<Approval> =>
  getJson(`/admin/v1/approvals/${encodeURIComponent(id)}/${verb}`, { method: 'POST' });
