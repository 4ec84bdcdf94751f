/**
 * Says something to people who do not see the page change. The live region is
 * part of the page from the start, as screen readers need it.
 */
export function announce(text: string): void {
  const region = document.getElementById('announcer');
  if (!region) return;
  region.textContent = '';
  requestAnimationFrame(() => {
    region.textContent = text;
  });
}
