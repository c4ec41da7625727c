/**
 * Pages of the list, newest first. They are asked for by time, as tables lie in its order: the next page
 * begins in the instant in which the last one ended, and what of it is held already is left out.
 */
import { useCallback, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { asFailure, type Failure } from '../api/failure';
import { rows as queryRows } from '../api/kusto';
import { PROJECTION, type Request } from './columns';

const PAGE = 500;
/** Rows held at most; who needs more narrows the filter or exports. */
export const ROWS_MAX = 20_000;

export interface Pages {
  rows: Request[];
  failure: Failure | null;
  isLoading: boolean;
  hasMore: boolean;
  /** The source that the rows, or the failure, are of. */
  of: string;
  more: () => void;
}

interface State {
  rows: Request[];
  failure: Failure | null;
  isLoading: boolean;
  hasMore: boolean;
  of: string;
}

const EMPTY: State = { rows: [], failure: null, isLoading: true, hasMore: true, of: '' };

/** The pages of `source`, which begin anew whenever it or `round` changes. */
export function usePages(source: string, round: number): Pages {
  const [state, setState] = useState<State>(EMPTY);
  const control = useRef<AbortController | null>(null);
  const isBusy = useRef(false);

  const fetchAfter = useCallback(
    async (held: Request[], signal: AbortSignal) => {
      isBusy.current = true;
      const last = held[held.length - 1]?.TimeGenerated;
      const known = new Set(
        held.filter((row) => row.TimeGenerated === last).map((row) => row.LedgerSequence),
      );
      const until = last === undefined ? '' : `\n| where TimeGenerated <= datetime(${last})`;
      const wanted = PAGE + known.size;
      const csl = `${source}${until}\n| top ${wanted} by TimeGenerated desc\n| project ${PROJECTION}`;
      try {
        const page = await queryRows<Request>(csl, { signal });
        const rows = [...held, ...page.filter((row) => !known.has(row.LedgerSequence))];
        const hasMore = page.length === wanted && rows.length < ROWS_MAX;
        if (signal.aborted) return;
        setState({ rows, failure: null, isLoading: false, hasMore, of: source });
      } catch (error) {
        if (signal.aborted) return;
        const failure = asFailure(error);
        setState({ rows: held, failure, isLoading: false, hasMore: false, of: source });
      } finally {
        if (!signal.aborted) isBusy.current = false;
      }
    },
    [source],
  );

  // Asked before the frame around them is painted, not after.
  useLayoutEffect(() => {
    const own = new AbortController();
    control.current = own;
    setState((before) => ({ ...before, isLoading: true }));
    fetchAfter([], own.signal);
    return () => own.abort();
  }, [fetchAfter, round]);

  const more = () => {
    const signal = control.current?.signal;
    if (!signal || isBusy.current || !state.hasMore) return;
    fetchAfter(state.rows, signal);
  };
  return { ...state, more };
}
