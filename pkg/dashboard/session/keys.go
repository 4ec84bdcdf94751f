package session

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
)

// keySize makes AES-256 of it.
const keySize = 32

// errSeal says nothing about why: who sends forged cookies is not to learn from it.
var errSeal = errors.New("not sealed with a key of this dashboard")

// Keys seal what the browser keeps for the dashboard. The cookies are sealed, not
// plain tokens, so that a cookie that leaks from a log or a browser's profile is no
// credential for the kube API, and so that nobody else can write one. The first key
// seals, all of them open, so that keys can be changed without signing anybody out.
type Keys []cipher.AEAD

// ReadKeys reads a file with one or more keys: 32 bytes in base64, one a line.
func ReadKeys(path string) (Keys, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the session keys: %w", err)
	}
	var keys Keys
	for i, line := range bytes.Fields(content) {
		raw, err := base64.StdEncoding.DecodeString(string(line))
		if err != nil || len(raw) != keySize {
			return nil, fmt.Errorf("session key %d in %s is not %d bytes in base64", i+1, path, keySize)
		}
		key, err := newKey(raw)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("there is no session key in %s", path)
	}
	return keys, nil
}

// RandomKeys returns a key that ends with the process.
func RandomKeys() (Keys, error) {
	raw := make([]byte, keySize)
	_, _ = rand.Read(raw) // never fails
	key, err := newKey(raw)
	return Keys{key}, err
}

func newKey(raw []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(raw)
	if err != nil {
		return nil, fmt.Errorf("making a session key: %w", err)
	}
	key, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("making a session key: %w", err)
	}
	return key, nil
}

// Seal returns plain in a form for a cookie. It opens for the same purpose only.
func (k Keys) Seal(plain []byte, purpose string) string {
	return base64.RawURLEncoding.EncodeToString(k[0].Seal(nil, nil, plain, []byte(purpose)))
}

// Open returns what was sealed for this purpose.
func (k Keys) Open(sealed, purpose string) ([]byte, error) {
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		return nil, errSeal
	}
	for _, key := range k {
		if plain, err := key.Open(nil, nil, raw, []byte(purpose)); err == nil {
			return plain, nil
		}
	}
	return nil, errSeal
}
