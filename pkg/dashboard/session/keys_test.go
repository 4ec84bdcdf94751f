package session

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func keyFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// keyOf is a key that is easy to tell from others.
func keyOf(b byte) string { return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, keySize)) }

// A new key can be put before the old one without ending any session.
func TestKeysAreRotated(t *testing.T) {
	t.Parallel()
	read := func(lines ...string) Keys {
		keys, err := ReadKeys(keyFile(t, strings.Join(lines, "\n")))
		if err != nil {
			t.Fatal(err)
		}
		return keys
	}
	before, both, after := read(keyOf(1)), read(keyOf(2), keyOf(1)), read(keyOf(2))
	for name, test := range map[string]struct {
		by, with Keys
		opens    bool
	}{
		"the same":                {before, before, true},
		"sealed before":           {before, both, true},
		"sealed during":           {both, after, true},
		"sealed before, and gone": {before, after, false},
	} {
		sealed := test.by.Seal([]byte("secret"), "a")
		if plain, err := test.with.Open(sealed, "a"); (err == nil) != test.opens || test.opens && string(plain) != "secret" {
			t.Errorf("%s: got %q, %v", name, plain, err)
		}
		if plain, err := test.with.Open(sealed, "b"); err == nil {
			t.Errorf("%s: opened for another purpose as %q", name, plain)
		}
	}
	if first, second := before.Seal([]byte("secret"), "a"), before.Seal([]byte("secret"), "a"); first == second {
		t.Error("who sees two cookies sees that they hold the same")
	}
}

func TestReadKeysRefuses(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"nothing":     "\n",
		"no base64":   "secret",
		"a short key": base64.StdEncoding.EncodeToString([]byte("secret")),
		"a bad one":   keyOf(1) + "\nsecret",
	} {
		if keys, err := ReadKeys(keyFile(t, content)); err == nil {
			t.Errorf("%s: got %d keys", name, len(keys))
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error shows the file: %v", name, err)
		}
	}
	if _, err := ReadKeys(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a missing file: no error")
	}
}
