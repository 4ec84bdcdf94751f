import { Link } from '@tanstack/react-router';
import { useTitle } from '../lib/hooks';

export function NotFound() {
  useTitle('Not found');
  return (
    <div className="empty">
      <h1>There is nothing here</h1>
      <p>The address is mistyped or old.</p>
      <Link to="/" className="button primary">All stores</Link>
    </div>
  );
}
