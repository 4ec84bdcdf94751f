import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from '@tanstack/react-router';
import type { LoginFailure } from './api/session';
import { loginFailureOf } from './api/session';
import { Shell } from './screens/Shell';
import { StoresScreen } from './screens/Stores';
import { NotFound } from './screens/NotFound';
import { Crash } from './screens/Crash';

const text = (value: unknown) => (typeof value === 'string' && value ? value : undefined);

const root = createRootRoute({
  // Why a login failed, as the server sends the browser back with.
  validateSearch: (search: Record<string, unknown>): { login?: LoginFailure | undefined } => ({ login: loginFailureOf(search.login) }),
  component: Shell,
  notFoundComponent: NotFound,
  errorComponent: Crash,
});

/** The namespace of the list and the create form; absent means the default. */
export interface ListSearch {
  namespace?: string | undefined;
  filter?: string | undefined;
}

const stores = createRoute({
  getParentRoute: () => root,
  path: '/',
  validateSearch: (search: Record<string, unknown>): ListSearch => ({ namespace: text(search.namespace), filter: text(search.filter) }),
  component: StoresScreen,
});

const create = createRoute({
  getParentRoute: () => root,
  path: '/create',
  validateSearch: (search: Record<string, unknown>): { namespace?: string | undefined } => ({ namespace: text(search.namespace) }),
  component: lazyRouteComponent(() => import('./screens/create/Create'), 'CreateScreen'),
});

export const tabs = ['overview', 'pods', 'events', 'history', 'yaml'] as const;
export type Tab = (typeof tabs)[number];

const store = createRoute({
  getParentRoute: () => root,
  path: '/stores/$namespace/$name',
  validateSearch: (search: Record<string, unknown>): { tab?: Tab | undefined } => ({ tab: tabs.find((tab) => tab === search.tab) }),
  component: lazyRouteComponent(() => import('./screens/store/Store'), 'StoreScreen'),
});

export const router = createRouter({ routeTree: root.addChildren([stores, create, store]), defaultPreload: false });

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router;
  }
}
