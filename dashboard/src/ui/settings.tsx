import type { Setting, SettingGroup, Texts } from '../lib/schema';
import { faultsAt, hintOf, textOf, wordOf } from '../lib/schema';
import { Input, Select } from './basics';
import { Icon } from './icons';

interface Props {
  group: SettingGroup;
  texts: Texts;
  faults: Map<string, string[]>;
  onChange: (texts: Texts) => void;
}

/** Fields for what an engine lets a store set, made of the engine's own schema. */
export function Settings(props: Props) {
  const { group, texts, faults, onChange } = props;
  const fields = (
    <>
      {group.settings.map((setting) => (
        <SettingField
          key={setting.field}
          setting={setting}
          text={texts[setting.field] ?? ''}
          errors={faultsAt(faults, setting.field)}
          onChange={(text) => { onChange({ ...texts, [setting.field]: text }); }}
        />
      ))}
      {group.groups.map((inner) => <Settings key={inner.field} {...props} group={inner} />)}
    </>
  );
  if (!group.title) return fields;
  return (
    <fieldset className="settings">
      <legend>{group.title}</legend>
      {group.description && <p className="hint">{group.description}</p>}
      {faults.get(group.field)?.map((message) => <p key={message} className="field-errors"><span><Icon name="alert" />{message}</span></p>)}
      {fields}
    </fieldset>
  );
}

interface FieldProps {
  setting: Setting;
  text: string;
  errors: string[];
  onChange: (text: string) => void;
}

function SettingField({ setting: { schema, title, required }, text, errors, onChange }: FieldProps) {
  const props = { label: title, hint: hintOf(schema), errors, required, value: text, onChange };
  const options = schema.enum ?? (schema.type === 'boolean' ? [true, false] : undefined);
  if (!options) return <Input autoCapitalize="none" placeholder={textOf(schema, schema.default)} {...props} />;
  return (
    <Select {...props}>
      <option value="">{schema.default === undefined ? 'Left to the engine' : `Left to the engine: ${wordOf(schema.default)}`}</option>
      {options.map((option) => <option key={JSON.stringify(option)} value={JSON.stringify(option)}>{wordOf(option)}</option>)}
    </Select>
  );
}
