/** A dialog over what is there now: it is read with its tag first, so that nobody's change is lost. */
import type { ComponentChildren } from 'preact';
import type { Tagged } from '../api/http';
import { useLoad } from '../load';
import { Dialog } from './dialog';
import { Failed } from './empty';
import { Loading } from './panel';

interface Props<T> {
  title: string;
  read: (signal: AbortSignal) => Promise<Tagged<T>>;
  onClose: () => void;
  children: (found: Tagged<T>) => ComponentChildren;
}

export function Current<T>({ title, read, onClose, children }: Props<T>) {
  const found = useLoad(title, read);
  if (found.value) return <>{children(found.value)}</>;
  return (
    <Dialog title={title} onClose={onClose}>
      <div class="dialog-body">
        {found.failure ? <Failed failure={found.failure} again={found.again} /> : <Loading />}
      </div>
    </Dialog>
  );
}
