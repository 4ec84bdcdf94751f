import '@fontsource-variable/schibsted-grotesk';
import './styles/tokens.css';
import './styles/base.css';
import './styles/components.css';
import './styles/screens.css';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { onUnauthorized } from './api/client';
import { isCode } from './api/errors';
import type { Session } from './api/session';
import { router } from './router';

const client = new QueryClient({
  defaultOptions: {
    queries: {
      refetchOnWindowFocus: false,
      retry: (count, error) => count < 2 && !isCode(error, 400, 401, 403, 404, 405, 409, 422),
    },
  },
});

// The session has ended in the middle of something: say so once, and leave the
// page as it is until the user signs in again.
onUnauthorized(() => {
  const session = client.getQueryData<Session | null>(['session']);
  if (session) client.setQueryData(['session-ended'], true);
});

const root = document.getElementById('root');
if (root) {
  createRoot(root).render(
    <StrictMode>
      <QueryClientProvider client={client}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </StrictMode>,
  );
}
