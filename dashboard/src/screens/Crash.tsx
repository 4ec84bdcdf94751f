import type { ErrorComponentProps } from '@tanstack/react-router';
import { messageOf } from '../api/errors';
import { Button, Notice } from '../ui/basics';

/** Stands in for a screen that failed, most often because a newer release replaced its files. */
export function Crash({ error }: ErrorComponentProps) {
  return (
    <Notice tone="bad" title="This page broke" action={<Button onClick={() => { location.reload(); }}>Reload</Button>}>
      {messageOf(error)}
    </Notice>
  );
}
