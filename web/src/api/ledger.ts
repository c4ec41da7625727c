/** The ledger: the trail of an interaction, and the proof of all. */
import { getJson, headerText, send } from './http';

export interface Step {
  sequence: number;
  kind: string;
  facts: Record<string, unknown>;
}

export interface BodySum {
  pieces: number;
  bytes: number;
  sha256: string;
}

/** When an answer came; times are microseconds since 1970. */
export interface Course {
  first_output_at_us: number | null;
  grain_us: number;
  moments: { at_us: number; pieces: number; bytes: number }[];
  gaps: { from_us: number; to_us: number }[];
}

export interface Trail {
  is_whole: boolean;
  first_sequence: number;
  last_sequence: number;
  frames: number;
  steps: Step[];
  is_cut: boolean;
  request: BodySum;
  response: BodySum;
  course: Course;
}

export const readTrail = (id: string, last: number, signal: AbortSignal): Promise<Trail> =>
  getJson(`/admin/v1/interactions/${encodeURIComponent(id)}/trail?last=${last}`, { signal });

export interface RawBody {
  text: string;
  isCut: boolean;
}

/** A body as it passed, bytes that are no UTF-8 replaced. The look is recorded. */
export async function readRaw(
  id: string,
  last: number,
  side: 'request' | 'response',
  purpose: string,
): Promise<RawBody> {
  const path = `/admin/v1/interactions/${encodeURIComponent(id)}/raw?last=${last}&side=${side}`;
  const response = await send(path, { headers: { 'x-gatehouse-purpose': headerText(purpose) } });
  const bytes = await response.arrayBuffer();
  const text = new TextDecoder().decode(bytes);
  return { text, isCut: response.headers.get('x-gatehouse-cut') === '1' };
}

/** What became of an order to erase. */
export interface Erased {
  erasure_id: string;
  is_done: boolean;
}

/** Erases what an interaction said, for good. */
export const eraseContent = (id: string, purpose: string): Promise<Erased> =>
  getJson('/admin/v1/erasures', { method: 'POST', body: { correlation_ids: [id], purpose } });

export interface Finding {
  kind: string;
  sequence: number;
  text: string;
}

export interface Report {
  is_clean: boolean;
  is_part: boolean;
  segments: number;
  commits: number;
  frames: number;
  erased: number;
  erasures_ordered: number;
  opened: number;
  closed: number;
  refused: number;
  open: number;
  first_sequence: number;
  last_sequence: number;
  last_digest: string;
  checkpoints: number;
  signed_sequence: number;
  signed_by: string[];
  findings: Finding[];
  findings_total: number;
}

/** Proves the ledger from one place to another: a sequence or a time each; empty for its beginning or end. */
export async function verifyLedger(from: string, to: string): Promise<Report> {
  const search = new URLSearchParams();
  if (from) search.set('from', from);
  if (to) search.set('to', to);
  const { report } = await getJson<{ report: Report }>(`/admin/v1/ledger/verify?${search}`, {
    method: 'POST',
  });
  return report;
}
