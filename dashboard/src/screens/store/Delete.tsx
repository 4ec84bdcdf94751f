import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import { messageOf } from '../../api/errors';
import { deleteStore, patchStore } from '../../api/resources';
import type { Store } from '../../api/types';
import { announce } from '../../lib/announce';
import { kubectl } from '../../lib/kubectl';
import { Button, Input, Kubectl, Notice } from '../../ui/basics';
import { Dialog, DialogActions } from '../../ui/dialog';

/** Asks for the store's name, having said what goes with it. */
export function Delete({ store, onClose }: { store: Store; onClose: () => void }) {
  const { name, namespace = '' } = store.metadata;
  const [typed, setTyped] = useState('');
  const [warned, setWarned] = useState(false);
  const remove = useMutation({
    mutationFn: () => deleteStore(store),
    onSuccess: () => {
      announce(`${name} is being deleted.`);
      onClose();
    },
  });
  const unlock = useMutation({ mutationFn: () => patchStore(store, { spec: { deletionProtection: false } }) });
  const retain = store.spec.deletionPolicy === 'Retain';
  if (store.spec.deletionProtection) {
    return (
      <Dialog open alert onClose={onClose} title={`${name} is protected`} description={<p>The server refuses to delete this store while its protection is on.</p>}>
        {unlock.isError && <Notice tone="bad" title="Cannot turn it off">{messageOf(unlock.error)}</Notice>}
        <Kubectl line={kubectl(namespace, 'patch', 'store', name, '--type=merge', '-p', '{"spec":{"deletionProtection":false}}')} />
        <DialogActions onCancel={onClose}><Button kind="danger" busy={unlock.isPending} onClick={() => { unlock.mutate(); }}>Turn protection off</Button></DialogActions>
      </Dialog>
    );
  }
  return (
    <Dialog open alert onClose={onClose} title={`Delete ${name}?`} description={<Losses store={store} retain={retain} />}>
      <form
        noValidate
        className="form"
        onSubmit={(event) => {
          event.preventDefault();
          if (typed === name) remove.mutate();
          else setWarned(true);
        }}
      >
        <Input
          label={`Type ${name} to confirm`}
          value={typed}
          autoCapitalize="none"
          errors={warned && typed !== name ? [`This is not ${name}.`] : undefined}
          onChange={setTyped}
        />
        {remove.isError && <Notice tone="bad" title="The server refuses it">{messageOf(remove.error)}</Notice>}
        <Kubectl line={kubectl(namespace, 'delete', 'store', name)} />
        <DialogActions onCancel={onClose}>
          <Button type="submit" kind="danger" icon="trash" busy={remove.isPending}>Delete store</Button>
        </DialogActions>
      </form>
    </Dialog>
  );
}

function Losses({ store, retain }: { store: Store; retain: boolean }) {
  return (
    <>
      <p>{retain ? 'The shop closes. Its data stays in the cluster.' : 'The shop closes, and this cannot be undone. Lost for good:'}</p>
      <ul>
        <li>{retain ? 'Goes' : 'The shop'}: {store.status?.url ?? store.spec.host}</li>
        {retain
          ? <li>Stays: namespace {store.status?.namespace} with its volumes and secrets</li>
          : <>
            <li>Its database, with every product, customer and order</li>
            <li>Its uploaded files, its passwords and keys</li>
            {store.status?.namespace && <li>Namespace {store.status.namespace} with all that is in it</li>}
          </>}
      </ul>
    </>
  );
}
