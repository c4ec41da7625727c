/** Why there is nothing to see: the reasons look and read differently. */
import type { ComponentChildren } from 'preact';
import type { Failure } from '../api/failure';
import { Button } from './button';
import { Icon, type IconName } from './icon';

export type EmptyKind =
  | 'no-traffic'
  | 'capture-off'
  | 'erased'
  | 'no-permission'
  | 'expired'
  | 'failed';

const TEXTS: Record<EmptyKind, { icon: IconName; title: string; text: string }> = {
  'no-traffic': {
    icon: 'live',
    title: 'Nothing in this range',
    text: 'No interaction matches. Widen the time range or take a filter away.',
  },
  'capture-off': {
    icon: 'eye',
    title: 'Content was not captured',
    text: 'The interaction is on record, this content of it is not.',
  },
  erased: {
    icon: 'close',
    title: 'Content was erased',
    text: 'By an order that is on record: Erasures has who gave it, when and why. That the interaction took place stays proved.',
  },
  'no-permission': {
    icon: 'access',
    title: 'Your roles do not allow this',
    text: 'Ask an administrator for the role that does. Access › Roles lists what each may see.',
  },
  expired: {
    icon: 'requests',
    title: 'No longer kept',
    text: 'The retention period has passed and what was here has been removed.',
  },
  failed: {
    icon: 'warning',
    title: 'That did not work',
    text: 'The gateway could not answer.',
  },
};

interface Props {
  kind: EmptyKind;
  text?: string | undefined;
  children?: ComponentChildren;
}

export function Empty({ kind, text, children }: Props) {
  const known = TEXTS[kind];
  return (
    <div class={`empty empty-${kind}`} role={kind === 'failed' ? 'alert' : 'status'}>
      <Icon name={known.icon} />
      {/* Not every list has a range: what says why it is empty is all there is to say. */}
      <p class="empty-title">{kind === 'no-traffic' ? text || known.title : known.title}</p>
      {(kind !== 'no-traffic' || !text) && <p class="muted">{text || known.text}</p>}
      {children}
    </div>
  );
}

/** The empty state that a failure asks for. */
export function Failed({ failure, again }: { failure: Failure; again?: () => void }) {
  const kind: EmptyKind =
    failure.kind === 'no-permission' || failure.kind === 'expired' ? failure.kind : 'failed';
  return (
    <Empty kind={kind} text={failure.message}>
      {again && kind === 'failed' && (
        <Button icon="refresh" onClick={again}>
          Try again
        </Button>
      )}
    </Empty>
  );
}
