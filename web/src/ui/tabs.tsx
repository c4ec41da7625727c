/** Tabs whose choice stands in the URL; arrows move between them. */
import type { ComponentChildren } from 'preact';
import { useRef } from 'preact/hooks';
import { param, setParams } from '../location';

export interface Tab {
  id: string;
  name: string;
}

interface Props {
  tabs: readonly Tab[];
  label: string;
  name?: string;
  children: (id: string) => ComponentChildren;
}

export function Tabs({ tabs, label, name = 'tab', children }: Props) {
  const list = useRef<HTMLDivElement>(null);
  const first = tabs[0]?.id ?? '';
  const chosen = tabs.find((tab) => tab.id === param(name))?.id ?? first;
  const choose = (id: string) => setParams({ [name]: id === first ? null : id });
  const move = (event: KeyboardEvent) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const at = tabs.findIndex((tab) => tab.id === chosen);
    const next = tabs[(at + by + tabs.length) % tabs.length];
    if (!next) return;
    choose(next.id);
    list.current?.querySelector<HTMLElement>(`#tab-${next.id}`)?.focus();
  };
  return (
    <>
      <div class="tabs" role="tablist" aria-label={label} ref={list} onKeyDown={move}>
        {tabs.map((tab) => (
          <button
            type="button"
            role="tab"
            id={`tab-${tab.id}`}
            key={tab.id}
            aria-selected={tab.id === chosen}
            aria-controls={`panel-${tab.id}`}
            tabIndex={tab.id === chosen ? 0 : -1}
            onClick={() => choose(tab.id)}
          >
            {tab.name}
          </button>
        ))}
      </div>
      <div role="tabpanel" id={`panel-${chosen}`} aria-labelledby={`tab-${chosen}`}>
        {children(chosen)}
      </div>
    </>
  );
}
