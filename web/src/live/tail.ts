/** The rows of the live tail: newest first, held back while paused. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { events } from '../api/events';
import { asFailure, type Failure } from '../api/failure';
import type { Request } from '../requests/columns';

/** Rows kept; older ones are under Requests. */
const ROWS_MAX = 2000;
const RETRY_AFTER = 2000;

export interface TailState {
  rows: Request[];
  /** Rows that came while paused. */
  held: number;
  isConnected: boolean;
  failure: Failure | null;
}

export function useTail(path: string, isPaused: boolean): TailState {
  const rows = useRef<Request[]>([]);
  const held = useRef<Request[]>([]);
  const paused = useRef(isPaused);
  const [, redraw] = useState(0);
  const [isConnected, setConnected] = useState(false);
  const [failure, setFailure] = useState<Failure | null>(null);
  paused.current = isPaused;

  useEffect(() => {
    const control = new AbortController();
    rows.current = [];
    held.current = [];
    const take = (fresh: Request[]) => {
      const target = paused.current ? held : rows;
      const seen = target.current[0]?.LedgerSequence ?? 0;
      const added = fresh.filter((row) => row.LedgerSequence > seen).reverse();
      target.current = [...added, ...target.current].slice(0, ROWS_MAX);
      redraw((before) => before + 1);
    };
    const listen = async () => {
      for await (const { name, data } of events(path, control.signal)) {
        setConnected(true);
        setFailure(null);
        if (name === 'rows') take(JSON.parse(data));
      }
    };
    const keepListening = async () => {
      while (!control.signal.aborted) {
        try {
          await listen();
        } catch (error) {
          if (control.signal.aborted) return;
          setFailure(asFailure(error));
        }
        setConnected(false);
        await new Promise((resolve) => setTimeout(resolve, RETRY_AFTER));
      }
    };
    keepListening();
    return () => control.abort();
  }, [path]);

  useEffect(() => {
    if (isPaused || held.current.length === 0) return;
    const seen = rows.current[0]?.LedgerSequence ?? 0;
    const fresh = held.current.filter((row) => row.LedgerSequence > seen);
    rows.current = [...fresh, ...rows.current].slice(0, ROWS_MAX);
    held.current = [];
    redraw((before) => before + 1);
  }, [isPaused]);

  return { rows: rows.current, held: held.current.length, isConnected, failure };
}
