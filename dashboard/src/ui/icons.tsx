const paths = {
  check: 'M3.5 8.5l3 3 6-7',
  alert: 'M8 4.5v4M8 11.2v.1M8 1.5l6.5 12h-13z',
  clock: 'M8 4.5V8l2.5 1.5M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0z',
  moon: 'M13 9.5A5.5 5.5 0 0 1 6.500 3a5.500 5.500 0 1 0 6.500 6.500z',
  trash: 'M3 4.500h10M6.500 4.500V3h3v1.500M4.500 4.500l.5 8.500h6l.5-8.500',
  pause: 'M5.500 4v8M10.500 4v8',
  info: 'M8 7.500v3.500M8 5v.1M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0z',
  copy: 'M6 5.500h6.500V13H6zM10 5.500V3H3.500v7.500H6',
  open: 'M9.500 3H13v3.500M13 3L7.500 8.500M11.500 9.500V13H3V4.500h3.500',
  search: 'M7 11.500a4.500 4.500 0 1 0 0-9 4.500 4.500 0 0 0 0 9zM10.500 10.500l3 3',
  plus: 'M8 3v10M3 8h10',
  back: 'M9.500 3.500L5 8l4.500 4.500',
  key: 'M9 7.500L13.500 3M12 4.500l1.500 1.500M6.500 13a3 3 0 1 0 0-6 3 3 0 0 0 0 6z',
  power: 'M8 2.500v5M5 4.200a5 5 0 1 0 6 0',
  edit: 'M3 13l.6-2.900L10.500 3.200l2.300 2.300-6.900 6.900z',
  lock: 'M4 7.500h8V13H4zM5.800 7.500V5.200a2.200 2.200 0 0 1 4.400 0v2.300',
  undo: 'M3 6.500h6.500a3.200 3.200 0 0 1 0 6.500H6M3 6.500L6 3.500M3 6.500l3 3',
  sun: 'M8 5.300a2.700 2.700 0 1 1 0 5.400 2.700 2.700 0 0 1 0-5.400zM8 1.500v1.300M8 13.200v1.300M1.500 8h1.300M13.200 8h1.300M3.400 3.400l.9.9M11.700 11.700l.9.9M12.600 3.400l-.9.9M4.300 11.700l-.9.9',
  ring: 'M8 2.500a5.500 5.500 0 1 1-5.500 5.500',
  dot: 'M8 6.500a1.500 1.500 0 1 1 0 3 1.500 1.500 0 0 1 0-3z',
} as const;

export type IconName = keyof typeof paths;

/** A picture beside a word that says the same. */
export function Icon({ name, spin = false }: { name: IconName; spin?: boolean }) {
  return (
    <svg className={spin ? 'icon spin' : 'icon'} viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path d={paths[name]} />
    </svg>
  );
}

export function Mark() {
  return (
    <svg className="mark" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <path className="mark-roof" d="M7 6h18l3 8H4z" />
      <path className="mark-warm" d="M4 14h6v2.500a3 3 0 0 1-6 0zM16 14h6v2.500a3 3 0 0 1-6 0z" />
      <path className="mark-cool" d="M10 14h6v2.500a3 3 0 0 1-6 0zM22 14h6v2.500a3 3 0 0 1-6 0z" />
      <path className="mark-wall" d="M7 21.500V27h18v-5.500" />
    </svg>
  );
}
