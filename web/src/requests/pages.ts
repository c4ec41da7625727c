/** Pages of the list, newest first; the ledger's sequence is the bookmark. */
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
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
  more: () => void;
}

interface State {
  rows: Request[];
  failure: Failure | null;
  isLoading: boolean;
  hasMore: boolean;
}

const EMPTY: State = { rows: [], failure: null, isLoading: true, hasMore: true };

/** The pages of `source`, which begin anew whenever it or `round` changes. */
export function usePages(source: string, round: number): Pages {
  const [state, setState] = useState<State>(EMPTY);
  const control = useRef<AbortController | null>(null);
  const isBusy = useRef(false);

  const fetchAfter = useCallback(
    async (held: Request[], signal: AbortSignal) => {
      isBusy.current = true;
      const last = held[held.length - 1]?.LedgerSequence;
      const after = last === undefined ? '' : `\n| where LedgerSequence < ${last}`;
      const csl = `${source}${after}\n| top ${PAGE} by LedgerSequence desc\n| project ${PROJECTION}`;
      try {
        const page = await queryRows<Request>(csl, { signal });
        const rows = [...held, ...page];
        const hasMore = page.length === PAGE && rows.length < ROWS_MAX;
        if (!signal.aborted) setState({ rows, failure: null, isLoading: false, hasMore });
      } catch (error) {
        if (signal.aborted) return;
        setState({ rows: held, failure: asFailure(error), isLoading: false, hasMore: false });
      } finally {
        if (!signal.aborted) isBusy.current = false;
      }
    },
    [source],
  );

  useEffect(() => {
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
