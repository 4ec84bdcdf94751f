import { request } from './client';
import { isCode } from './errors';

export interface User {
  username: string;
  groups?: string[];
}

export interface Session {
  user: User;
  expiresAt?: string;
  /** False where requests are already somebody's, as behind `kubectl proxy`. */
  layer: boolean;
}

export interface Config {
  oidc: boolean;
  version: string;
  defaultNamespace: string;
  storeDomain?: string;
}

/** Who is signed in, or null when nobody is. */
export async function getSession(): Promise<Session | null> {
  try {
    const session = await request<Omit<Session, 'layer'>>('/session');
    return { ...session, layer: true };
  } catch (error) {
    if (isCode(error, 401)) return null;
    if (isCode(error, 404)) return { user: await whoAmI(), layer: false };
    throw error;
  }
}

async function whoAmI(): Promise<User> {
  const review = await request<{ status?: { userInfo?: User } }>('/k8s/apis/authentication.k8s.io/v1/selfsubjectreviews', {
    method: 'POST',
    body: { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' },
  });
  return review.status?.userInfo ?? { username: 'unknown' };
}

export async function getConfig(): Promise<Config> {
  try {
    return await request<Config>('/config');
  } catch (error) {
    if (isCode(error, 404)) return { oidc: false, version: 'development', defaultNamespace: 'default' };
    throw error;
  }
}

/** Why a login at the identity provider failed, in words for whoever tried. */
export const loginFailures = {
  denied: { title: 'You were not signed in', text: 'The sign-in was cancelled, or your organisation does not allow it for you.' },
  expired: { title: 'This sign-in is over', text: 'It took longer than ten minutes, was used before, or was begun in another browser. Begin again.' },
  other: { title: 'This answer belongs to another sign-in', text: 'For your safety it was not used. Begin again, and only from this page.' },
  provider: { title: 'Your organisation’s sign-in has an error', text: 'It did not confirm who you are. If this happens again, tell whoever runs the dashboard: its log has the reason.' },
  cluster: { title: 'The cluster does not accept your organisation’s sign-in', text: 'You are known to your organisation, and not to the cluster. Whoever runs the cluster can change that.' },
  large: { title: 'Your sign-in is too large for a browser', text: 'Your organisation sends more about you than cookies can hold. Whoever runs it can send fewer groups.' },
  unavailable: { title: 'The sign-in cannot be reached', text: 'Your organisation’s sign-in or the cluster does not answer. Try again in a moment.' },
};
export type LoginFailure = keyof typeof loginFailures;

/** The failure that an address names; anybody can write addresses, so no other text counts. */
export const loginFailureOf = (name: unknown): LoginFailure | undefined =>
  typeof name === 'string' && Object.hasOwn(loginFailures, name) ? (name as LoginFailure) : undefined;

export const signIn = (token: string) => request<undefined>('/session', { method: 'POST', body: { token } });
export const signOut = () => request<undefined>('/session', { method: 'DELETE' });
