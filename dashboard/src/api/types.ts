// The objects of the Kubernetes API that the dashboard shows, as far as it reads
// them. Field names and meanings are those of `kubectl explain`.

import type { Change } from '../lib/diff';
import type { Schema } from '../lib/schema';

export interface ObjectMeta {
  name: string;
  namespace?: string;
  uid: string;
  resourceVersion: string;
  generation?: number;
  creationTimestamp: string;
  deletionTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  managedFields?: unknown;
}

export interface KubeObject {
  apiVersion?: string;
  kind?: string;
  metadata: ObjectMeta;
}

export interface KubeList<T> {
  metadata: { resourceVersion: string; continue?: string; remainingItemCount?: number };
  items: T[];
}

export interface Condition {
  type: string;
  status: 'True' | 'False' | 'Unknown';
  reason: string;
  message: string;
  lastTransitionTime: string;
  observedGeneration?: number;
}

export type PowerState = 'Running' | 'Hibernated';
export type DeletionPolicy = 'Delete' | 'Retain';

export interface StoreSpec {
  engine: string;
  version?: string;
  plan?: string;
  displayName?: string;
  host?: string;
  adminEmail?: string;
  powerState?: PowerState;
  suspend?: boolean;
  deletionProtection?: boolean;
  deletionPolicy?: DeletionPolicy;
  values?: Record<string, unknown>;
  owner?: string;
}

export interface StoreStep {
  name: string;
  state: 'Pending' | 'Running' | 'Done' | 'Failed';
  startTime?: string;
  endTime?: string;
  message?: string;
}

export interface ReleaseAction {
  action: string;
  revision?: number;
  result: string;
  message?: string;
  time: string;
}

export interface StoreStatus {
  observedGeneration?: number;
  conditions?: Condition[];
  steps?: StoreStep[];
  namespace?: string;
  url?: string;
  adminURL?: string;
  version?: string;
  release?: {
    name?: string;
    chart?: string;
    chartVersion?: string;
    revision?: number;
    actions?: ReleaseAction[];
  };
}

export interface Store extends KubeObject {
  spec: StoreSpec;
  status?: StoreStatus;
}

/** A store as a client writes it: the server fills in the rest. */
export interface NewStore {
  apiVersion: 'platform.dev/v1alpha1';
  kind: 'Store';
  metadata: { name: string; namespace: string };
  spec: StoreSpec;
}

export interface EnginePlan {
  name: string;
  description?: string;
  quota?: Record<string, string>;
}

export interface Engine extends KubeObject {
  spec: {
    displayName?: string;
    description?: string;
    versions: { name: string }[];
    defaultVersion: string;
    plans: EnginePlan[];
    defaultPlan: string;
    valuesSchema?: Schema;
    progressDeadlineSeconds?: number;
  };
}

export interface KubeEvent extends KubeObject {
  type?: 'Normal' | 'Warning';
  reason?: string;
  note?: string;
  action?: string;
  eventTime?: string;
  deprecatedFirstTimestamp?: string;
  deprecatedLastTimestamp?: string;
  series?: { count: number; lastObservedTime: string };
  reportingController?: string;
}

export interface ContainerStatus {
  name: string;
  ready: boolean;
  restartCount: number;
  containerID?: string;
  state?: {
    running?: { startedAt?: string };
    waiting?: { reason?: string; message?: string };
    terminated?: { reason?: string; message?: string; exitCode: number };
  };
}

export interface Pod extends KubeObject {
  spec: { containers: { name: string }[]; initContainers?: { name: string }[] };
  status?: {
    phase?: string;
    reason?: string;
    message?: string;
    conditions?: { type: string; status: string; message?: string }[];
    containerStatuses?: ContainerStatus[];
    initContainerStatuses?: ContainerStatus[];
  };
}

export interface StoreCredentials {
  url?: string;
  adminURL?: string;
  username?: string;
  password?: string;
}

export interface StoreRevision {
  resourceVersion: string;
  time: string;
  verb: string;
  user: string;
  generation?: number;
  changes?: Change[];
}

export interface StoreHistory {
  metadata?: { continue?: string };
  items?: StoreRevision[];
}

export interface QuotaLimit {
  source: string;
  scope: 'Owner' | 'Namespace';
  hard?: number;
  used: number;
}

export interface QuotaReview {
  limits?: QuotaLimit[];
  createRate?: { count: number; windowSeconds: number; used?: number };
}
