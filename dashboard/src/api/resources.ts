import { request } from './client';
import type { Engine, KubeList, KubeObject, NewStore, QuotaReview, Store, StoreCredentials, StoreHistory, StoreRevision } from './types';

const group = '/k8s/apis/platform.dev/v1alpha1';
export const apiVersion = 'platform.dev/v1alpha1';

export const storesPath = (namespace?: string) => (namespace ? `${group}/namespaces/${encodeURIComponent(namespace)}/stores` : `${group}/stores`);
export const eventsPath = (namespace: string) => `/k8s/apis/events.k8s.io/v1/namespaces/${encodeURIComponent(namespace)}/events`;
export const podsPath = (namespace: string) => `/k8s/api/v1/namespaces/${encodeURIComponent(namespace)}/pods`;
export const logPath = (namespace: string, pod: string) => `${podsPath(namespace)}/${encodeURIComponent(pod)}/log`;
const storePath = (namespace: string, name: string, subresource?: string) =>
  `${storesPath(namespace)}/${encodeURIComponent(name)}${subresource ? `/${subresource}` : ''}`;

export const listEngines = (signal?: AbortSignal) => request<KubeList<Engine>>(`${group}/engines`, { ...(signal && { signal }) });

export const listNamespaces = (signal?: AbortSignal) => request<KubeList<KubeObject>>('/k8s/api/v1/namespaces', { ...(signal && { signal }) });

const all = (dryRun: boolean) => (dryRun ? 'All' : undefined);

/** Creates a store, or with dryRun has the server check all that it would check. */
export const createStore = (store: NewStore, dryRun = false) =>
  request<Store>(storesPath(store.metadata.namespace), {
    method: 'POST',
    body: store,
    query: { dryRun: all(dryRun), fieldManager: 'dashboard', fieldValidation: 'Strict' },
  });

/**
 * Changes a store by JSON merge patch, or with dryRun tells what it would become.
 * With the resource version that the change was made against, the server refuses
 * it (409) when the store has moved on.
 */
export const patchStore = (store: Store, patch: Record<string, unknown>, { resourceVersion, dryRun = false }: { resourceVersion?: string; dryRun?: boolean } = {}) =>
  request<Store>(storePath(store.metadata.namespace ?? '', store.metadata.name), {
    method: 'PATCH',
    contentType: 'application/merge-patch+json',
    query: { dryRun: all(dryRun), fieldManager: 'dashboard', fieldValidation: 'Strict' },
    body: { ...patch, metadata: { uid: store.metadata.uid, ...(resourceVersion && { resourceVersion }) } },
  });

/** Deletes exactly this store, never another that has taken its name. */
export const deleteStore = (store: Store) =>
  request<unknown>(storePath(store.metadata.namespace ?? '', store.metadata.name), {
    method: 'DELETE',
    body: { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid: store.metadata.uid } },
  });

export const getCredentials = (namespace: string, name: string, signal: AbortSignal) =>
  request<StoreCredentials>(storePath(namespace, name, 'credentials'), { signal });

/** Whether somebody wanted this change, and not only the provisioner told how the shop is. */
const wanted = ({ verb, changes = [] }: StoreRevision) => verb === 'create' || changes.some(({ path }) => !path.startsWith('status'));

/** The next revisions, a screenful at least or all there are, without those of the status alone. */
export async function getHistory(namespace: string, name: string, next: string | undefined, signal: AbortSignal) {
  const items: StoreRevision[] = [];
  do {
    const page: StoreHistory = await request(storePath(namespace, name, 'history'), { query: { limit: 100, continue: next }, signal });
    items.push(...(page.items ?? []).filter(wanted));
    next = page.metadata?.continue;
  } while (next && items.length < 10);
  return { items, next };
}

/** Makes a revision's spec the store's again, or with dryRun tells what it would become. */
export const rollbackStore = (namespace: string, name: string, resourceVersion: string, dryRun = false) =>
  request<Store>(storePath(namespace, name, 'rollback'), {
    method: 'POST',
    query: { dryRun: all(dryRun) },
    body: { apiVersion, kind: 'StoreRollback', metadata: { name, namespace }, spec: { resourceVersion } },
  });

export async function reviewQuota(namespace: string): Promise<QuotaReview> {
  const review = await request<{ status?: QuotaReview }>(`${group}/selfstorequotareviews`, {
    method: 'POST',
    body: { apiVersion, kind: 'SelfStoreQuotaReview', spec: { namespace } },
  });
  return review.status ?? {};
}

export interface Access {
  verb: 'list' | 'create' | 'patch' | 'delete' | 'get';
  resource?: string;
  subresource?: string;
  namespace?: string;
  name?: string;
}

/** Asks whether the user may do something, as `kubectl auth can-i` does. */
export async function reviewAccess(access: Access): Promise<boolean> {
  const review = await request<{ status?: { allowed: boolean } }>('/k8s/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', {
    method: 'POST',
    body: {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SelfSubjectAccessReview',
      spec: { resourceAttributes: { group: 'platform.dev', resource: 'stores', ...access } },
    },
  });
  return review.status?.allowed ?? false;
}
