import { AlertDialog as Alert } from '@base-ui/react/alert-dialog';
import { Dialog as Base } from '@base-ui/react/dialog';
import type { ReactNode } from 'react';
import { Button } from './basics';

interface Props {
  open: boolean;
  onClose: () => void;
  title: string;
  description?: ReactNode;
  children: ReactNode;
  /** An alert does not close by a click beside it. */
  alert?: boolean;
}

/** A modal dialog: traps the focus, closes by Escape, gives the focus back. */
export function Dialog({ open, onClose, title, description, children, alert = false }: Props) {
  const Part = alert ? Alert : Base;
  return (
    <Part.Root open={open} onOpenChange={(next) => { if (!next) onClose(); }}>
      <Part.Portal>
        <Part.Backdrop className="backdrop" />
        <Part.Popup className="dialog">
          <Part.Title className="dialog-title">{title}</Part.Title>
          {description && <Part.Description className="dialog-description" render={<div />}>{description}</Part.Description>}
          {children}
        </Part.Popup>
      </Part.Portal>
    </Part.Root>
  );
}

export function DialogActions({ onCancel, cancel = 'Cancel', children }: { onCancel: () => void; cancel?: string; children?: ReactNode }) {
  return (
    <div className="dialog-actions">
      <Button onClick={onCancel}>{cancel}</Button>
      {children}
    </div>
  );
}
