import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import { isCode, messageOf } from '../api/errors';
import { loginFailures, signIn } from '../api/session';
import { useConfig, useTitle } from '../lib/hooks';
import { Button, Field, Kubectl, Notice } from '../ui/basics';
import { Mark } from '../ui/icons';
import { ThemeToggle } from './ThemeToggle';

/** The door: a token pasted in, or the organisation's own login. */
export function SignIn() {
  useTitle('Sign in');
  const client = useQueryClient();
  const config = useConfig();
  const navigate = useNavigate();
  const { login } = useSearch({ from: '__root__' });
  const failure = login && loginFailures[login];
  const [token, setToken] = useState('');
  const enter = useMutation({
    mutationFn: signIn,
    onSuccess: async () => {
      setToken('');
      void navigate({ to: '.', search: (old) => ({ ...old, login: undefined }), replace: true });
      client.removeQueries({ queryKey: ['session-ended'] });
      await client.invalidateQueries({ queryKey: ['session'] });
    },
  });
  const refused = isCode(enter.error, 401, 403);
  return (
    <main id="main" className="door" tabIndex={-1}>
      <div className="awning" aria-hidden="true" />
      <div className="door-card">
        <div className="door-head">
          <span className="brand"><Mark /><span>Stores</span></span>
          <ThemeToggle />
        </div>
        <h1>Sign in</h1>
        <p className="lead">See, open and run your shops. You can do here what your Kubernetes login may do, and no more.</p>
        {failure && <Notice tone="bad" title={failure.title}>{failure.text}</Notice>}
        {config.data?.oidc && (
          <>
            <a className="button primary wide" href="/login">{failure ? 'Try again with your organisation' : 'Sign in with your organisation'}</a>
            <p className="or"><span>or with a token</span></p>
          </>
        )}
        <form
          noValidate
          onSubmit={(event) => {
            event.preventDefault();
            if (token.trim() && !enter.isPending) enter.mutate(token.trim());
          }}
        >
          <Field
            label="Bearer token"
            errors={refused ? ['The cluster does not accept this token. It may have expired.'] : undefined}
            hint="The token goes into a cookie that no script can read."
          >
            {(props) => (
              <input
                {...props}
                type="password"
                name="token"
                required
                autoComplete="off"
                spellCheck={false}
                value={token}
                onChange={(event) => { setToken(event.target.value); }}
              />
            )}
          </Field>
          {enter.isError && !refused && <Notice tone="bad" title="Cannot sign in">{messageOf(enter.error)}</Notice>}
          <Button type="submit" kind={config.data?.oidc ? 'plain' : 'primary'} busy={enter.isPending}>Sign in</Button>
        </form>
        <details>
          <summary>How do I get a token?</summary>
          <p>Ask the cluster for a short-lived one of a service account that you may use:</p>
          <Kubectl line="kubectl create token NAME --duration=8h" />
        </details>
      </div>
    </main>
  );
}
