/** A titled part of a screen. */
import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';

interface Props {
  title: string;
  note?: ComponentChildren;
  actions?: ComponentChildren;
  children: ComponentChildren;
}

export function Panel({ title, note, actions, children }: Props) {
  const id = useId();
  return (
    <section class="panel" aria-labelledby={id}>
      <header class="panel-head">
        <h2 id={id}>{title}</h2>
        {note && <span class="muted">{note}</span>}
        {actions && <div class="panel-actions">{actions}</div>}
      </header>
      {children}
    </section>
  );
}

/** The head of a screen: what it is, and what can be done with all of it. */
export function Head({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="head">
      <h1 tabIndex={-1}>{title}</h1>
      <div class="head-actions">{children}</div>
    </div>
  );
}

/** A figure with its name. */
export function Figure(props: {
  name: string;
  value: ComponentChildren;
  note?: string;
  tone?: string;
}) {
  return (
    <div class="figure">
      <dt>{props.name}</dt>
      <dd class={props.tone ? `figure-value tone-${props.tone}` : 'figure-value'}>{props.value}</dd>
      {props.note && <dd class="figure-note">{props.note}</dd>}
    </div>
  );
}

/** Names and values, one a line. */
export function Facts({ facts }: { facts: [string, ComponentChildren][] }) {
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value === '' || value === null || value === undefined ? '–' : value}</dd>
        </div>
      ))}
    </dl>
  );
}

export const Loading = () => (
  <div class="loading" role="status">
    <span class="visually-hidden">Loading</span>
  </div>
);
