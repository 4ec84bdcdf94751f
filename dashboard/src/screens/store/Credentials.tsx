import { useEffect, useState } from 'react';
import { isCode, messageOf } from '../../api/errors';
import { getCredentials } from '../../api/resources';
import type { Store, StoreCredentials } from '../../api/types';
import { kubectl } from '../../lib/kubectl';
import { Button, Copy, Kubectl, Notice } from '../../ui/basics';
import { Dialog, DialogActions } from '../../ui/dialog';

const visibleFor = 30;

/**
 * Shows the admin login for half a minute. The secret lives in this component's
 * state alone, never in a cache, and is forgotten when it hides or closes.
 */
export function Credentials({ store, onClose }: { store: Store; onClose: () => void }) {
  const { name, namespace = '' } = store.metadata;
  const [login, setLogin] = useState<StoreCredentials>();
  const [error, setError] = useState<unknown>();
  const [asked, setAsked] = useState(0);
  const [left, setLeft] = useState(visibleFor);

  useEffect(() => {
    if (asked === 0) return;
    const controller = new AbortController();
    getCredentials(namespace, name, controller.signal).then(
      (got) => {
        setLeft(visibleFor);
        setLogin(got);
      },
      (reason: unknown) => {
        if (!controller.signal.aborted) setError(reason);
      },
    );
    return () => { controller.abort(); };
  }, [asked, namespace, name]);

  useEffect(() => {
    if (!login) return;
    const end = Date.now() + visibleFor * 1000;
    const timer = setInterval(() => {
      const seconds = Math.ceil((end - Date.now()) / 1000);
      setLeft(seconds);
      if (seconds <= 0) setLogin(undefined);
    }, 500);
    return () => { clearInterval(timer); };
  }, [login]);

  const reveal = () => {
    setError(undefined);
    setAsked((count) => count + 1);
  };
  return (
    <Dialog open onClose={onClose} title={`Admin login of ${name}`} description={<p>Whoever has it runs the shop. Each look is a line in the cluster’s audit log, with your name.</p>}>
      {login ? (
        <dl className="secret">
          {login.adminURL && <Row term="Where" value={login.adminURL} />}
          <Row term="User" value={login.username ?? ''} />
          <Row term="Password" value={login.password ?? ''} />
        </dl>
      ) : <p className="secret-hidden" aria-hidden="true">••••••••••••••••</p>}
      {login && <p className="sub" role="timer">Hides in {left} s.</p>}
      {isCode(error, 404, 405) ? <Notice tone="warn" title="There is no login to show yet">{messageOf(error)}</Notice>
        : error !== undefined && <Notice tone="bad" title={isCode(error, 403) ? 'You may not see it' : 'Cannot get it'}>{messageOf(error)}</Notice>}
      <Kubectl line={kubectl(namespace, 'store', 'credentials', name)} />
      <DialogActions onCancel={onClose} cancel="Close">
        {login ? <Button onClick={() => { setLogin(undefined); }}>Hide now</Button>
          : <Button kind="primary" icon="key" onClick={reveal}>Reveal</Button>}
      </DialogActions>
    </Dialog>
  );
}

function Row({ term, value }: { term: string; value: string }) {
  return <div><dt>{term}</dt><dd><code>{value}</code><Copy text={value} label={term.toLowerCase()} /></dd></div>;
}
