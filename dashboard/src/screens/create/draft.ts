import type { ApiError } from '../../api/errors';
import { apiVersion } from '../../api/resources';
import type { Engine, NewStore } from '../../api/types';
import type { SettingGroup, Texts } from '../../lib/schema';
import { groupOf, valuesOf } from '../../lib/schema';

const stages = ['engine', 'details', 'settings', 'plan', 'review'] as const;
export type Stage = (typeof stages)[number];

/** The stages for an engine: one without settings has none to ask for. */
export const stagesOf = (settings: SettingGroup | undefined): readonly Stage[] => (settings ? stages : stages.filter((stage) => stage !== 'settings'));

/** What the engine lets a store set. */
export const settingsOf = (engine: Engine): SettingGroup | undefined => groupOf(engine.spec.valuesSchema);

/** What the form holds. An empty text means: let the server choose. */
export interface Draft {
  namespace: string;
  engine: string;
  version: string;
  name: string;
  displayName: string;
  host: string;
  adminEmail: string;
  plan: string;
  settings: Texts;
}

/** The store that a draft asks for, saying nothing that the user has not said. */
export function storeOf(draft: Draft, settings: SettingGroup | undefined): NewStore {
  const { namespace, name, engine } = draft;
  const given = (['version', 'plan', 'displayName', 'host', 'adminEmail'] as const)
    .map((field) => [field, draft[field].trim()] as const)
    .filter(([, value]) => value !== '');
  const values = valuesOf(settings, draft.settings);
  return { apiVersion, kind: 'Store', metadata: { name: name.trim(), namespace }, spec: { engine, ...Object.fromEntries(given), ...(values && { values }) } };
}

const homes: [Stage, RegExp][] = [
  ['engine', /^spec\.(engine|version)$/],
  ['details', /^(metadata\.(name|namespace)|spec\.(displayName|host|adminEmail))/],
  ['settings', /^spec\.values/],
  ['plan', /^spec\.plan/],
];

/** The stage whose fields a field of the API is on. */
export const stageOf = (field: string): Stage => homes.find(([, pattern]) => pattern.test(field))?.[0] ?? 'review';

/** What the server has against a draft, by field of the API; "" is for the whole. */
export function faultsOf(error: ApiError, draft: Draft): Map<string, string[]> {
  if (error.code === 422) {
    const fields = error.fields();
    // What the server made of a bad name is as bad, and nothing that the user can mend.
    if (fields.has('metadata.name')) {
      if (!draft.host) fields.delete('spec.host');
      if (!draft.adminEmail) fields.delete('spec.adminEmail');
    }
    return fields.size > 0 ? fields : new Map([['', [error.message]]]);
  }
  if (error.code === 409 && error.reason === 'AlreadyExists') {
    return new Map([['metadata.name', ['A store of this name exists in the namespace already.']]]);
  }
  return new Map([['', [error.message]]]);
}

/** A name made of a title, as far as the title allows. */
export const nameFrom = (title: string) =>
  title
    .normalize('NFKD')
    .replace(/[\u0300-\u036f]/g, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 40)
    .replace(/^-+|-+$/g, '');
