/** Content stays covered until the reader says what for; the purpose goes on record. */
import { signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { Button } from '../ui/button';
import { Input } from '../ui/field';
import { Icon } from '../ui/icon';

/** Interactions that were opened in this tab, with the purpose of each. */
const opened = signal<ReadonlyMap<string, string>>(new Map());
/** The purpose stated last, offered again. */
const lastPurpose = signal('');

const PURPOSE_LENGTH_MIN = 5;
const PURPOSE_LENGTH_MAX = 200;

export const purposeFor = (id: string): string => opened.value.get(id) ?? '';

interface Props {
  id: string;
  children: (purpose: string) => ComponentChildren;
}

export function Reveal({ id, children }: Props) {
  const purpose = purposeFor(id);
  if (!purpose) return <Cover id={id} />;
  return <>{children(purpose)}</>;
}

function Cover({ id }: { id: string }) {
  const open = (purpose: string) => {
    opened.value = new Map(opened.value).set(id, purpose);
  };
  return <PurposeForm onState={open} note="" />;
}

interface FormProps {
  onState: (purpose: string) => void;
  note: string;
}

/** Asks what content is read for. */
export function PurposeForm({ onState, note }: FormProps) {
  const [text, setText] = useState(lastPurpose.value);
  const purpose = text.trim();
  const submit = (event: Event) => {
    event.preventDefault();
    lastPurpose.value = purpose;
    onState(purpose);
  };
  return (
    <form class="cover" onSubmit={submit}>
      <Icon name="eye" />
      <div>
        <h2>Content is covered</h2>
        <p class="muted">
          {note} Who reads prompts, answers and headers, and what for, goes on record before they
          are shown.
        </p>
      </div>
      <Input
        label="Purpose"
        value={text}
        onChange={setText}
        required
        minLength={PURPOSE_LENGTH_MIN}
        maxLength={PURPOSE_LENGTH_MAX}
        placeholder="such as: complaint 4711"
      />
      <Button type="submit" look="main" disabled={purpose.length < PURPOSE_LENGTH_MIN}>
        Show content
      </Button>
    </form>
  );
}
