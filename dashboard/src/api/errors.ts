/** Kubernetes' own report of a failed request. */
export interface Status {
  kind: 'Status';
  status?: string;
  code?: number;
  reason?: string;
  message?: string;
  details?: {
    name?: string;
    kind?: string;
    retryAfterSeconds?: number;
    causes?: { reason?: string; message?: string; field?: string }[];
  };
}

export function isStatus(value: unknown): value is Status {
  return typeof value === 'object' && value !== null && (value as { kind?: unknown }).kind === 'Status';
}

/**
 * A request that the server refused. code is the HTTP status, or 0 when no
 * answer came at all; reason is Kubernetes' machine-readable word for it.
 */
export class ApiError extends Error {
  override name = 'ApiError';
  readonly code: number;
  readonly reason: string;
  readonly status: Status | undefined;

  constructor(code: number, message: string, status?: Status) {
    super(message);
    this.code = code;
    this.reason = status?.reason ?? '';
    this.status = status;
  }

  static fromStatus(status: Status, code = status.code ?? 0): ApiError {
    return new ApiError(code, status.message ?? status.reason ?? `The server answered ${String(code)}.`, status);
  }

  /**
   * The messages by field, such as "spec.host", for a form to show where they
   * belong. A message of no field is under "".
   */
  fields(): Map<string, string[]> {
    const fields = new Map<string, string[]>();
    for (const { field = '', message } of this.status?.details?.causes ?? []) {
      if (message) fields.set(field, [...(fields.get(field) ?? []), message]);
    }
    return fields;
  }
}

export const isCode = (error: unknown, ...codes: number[]) => error instanceof ApiError && codes.includes(error.code);

/** What to tell a person about any thrown value. */
export function messageOf(error: unknown): string {
  if (error instanceof ApiError && error.code === 0) return 'The server cannot be reached. Check the network; this page tries again.';
  return error instanceof Error ? error.message : String(error);
}
