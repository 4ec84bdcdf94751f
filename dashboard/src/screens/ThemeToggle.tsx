import { useState } from 'react';
import { Icon } from '../ui/icons';

type Theme = 'light' | 'dark';

const system = (): Theme => (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light');

/** Switches between light and dark; choosing what the system has follows the system again. */
export function ThemeToggle() {
  const [theme, setTheme] = useState<Theme>(() => (document.documentElement.dataset.theme as Theme | undefined) ?? system());
  const other: Theme = theme === 'dark' ? 'light' : 'dark';
  const toggle = () => {
    setTheme(other);
    try {
      if (other === system()) {
        delete document.documentElement.dataset.theme;
        localStorage.removeItem('stores-theme');
      } else {
        document.documentElement.dataset.theme = other;
        localStorage.setItem('stores-theme', other);
      }
    } catch {
      document.documentElement.dataset.theme = other;
    }
  };
  return (
    <button type="button" className="button quiet" aria-label={`Use the ${other} theme`} title={`Use the ${other} theme`} onClick={toggle}>
      <Icon name={theme === 'dark' ? 'sun' : 'moon'} />
    </button>
  );
}
