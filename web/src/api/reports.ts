/** Scheduled reports: how they stand, and the making of one now. */
import { getJson } from './http';

export interface Report {
  report: {
    id: string;
    name: string;
    enabled: boolean;
    query: string;
    every: 'day' | 'week' | 'month';
    hour: number;
    time_zone: string;
    format: string;
    to: string[];
    folder: string;
  };
  /** As whom it asks. */
  identity: string;
  reads_content: boolean;
  next_at: string | null;
  last: { period: string; at: string; failure: string } | null;
  /** Why it has not arrived yet; empty if nothing waits. */
  failure: string;
}

export interface ReportRun {
  period: string;
  rows: number;
  bytes: number;
  /** What each place that it goes to answered. */
  places: Record<string, unknown>;
}

export async function readReports(signal: AbortSignal): Promise<Report[]> {
  const { reports } = await getJson<{ reports: Report[] }>('/admin/v1/reports', { signal });
  return reports;
}

export const runReport = (id: string): Promise<ReportRun> =>
  getJson(`/admin/v1/reports/${encodeURIComponent(id)}/run`, { method: 'POST' });
