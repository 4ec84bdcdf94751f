import { useState } from 'react';
import { useNamespaces } from '../lib/hooks';
import { Button, Field, Select } from '../ui/basics';
import { everywhere } from './Stores';

interface Props {
  value: string;
  mayListAll: boolean;
  onChange: (namespace: string) => void;
}

/** A list of the namespaces, or a place to type one for who may not list them. */
export function NamespacePicker({ value, mayListAll, onChange }: Props) {
  const namespaces = useNamespaces();
  const [typed, setTyped] = useState(value);
  if (namespaces.isError) {
    return (
      <form
        className="picker"
        onSubmit={(event) => {
          event.preventDefault();
          if (typed.trim()) onChange(typed.trim());
        }}
      >
        <Field label="Namespace">
          {(props) => <input {...props} value={typed} spellCheck={false} autoCapitalize="none" onChange={(event) => { setTyped(event.target.value); }} />}
        </Field>
        {typed.trim() !== value && <Button type="submit">Show</Button>}
      </form>
    );
  }
  const names = namespaces.data?.items.map((item) => item.metadata.name) ?? [];
  if (value !== everywhere && !names.includes(value)) names.unshift(value);
  return (
    <div className="picker">
      <Select label="Namespace" value={value} onChange={onChange}>
        {(mayListAll || value === everywhere) && <option value={everywhere}>All namespaces</option>}
        {names.map((name) => <option key={name}>{name}</option>)}
      </Select>
    </div>
  );
}
