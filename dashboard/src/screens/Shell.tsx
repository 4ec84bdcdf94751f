import type { QueryClient } from '@tanstack/react-query';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, Outlet } from '@tanstack/react-router';
import { useState } from 'react';
import type { Session } from '../api/session';
import { signOut } from '../api/session';
import { useConfig, useSession } from '../lib/hooks';
import { span, useMinutes } from '../lib/time';
import { Button, Failure, Notice, Skeleton } from '../ui/basics';
import { Mark } from '../ui/icons';
import { SignIn } from './SignIn';
import { ThemeToggle } from './ThemeToggle';

/** The frame around every screen, and the door before it. */
export function Shell() {
  const session = useSession();
  return (
    <>
      <a className="skip" href="#main">Skip to content</a>
      <div id="announcer" className="offscreen" aria-live="polite" />
      {session.data === null ? <SignIn /> : (
        <>
          <Header session={session.data} />
          <main id="main" tabIndex={-1}>
            {session.data && <SessionNotice session={session.data} />}
            {session.isPending && <Skeleton label="Loading" lines={6} />}
            {session.isError && <Failure error={session.error} what="your session" retry={() => void session.refetch()} />}
            {session.data && <Outlet />}
          </main>
        </>
      )}
    </>
  );
}

function Header({ session }: { session: Session | undefined }) {
  const client = useQueryClient();
  const leave = async () => {
    await signOut().catch(() => undefined);
    forget(client);
  };
  return (
    <header className="top">
      <Link to="/" className="brand" aria-label="Stores, the list"><Mark /><span>Stores</span></Link>
      <div className="top-end">
        {session && <span className="who" title={session.user.username}><span className="offscreen">Signed in as </span>{shortName(session.user.username)}</span>}
        <ThemeToggle />
        {session?.layer && <Button kind="quiet" onClick={() => void leave()}>Sign out</Button>}
      </div>
    </header>
  );
}

/** Opens the door, and leaves nothing of the user behind it. */
function forget(client: QueryClient): void {
  client.setQueryData(['session'], null);
  client.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== 'session' && queryKey[0] !== 'config' });
}

const shortName = (name: string) => name.replace(/^system:serviceaccount:/, '');

const soon = 5 * 60_000;

function SessionNotice({ session }: { session: Session }) {
  const client = useQueryClient();
  const now = useMinutes();
  const [dismissed, setDismissed] = useState(false);
  const ended = useQuery({ queryKey: ['session-ended'], queryFn: () => false, initialData: false, staleTime: Infinity, enabled: false }).data;
  const config = useConfig();
  const left = session.expiresAt ? Date.parse(session.expiresAt) - now : Infinity;
  if (ended || left <= 0) {
    return (
      <Notice tone="warn" title="Your session has ended" action={<Button kind="primary" onClick={() => { forget(client); }}>Sign in again</Button>}>
        What you see is from before, and nothing can be changed.
      </Notice>
    );
  }
  if (left < soon && !dismissed) {
    return (
      <Notice tone="info" title={`Your session ends in ${span(left)}`} action={<Button onClick={() => { setDismissed(true); }}>Understood</Button>}>
        {config.data?.oidc ? 'Sign in again when you are done with what you are at.' : 'Have a new token ready.'}
      </Notice>
    );
  }
  return null;
}
