package history

import "context"

type sourceKey struct{}

// WithSource returns a context for a request that came from these addresses, in the
// order in which it passed them. What it writes is noted with them.
func WithSource(ctx context.Context, addresses []string) context.Context {
	return context.WithValue(ctx, sourceKey{}, addresses)
}

// SourceOf returns the addresses that a request came from, nil if they are not known.
func SourceOf(ctx context.Context) []string {
	addresses, _ := ctx.Value(sourceKey{}).([]string)
	return addresses
}
