import { useConfig, useSession } from './hooks';

/**
 * The namespace to begin in: a service account's own, otherwise the one that the
 * installation names. Undefined until known.
 */
export function useDefaultNamespace(): string | undefined {
  const session = useSession();
  const config = useConfig();
  const own = /^system:serviceaccount:([^:]+):/.exec(session.data?.user.username ?? '')?.[1];
  if (own) return own;
  if (config.isError) return 'default';
  return config.data && (config.data.defaultNamespace || 'default');
}
