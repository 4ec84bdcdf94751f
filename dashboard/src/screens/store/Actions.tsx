import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import { messageOf } from '../../api/errors';
import { patchStore } from '../../api/resources';
import type { Store } from '../../api/types';
import { announce } from '../../lib/announce';
import { useCan } from '../../lib/hooks';
import { Button, Notice } from '../../ui/basics';
import { Credentials } from './Credentials';
import { Delete } from './Delete';
import { Edit } from './Edit';

type Open = 'login' | 'edit' | 'delete' | undefined;

/** What can be done with a store; what the user may not do says so. */
export function Actions({ store }: { store: Store }) {
  const { name, namespace = '' } = store.metadata;
  const [open, setOpen] = useState<Open>();
  const close = () => { setOpen(undefined); };
  const mayPatch = useCan({ verb: 'patch', namespace, name });
  const mayDelete = useCan({ verb: 'delete', namespace, name });
  const mayReveal = useCan({ verb: 'get', subresource: 'credentials', namespace, name });
  const hibernated = store.spec.powerState === 'Hibernated';
  const power = useMutation({
    mutationFn: () => patchStore(store, { spec: { powerState: hibernated ? 'Running' : 'Hibernated' } }),
    onSuccess: () => { announce(hibernated ? `${name} wakes up.` : `${name} goes to sleep.`); },
  });
  const going = store.metadata.deletionTimestamp !== undefined;
  const denied = (allowed: boolean | undefined, what: string) =>
    going ? { 'aria-disabled': true, title: 'The store is being deleted.' } : allowed === false ? { 'aria-disabled': true, title: `You may not ${what}.` } : {};
  const refused = [mayReveal === false && 'see the admin login', mayPatch === false && 'change', mayDelete === false && 'delete'].filter(Boolean);
  return (
    <>
      <div className="actions" role="group" aria-label="Actions">
        <Button kind="primary" icon="key" {...denied(mayReveal, 'see the admin login')} onClick={() => { setOpen('login'); }}>Admin login</Button>
        <Button icon="edit" {...denied(mayPatch, 'change this store')} onClick={() => { setOpen('edit'); }}>Edit</Button>
        <Button icon={hibernated ? 'power' : 'moon'} busy={power.isPending} {...denied(mayPatch, 'change this store')} onClick={() => { power.mutate(); }}>
          {hibernated ? 'Wake' : 'Hibernate'}
        </Button>
        <Button kind="danger" icon="trash" {...denied(mayDelete, 'delete this store')} onClick={() => { setOpen('delete'); }}>Delete</Button>
      </div>
      {refused.length > 0 && !going && <p className="sub">Your role in {namespace} does not let you {refused.join(' or ')} this store.</p>}
      {power.isError && <Notice tone="bad" title={hibernated ? 'Cannot wake it' : 'Cannot hibernate it'}>{messageOf(power.error)}</Notice>}
      {open === 'login' && <Credentials store={store} onClose={close} />}
      {open === 'edit' && <Edit store={store} onClose={close} />}
      {open === 'delete' && <Delete store={store} onClose={close} />}
    </>
  );
}
