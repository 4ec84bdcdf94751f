import type { EnginePlan } from '../api/types';

const facts: [string, string][] = [['limits.cpu', 'CPU'], ['limits.memory', 'memory'], ['requests.storage', 'storage']];

/** The most that a shop of a plan may use, in words. */
export const planFacts = (plan: EnginePlan | undefined) => facts.flatMap(([key, word]) => (plan?.quota?.[key] ? [`${plan.quota[key]} ${word}`] : []));
