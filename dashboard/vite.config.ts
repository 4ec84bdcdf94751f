import react from '@vitejs/plugin-react';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

// In development there is no session layer: `kubectl proxy` already speaks as
// somebody. The page learns it from the 404.
const noSession: Plugin = {
  name: 'no-session',
  configureServer(server) {
    server.middlewares.use((request, response, next) => {
      if (request.url !== '/session' && request.url !== '/config') return next();
      response.statusCode = 404;
      response.end();
    });
  },
};

export default defineConfig({
  plugins: [react(), noSession],
  build: {
    target: 'es2023',
    // Data URLs are for images only under the page's Content-Security-Policy.
    assetsInlineLimit: 0,
    manifest: true,
  },
  server: {
    proxy: {
      '/k8s': {
        target: process.env.KUBE_PROXY ?? 'http://127.0.0.1:8001',
        rewrite: (path) => path.replace(/^\/k8s/, ''),
      },
    },
  },
  test: {
    environment: 'happy-dom',
    include: ['src/**/*.test.{ts,tsx}'],
    restoreMocks: true,
  },
});
