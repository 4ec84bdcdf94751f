package engine

import (
	"fmt"
	"io"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

// alphabets are the characters of each random format.
var alphabets = map[v1alpha1.RandomFormat]string{
	v1alpha1.RandomAlphanumeric: "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
	v1alpha1.RandomHex:          "0123456789abcdef",
}

// NewCredentials makes the credentials of s that have does not hold yet. What
// have holds is left alone, whatever the engine says today: a database knows
// only the password it was made with. The result is secret; keep it out of
// logs, events, status and values.
//
// The random source must be a cryptographic one outside of tests.
func NewCredentials(e *v1alpha1.Engine, s *v1alpha1.Store, p Platform, have map[string][]byte, random io.Reader) (map[string][]byte, error) {
	made := map[string][]byte{}
	for _, c := range e.Spec.Credentials {
		if _, ok := have[c.Key]; ok {
			continue
		}
		v, err := newCredential(s, p, c, random)
		if err != nil {
			return nil, fmt.Errorf("%w: credential %q of engine %q: %w", ErrValues, c.Key, e.Name, err)
		}
		made[c.Key] = v
	}
	return made, nil
}

func newCredential(s *v1alpha1.Store, p Platform, c v1alpha1.Credential, random io.Reader) ([]byte, error) {
	switch {
	case c.Generate != nil && c.From == nil:
		return randomValue(*c.Generate, random)
	case c.From != nil && c.Generate == nil:
		v, ok := p.field(s, *c.From)
		if !ok {
			return nil, fmt.Errorf("unknown field %q", *c.From)
		}
		return fmt.Append(nil, v), nil
	}
	return nil, fmt.Errorf("exactly one of generate and from must be set")
}

// randomValue draws each character with the same probability: bytes beyond the
// last whole multiple of the alphabet's size are thrown away, because folding
// them back would favour the alphabet's first characters.
func randomValue(r v1alpha1.RandomValue, random io.Reader) ([]byte, error) {
	format := r.Format
	if format == "" {
		format = v1alpha1.RandomAlphanumeric
	}
	alphabet, ok := alphabets[format]
	if !ok {
		return nil, fmt.Errorf("unknown format %q", format)
	}
	limit := 256 - 256%len(alphabet)
	value := make([]byte, 0, len(r.Prefix)+int(r.Length))
	value = append(value, r.Prefix...)
	buf := make([]byte, 64)
	for len(value) < cap(value) {
		if _, err := io.ReadFull(random, buf); err != nil {
			return nil, fmt.Errorf("reading random bytes: %w", err)
		}
		for _, b := range buf {
			if int(b) < limit && len(value) < cap(value) {
				value = append(value, alphabet[int(b)%len(alphabet)])
			}
		}
	}
	return value, nil
}
