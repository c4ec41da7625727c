/** The screens: where they stand, what they are called, what loads them. */
import type { ComponentType } from 'preact';
import type { IconName } from './ui/icon';

export interface Screen {
  path: string;
  name: string;
  icon: IconName;
  /** Shows rows of a time range, and so has a picker for it. */
  hasRange?: boolean;
  load: () => Promise<{ default: ComponentType<{ id: string }> }>;
}

export const SCREENS: readonly Screen[] = [
  ranged('/', 'Overview', 'overview', () => import('./screens/overview')),
  screen('/live', 'Live tail', 'live', () => import('./screens/live')),
  ranged('/requests', 'Requests', 'requests', () => import('./screens/requests')),
  screen('/logs', 'Logs', 'logs', () => import('./screens/logs')),
  screen('/dashboards', 'Dashboards', 'dashboards', () => import('./screens/dashboards')),
  ranged('/alerts', 'Alerts', 'alerts', () => import('./screens/alerts')),
  ranged('/cost', 'Cost and quota', 'cost', () => import('./screens/cost')),
  screen('/backends', 'Backends', 'backends', () => import('./screens/backends')),
  screen('/access', 'Access', 'access', () => import('./screens/access')),
  ranged('/audit', 'Audit', 'audit', () => import('./screens/audit')),
  ranged('/clients', 'Clients', 'clients', () => import('./screens/clients')),
  screen('/settings', 'Settings', 'settings', () => import('./screens/settings')),
];

function screen(path: string, name: string, icon: IconName, load: Screen['load']): Screen {
  return { path, name, icon, load };
}

function ranged(path: string, name: string, icon: IconName, load: Screen['load']): Screen {
  return { path, name, icon, load, hasRange: true };
}

const DETAIL: Screen = {
  path: '/requests/',
  name: 'Request',
  icon: 'requests',
  load: () => import('./screens/detail'),
};

/** The screen at a path, and the id in it; none if there is no such screen. */
export function screenAt(path: string): { screen: Screen; id: string } | null {
  if (path.startsWith(DETAIL.path) && path.length > DETAIL.path.length) {
    return { screen: DETAIL, id: decoded(path.slice(DETAIL.path.length)) };
  }
  const screen = SCREENS.find((known) => known.path === path);
  return screen ? { screen, id: '' } : null;
}

/** What somebody typed may be no escape sequence; then it is taken as it is. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
