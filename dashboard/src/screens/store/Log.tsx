import { useDeferredValue, useLayoutEffect, useMemo, useRef, useState, useSyncExternalStore } from 'react';
import type { LogLine } from '../../api/log';
import { LogStream } from '../../api/log';
import { clockTime } from '../../lib/time';
import { Button, Failure, Input, Skeleton } from '../../ui/basics';
import { Icon } from '../../ui/icons';

interface Props {
  path: string;
  container: string;
  follow: boolean;
  namespace: string;
}

const words = { live: 'Live', reconnecting: 'Reconnecting…', ended: 'The container has ended', failed: 'Broken off' };

const icons = { live: 'dot', reconnecting: 'ring', ended: 'pause', failed: 'alert' } as const;

/** A container's log. It keeps to the newest line until the reader scrolls up. */
export function Log({ path, container, follow, namespace }: Props) {
  const stream = useMemo(() => new LogStream(path, container, follow), [path, container, follow]);
  const { lines, phase, error } = useSyncExternalStore(stream.subscribe, stream.getSnapshot);
  const [filter, setFilter] = useState('');
  const deferred = useDeferredValue(filter.toLowerCase());
  const text = useMemo(() => lines.filter((line) => line.text.toLowerCase().includes(deferred)).map(written).join('\n'), [lines, deferred]);
  const box = useRef<HTMLPreElement>(null);
  const [newest, setNewest] = useState(true);
  useLayoutEffect(() => {
    if (newest && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [newest, text]);

  const failure = phase === 'failed' && <Failure error={error} what={`the log of ${container}`} right={`get on pods/log in namespace ${namespace}`} retry={stream.retry} />;
  if (failure && lines.length === 0) return failure;
  if (phase === 'loading') return <Skeleton label="Loading the log" lines={2} />;
  // What was read stays, also when the session ends.
  return (
    <>
      {failure}
      <div className="log-head">
        <Input label="Filter lines" type="search" value={filter} onChange={setFilter} />
        <span className={`live ${phase}`} role="status"><Icon name={icons[phase]} spin={phase === 'reconnecting'} />{words[phase]}</span>
        {!newest && <Button kind="quiet" onClick={() => { setNewest(true); }}>Newest lines</Button>}
      </div>
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- what scrolls must take the focus */}
      <pre ref={box} tabIndex={0} className="log" role="region" aria-label={`Log of ${container}`} onScroll={(event) => { setNewest(atEnd(event.currentTarget)); }}>
        {text || (lines.length > 0 ? `None of ${String(lines.length)} lines has it.` : 'Nothing is written yet.')}
      </pre>
    </>
  );
}

const written = ({ time, text }: LogLine) => `${clockTime(time)} ${text}`;

const atEnd = ({ scrollTop, scrollHeight, clientHeight }: HTMLElement) => scrollHeight - scrollTop - clientHeight < 8;
