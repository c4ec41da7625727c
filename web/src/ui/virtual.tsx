/**
 * A list that draws the rows in view and no others. Arrow keys, Page Up and Down, Home and End move
 * the active row, Enter opens it.
 */
import type { ComponentChildren, VNode } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';

interface Props<T> {
  label: string;
  rows: readonly T[];
  rowHeight: number;
  /** Widths of the columns, as `grid-template-columns`. */
  template: string;
  head: ComponentChildren;
  cells: (row: T) => ComponentChildren;
  onOpen: (row: T) => void;
  /** Called when the end comes near. */
  onEnd?: () => void;
}

/** Rows drawn beyond each edge of the view. */
const OVERSCAN = 3;
/** Rows kept ready at most. */
const DRAWN_MAX = 500;

interface Drawn {
  props: unknown;
  active: number;
  slots: number;
  rows: Map<number, VNode>;
}

export function VirtualList<T>(props: Props<T>) {
  const { rows, rowHeight } = props;
  const box = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 600 });
  const [active, setActive] = useState(0);
  const look = () => {
    const element = box.current;
    if (!element) return;
    // Whole rows: a view that moves within one draws nothing anew.
    const top = Math.floor(element.scrollTop / rowHeight) * rowHeight;
    const height = element.clientHeight;
    setView((before) =>
      before.top === top && before.height === height ? before : { top, height },
    );
  };
  useEffect(() => {
    const observer = new ResizeObserver(look);
    if (box.current) observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  // Rows that leave the view hand their elements to those that come into it.
  const slots = Math.ceil(view.height / rowHeight) + 2 * OVERSCAN + 2;
  // Rows that stay in view are not made anew while scrolling: nothing but the view has changed.
  const cache = useRef<Drawn>({ props: null, active: 0, slots, rows: new Map() });
  const { current } = cache;
  if (current.props !== props || current.active !== active || current.slots !== slots) {
    cache.current = { props, active, slots, rows: new Map() };
  }
  const drawn = cache.current.rows;
  if (drawn.size > DRAWN_MAX) drawn.clear();
  const first = Math.max(0, Math.floor(view.top / rowHeight) - OVERSCAN);
  const last = Math.min(
    rows.length,
    Math.ceil((view.top + view.height) / rowHeight) + OVERSCAN + 1,
  );
  const isNearEnd = last >= rows.length - 50;
  useEffect(() => {
    if (isNearEnd) props.onEnd?.();
  }, [isNearEnd, rows.length]);

  const show = (at: number) => {
    const next = Math.max(0, Math.min(rows.length - 1, at));
    setActive(next);
    const element = box.current;
    if (!element) return;
    const headHeight = rowHeight;
    const [above, below] = [next * rowHeight, (next + 1) * rowHeight + headHeight];
    if (above < element.scrollTop) element.scrollTop = above;
    else if (below > element.scrollTop + element.clientHeight) {
      element.scrollTop = below - element.clientHeight;
    }
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.target !== box.current) return;
    const page = Math.max(1, Math.floor(view.height / rowHeight) - 2);
    const to = {
      ArrowDown: active + 1,
      ArrowUp: active - 1,
      PageDown: active + page,
      PageUp: active - page,
      Home: 0,
      End: rows.length - 1,
    }[event.key];
    const row = rows[active];
    if (to !== undefined) show(to);
    else if (event.key === 'Enter' && row) props.onOpen(row);
    else return;
    event.preventDefault();
  };
  const draw = (row: T, at: number): VNode => {
    const kept = drawn.get(at);
    if (kept) return kept;
    const made = (
      <div
        key={at % slots}
        id={`row-${at}`}
        role="row"
        aria-rowindex={at + 2}
        tabIndex={-1}
        class={at === active ? 'virtual-row is-active' : 'virtual-row'}
        style={{
          gridTemplateColumns: props.template,
          height: `${rowHeight}px`,
          transform: `translateY(${at * rowHeight}px)`,
        }}
        onClick={() => {
          setActive(at);
          props.onOpen(row);
        }}
      >
        {props.cells(row)}
      </div>
    );
    drawn.set(at, made);
    return made;
  };
  const isActiveDrawn = active >= first && active < last;
  return (
    <div
      class="virtual"
      role="grid"
      aria-label={props.label}
      aria-rowcount={rows.length + 1}
      aria-activedescendant={isActiveDrawn ? `row-${active}` : undefined}
      tabIndex={0}
      ref={box}
      onScroll={look}
      onKeyDown={onKeyDown}
    >
      <div class="virtual-inner" role="presentation">
        <div
          class="virtual-head"
          role="row"
          aria-rowindex={1}
          style={{ gridTemplateColumns: props.template, height: `${rowHeight}px` }}
        >
          {props.head}
        </div>
        <div
          role="rowgroup"
          class="virtual-body"
          style={{ height: `${rows.length * rowHeight}px` }}
        >
          {rows.slice(first, last).map((row, offset) => draw(row, first + offset))}
        </div>
      </div>
    </div>
  );
}
