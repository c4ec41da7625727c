/** What a screen waits for: loading, then a value or the reason why there is none. */
import { useCallback, useEffect, useState } from 'preact/hooks';
import { asFailure, type Failure } from './api/failure';

export interface Load<T> {
  value: T | null;
  failure: Failure | null;
  isLoading: boolean;
  again: () => void;
}

interface Held<T> {
  key: string;
  value: T | null;
  failure: Failure | null;
}

/**
 * Loads whenever `key` changes; what came for an older key is thrown away. While a reload runs the
 * value before stays, so that nothing flickers.
 */
export function useLoad<T>(key: string, load: (signal: AbortSignal) => Promise<T>): Load<T> {
  const [held, hold] = useState<Held<T>>({ key: '', value: null, failure: null });
  const [round, setRound] = useState(0);
  const wanted = `${round}\n${key}`;
  useEffect(() => {
    const control = new AbortController();
    load(control.signal).then(
      (value) => {
        if (!control.signal.aborted) hold({ key: wanted, value, failure: null });
      },
      (error) => {
        if (!control.signal.aborted) hold({ key: wanted, value: null, failure: asFailure(error) });
      },
    );
    return () => control.abort();
  }, [wanted]);
  const again = useCallback(() => setRound((before) => before + 1), []);
  return { ...held, isLoading: held.key !== wanted, again };
}
