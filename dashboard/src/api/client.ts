import { ApiError, isStatus } from './errors';

export interface RequestOptions {
  method?: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  query?: Record<string, string | number | boolean | undefined>;
  body?: unknown;
  contentType?: string;
  signal?: AbortSignal;
}

const unauthorized = new Set<() => void>();

/** Calls back whenever the server no longer knows who is asking. */
export function onUnauthorized(callback: () => void): () => void {
  unauthorized.add(callback);
  return () => unauthorized.delete(callback);
}

/**
 * Sends one request to the dashboard's own origin and returns the response, or
 * throws an ApiError. Whatever changes something carries a header that no other
 * origin can send without asking first.
 */
export async function send(path: string, options: RequestOptions = {}): Promise<Response> {
  const { method = 'GET', body, signal } = options;
  const headers: Record<string, string> = { Accept: 'application/json' };
  if (method !== 'GET') headers['X-Stores-Request'] = 'dashboard';
  if (body !== undefined) headers['Content-Type'] = options.contentType ?? 'application/json';

  let response: Response;
  try {
    response = await fetch(path + queryString(options.query), {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      signal: signal ?? null,
      credentials: 'same-origin',
      cache: 'no-store',
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, error instanceof Error ? error.message : 'No answer.');
  }
  if (!response.ok) {
    if (response.status === 401 && path.startsWith('/k8s/')) unauthorized.forEach((callback) => { callback(); });
    throw await errorOf(response);
  }
  return response;
}

/** Sends one request and reads the answer as JSON. */
export async function request<T>(path: string, options?: RequestOptions): Promise<T> {
  const response = await send(path, options);
  if (response.status === 204) return undefined as T;
  return (await response.json()) as T;
}

async function errorOf(response: Response): Promise<ApiError> {
  const text = await response.text().catch(() => '');
  try {
    const value: unknown = JSON.parse(text);
    if (isStatus(value)) return ApiError.fromStatus(value, response.status);
  } catch {
    // Something between here and the API server answered in its own way.
  }
  const short = text.length > 0 && text.length < 300 && !text.startsWith('<') ? `: ${text.trim()}` : '';
  return new ApiError(response.status, `The server answered ${String(response.status)} ${response.statusText}${short}`);
}

function queryString(query: RequestOptions['query']): string {
  const params = new URLSearchParams();
  for (const [key, value] of Object.entries(query ?? {})) {
    if (value !== undefined) params.set(key, String(value));
  }
  const text = params.toString();
  return text ? `?${text}` : '';
}
