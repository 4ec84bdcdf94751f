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

export const signIn = (token: string) => request<undefined>('/session', { method: 'POST', body: { token } });
export const signOut = () => request<undefined>('/session', { method: 'DELETE' });
