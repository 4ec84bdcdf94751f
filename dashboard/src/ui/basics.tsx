import type { ButtonHTMLAttributes, InputHTMLAttributes, ReactNode, SelectHTMLAttributes } from 'react';
import { useEffect, useId, useState } from 'react';
import { isCode, messageOf } from '../api/errors';
import { announce } from '../lib/announce';
import type { State, Tone } from '../lib/state';
import type { IconName } from './icons';
import { Icon } from './icons';

type ButtonProps = ButtonHTMLAttributes<HTMLButtonElement> & { kind?: 'primary' | 'danger' | 'plain' | 'quiet'; icon?: IconName; busy?: boolean };

/** A button. While busy it keeps its place and the focus, and does nothing. */
export function Button({ kind = 'plain', icon, busy = false, children, onClick, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      {...rest}
      className={`button ${kind}`}
      aria-busy={busy || undefined}
      aria-disabled={busy || rest['aria-disabled'] || undefined}
      onClick={(event) => {
        if (busy || rest['aria-disabled']) event.preventDefault();
        else onClick?.(event);
      }}
    >
      {busy ? <Icon name="ring" spin /> : icon && <Icon name={icon} />}
      {children && <span>{children}</span>}
    </button>
  );
}

const toneIcons: Record<Tone, IconName> = { ok: 'check', busy: 'ring', bad: 'alert', warn: 'alert', idle: 'clock', asleep: 'moon', going: 'trash' };

export function Badge({ tone, children }: { tone: Tone; children: ReactNode }) {
  return (
    <span className={`badge ${tone}`}>
      <Icon name={toneIcons[tone]} spin={tone === 'busy'} />
      {children}
    </span>
  );
}

export const StateBadge = ({ state }: { state: State }) => <Badge tone={state.tone}>{state.word}</Badge>;

export function Notice({ tone, title, children, action }: { tone: 'info' | 'ok' | 'warn' | 'bad'; title: string; children?: ReactNode; action?: ReactNode }) {
  return (
    <div className={`notice ${tone}`} role={tone === 'bad' ? 'alert' : undefined}>
      <Icon name={tone === 'info' ? 'info' : tone === 'ok' ? 'check' : 'alert'} />
      <div className="notice-text">
        <strong>{title}</strong>
        {children && <div>{children}</div>}
      </div>
      {action}
    </div>
  );
}

/** What a screen shows in place of what it could not get. */
export function Failure({ error, what, right, retry, kubectl }: { error: unknown; what: string; right?: string; retry?: () => void; kubectl?: string }) {
  const again = retry && <Button onClick={retry}>Try again</Button>;
  if (isCode(error, 401)) return <Notice tone="warn" title="You are signed out">Sign in again to see {what}.</Notice>;
  if (isCode(error, 403)) {
    return (
      <Notice tone="warn" title={`You may not see ${what}`} action={again}>
        <p>{messageOf(error)}</p>
        <p>{right ? `It takes the right to ${right}, which the role view has. Ask whoever runs the cluster for it.` : 'Ask whoever runs the cluster for a role there, such as view or edit.'}</p>
        {kubectl && <Kubectl line={kubectl} />}
      </Notice>
    );
  }
  return <Notice tone="bad" title={`Cannot load ${what}`} action={again}>{messageOf(error)}</Notice>;
}

export function Copy({ text, label }: { text: string; label: string }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => { setCopied(false); }, 2000);
    return () => { clearTimeout(timer); };
  }, [copied]);
  const copy = async () => {
    await copyText(text);
    setCopied(true);
    announce('Copied.');
  };
  return (
    <button type="button" className="copy" aria-label={`Copy ${label}`} title={`Copy ${label}`} onClick={() => void copy()}>
      <Icon name={copied ? 'check' : 'copy'} />
      <span aria-hidden="true">{copied ? 'Copied' : 'Copy'}</span>
    </button>
  );
}

// The clipboard API is there over HTTPS and on localhost only.
async function copyText(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = document.createElement('textarea');
    area.value = text;
    area.readOnly = true;
    area.className = 'offscreen';
    (document.activeElement?.closest('[role=dialog],[role=alertdialog]') ?? document.body).append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
  }
}

/** The line that does the same at a prompt. */
export function Kubectl({ line }: { line: string }) {
  return (
    <div className="kubectl">
      <code>
        <span className="prompt" aria-hidden="true">$ </span>
        {line}
      </code>
      <Copy text={line} label="command" />
    </div>
  );
}

interface FieldProps {
  label: string;
  hint?: ReactNode;
  errors?: readonly string[] | undefined;
  children: (props: { id: string; 'aria-describedby': string | undefined; 'aria-invalid': true | undefined }) => ReactNode;
}

/** A labelled control with its hint and what the server has against its value. */
export function Field({ label, hint, errors = [], children }: FieldProps) {
  const id = useId();
  const described = [hint && `${id}-hint`, errors.length > 0 && `${id}-errors`].filter(Boolean).join(' ');
  return (
    <div className={errors.length ? 'field invalid' : 'field'}>
      <label htmlFor={id}>{label}</label>
      {children({ id, 'aria-describedby': described || undefined, 'aria-invalid': errors.length > 0 || undefined })}
      {errors.length > 0 && (
        <ul className="field-errors" id={`${id}-errors`}>
          {errors.map((error) => <li key={error}><Icon name="alert" />{error}</li>)}
        </ul>
      )}
      {hint && <p className="hint" id={`${id}-hint`}>{hint}</p>}
    </div>
  );
}

type InputProps = Omit<InputHTMLAttributes<HTMLInputElement>, 'onChange'> & Pick<FieldProps, 'label' | 'hint' | 'errors'> & { onChange: (value: string) => void };

export function Input({ label, hint, errors, onChange, ...rest }: InputProps) {
  return (
    <Field label={label} hint={hint} errors={errors}>
      {(props) => <input autoComplete="off" spellCheck={false} {...rest} {...props} onChange={(event) => { onChange(event.target.value); }} />}
    </Field>
  );
}

type SelectProps = Omit<SelectHTMLAttributes<HTMLSelectElement>, 'onChange'> & Pick<FieldProps, 'label' | 'hint' | 'errors'> & { onChange: (value: string) => void };

export function Select({ label, hint, errors, onChange, children, ...rest }: SelectProps) {
  return (
    <Field label={label} hint={hint} errors={errors}>
      {(props) => <select {...rest} {...props} onChange={(event) => { onChange(event.target.value); }}>{children}</select>}
    </Field>
  );
}

/** A placeholder of about the shape of what is to come. */
export function Skeleton({ lines = 3, label }: { lines?: number; label: string }) {
  return (
    <div className="skeleton" role="status">
      <span className="offscreen">{label}</span>
      {Array.from({ length: lines }, (_, index) => <div key={index} className="skeleton-line" />)}
    </div>
  );
}
