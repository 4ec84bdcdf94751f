import { Copy } from './basics';

/** A text as it stands, scrolled inside its own box, by keyboard too. */
export function Code({ text, label }: { text: string; label: string }) {
  return (
    <figure className="code">
      <figcaption><span>{label}</span><Copy text={text} label={label} /></figcaption>
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- what scrolls must take the focus */}
      <pre tabIndex={0} role="region" aria-label={label}>{text}</pre>
    </figure>
  );
}
