/** Line icons on a grid of 16. */
const PATHS = {
  overview: 'M2 9.5h3.5V14H2zM6.25 5.5h3.5V14h-3.5zM10.5 2H14v12h-3.5z',
  live: 'M1.5 8h3l2-5 3 10 2-5h3',
  requests: 'M2 3.5h12M2 8h12M2 12.5h8',
  logs: 'M2.5 4l3.5 4-3.5 4M8 12.5h5.5',
  dashboards: 'M2 2.5h5v5H2zM9 2.5h5v3H9zM9 7.5h5v6H9zM2 9.5h5v4H2z',
  alerts: 'M8 2a4 4 0 0 0-4 4c0 4-1.5 5-1.5 5h11S12 10 12 6a4 4 0 0 0-4-4zM6.5 13.5h3',
  cost: 'M8 1.5v13M11 4.5C10.5 3.5 9.5 3 8 3 6 3 5 4 5 5.3c0 3.2 6.2 1.8 6.2 5.2 0 1.5-1.2 2.5-3.2 2.5-1.700 0-2.800-.6-3.300-1.800',
  backends: 'M2.500 3h11v4h-11zM2.500 9h11v4h-11zM5 5h.01M5 11h.01',
  access:
    'M5.500 10.500a3.500 3.500 0 1 1 2.800-5.600l6 0v2.600h-2v2h-2.500v-2H8.700a3.500 3.500 0 0 1-3.200 3z',
  audit:
    'M8 1.500l5.500 2v4c0 3.500-2.300 5.800-5.500 7-3.200-1.200-5.500-3.500-5.500-7v-4zM5.500 8l2 2 3.500-4',
  clients: 'M2 3h12v8H2zM6 14h4M8 11v3',
  settings: 'M2 4.500h6M12 4.500h2M10 2.700v3.600M2 11.500h2M8 11.500h6M6 9.700v3.600',
  menu: 'M2 4h12M2 8h12M2 12h12',
  close: 'M3.500 3.500l9 9M12.500 3.500l-9 9',
  search: 'M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10zM10.700 10.700L14 14',
  refresh: 'M13.500 8a5.500 5.500 0 1 1-1.700-4M13.500 1.500v3h-3',
  play: 'M4 2.500l9 5.500-9 5.500z',
  pause: 'M4.500 2.500v11M11.500 2.500v11',
  copy: 'M5.500 5.500h8v8h-8zM3 10.500H2.500v-8h8V3',
  eye: 'M1 8s2.500-5 7-5 7 5 7 5-2.500 5-7 5-7-5-7-5zM8 10a2 2 0 1 0 0-4 2 2 0 0 0 0 4z',
  out: 'M6 2.500H2.500v11H6M6 8h8M11 5l3 3-3 3',
  check: 'M3 8.500l3.500 3.500L13 4.500',
  warning: 'M8 2l6.500 11.500h-13zM8 6.500v3.500M8 12v.01',
  download: 'M8 2v8M4.500 7L8 10.500 11.500 7M2.500 13.500h11',
  back: 'M10 3L5 8l5 5',
  more: 'M6 3l5 5-5 5',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
