import { useQuery } from '@tanstack/react-query';
import { useEffect, useMemo, useRef, useSyncExternalStore } from 'react';
import type { Snapshot } from '../api/live';
import { LiveList } from '../api/live';
import type { Access } from '../api/resources';
import { eventsPath, listEngines, listNamespaces, podsPath, reviewAccess, storesPath } from '../api/resources';
import type { Config, Session } from '../api/session';
import { getConfig, getSession } from '../api/session';
import type { KubeEvent, KubeObject, Pod, Store } from '../api/types';

export const useSession = () => useQuery<Session | null>({ queryKey: ['session'], queryFn: getSession, staleTime: Infinity, retry: 2 });
export const useConfig = () => useQuery<Config>({ queryKey: ['config'], queryFn: getConfig, staleTime: Infinity });
export const useEngines = () => useQuery({ queryKey: ['engines'], queryFn: ({ signal }) => listEngines(signal), staleTime: 60_000 });
export const useNamespaces = () => useQuery({ queryKey: ['namespaces'], queryFn: ({ signal }) => listNamespaces(signal), staleTime: 60_000, retry: false });

/** Whether the user may do something; undefined until the server has said. */
export function useCan(access: Access, enabled = true): boolean | undefined {
  const { data } = useQuery({ queryKey: ['access', access], queryFn: () => reviewAccess(access), staleTime: 300_000, enabled });
  return data;
}

export type Live<T> = Snapshot<T> & { retry: () => void };

function useLive<T extends KubeObject>(list: LiveList<T>): Live<T> {
  const snapshot = useSyncExternalStore(list.subscribe, list.getSnapshot);
  return useMemo(() => ({ ...snapshot, retry: list.retry }), [snapshot, list]);
}

/** The stores of a namespace, or of all when it is empty. */
export const useStores = (namespace: string) => useLive(useMemo(() => new LiveList<Store>(storesPath(namespace)), [namespace]));

/** A store, as a list of the one object or of none. */
export const useStore = (namespace: string, name: string) =>
  useLive(useMemo(() => new LiveList<Store>(storesPath(namespace), { fieldSelector: `metadata.name=${name}` }), [namespace, name]));

/** The events about a store. */
export const useStoreEvents = (namespace: string, name: string) =>
  useLive(
    useMemo(
      () => new LiveList<KubeEvent>(eventsPath(namespace), { fieldSelector: `regarding.kind=Store,regarding.name=${name}` }),
      [namespace, name],
    ),
  );

/** The pods of a namespace. */
export const usePods = (namespace: string) => useLive(useMemo(() => new LiveList<Pod>(podsPath(namespace)), [namespace]));

/** Names the page in the tab's title and in the browser's history. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = title === 'Stores' ? title : `${title} · Stores`;
  }, [title]);
}

/** The value of the render before. */
export function useLatest<T>(value: T): { readonly current: T } {
  const ref = useRef(value);
  useEffect(() => {
    ref.current = value;
  });
  return ref;
}
