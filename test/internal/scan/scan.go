// Package scan finds secret values in what others can see.
package scan

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// Shortest is how long a value has to be for its bytes to be found nowhere by chance.
const Shortest = 16

// Scanner knows secret values, as they are and as they would look inside something
// encoded. The zero value knows none.
type Scanner struct {
	needles map[string][]byte // by what they are
	scanned int
}

// Add makes a value known under a name. It fails for one that is too short for a secret.
func (s *Scanner) Add(t testing.TB, name string, value []byte) {
	t.Helper()
	if len(value) < Shortest {
		t.Fatalf("%s has %d bytes: too short for a secret", name, len(value))
	}
	if s.needles == nil {
		s.needles = map[string][]byte{}
	}
	s.needles[name] = value
	s.needles[name+" in hexadecimal"] = []byte(hex.EncodeToString(value))
	s.needles[name+" in a URL"] = []byte(url.QueryEscape(string(value)))
	for shift := range 3 {
		s.needles[name+" in base64, shifted by "+strconv.Itoa(shift)] = base64Within(value, shift)
	}
}

// base64Within is what of a value's base64 does not depend on its neighbours when
// it begins shift bytes into a group of three.
func base64Within(value []byte, shift int) []byte {
	encoded := base64.StdEncoding.EncodeToString(append(make([]byte, shift), value...))
	end := (shift + len(value)) / 3 * 4
	return []byte(encoded[[]int{0, 2, 3}[shift]:end])
}

// Hits names the secrets in content.
func (s *Scanner) Hits(content []byte) []string {
	s.scanned++
	var found []string
	for name, needle := range s.needles {
		if bytes.Contains(content, needle) {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return found
}

// Scan fails the test if content, which is said to be where, holds a secret.
func (s *Scanner) Scan(t testing.TB, where string, content []byte) {
	t.Helper()
	if found := s.Hits(content); len(found) > 0 {
		t.Errorf("%s holds %s", where, strings.Join(found, ", "))
	}
}

// String says how much was looked at.
func (s *Scanner) String() string {
	return fmt.Sprintf("scanned %d pieces for %d forms of secrets", s.scanned, len(s.needles))
}

// ScanReleases scans the Helm releases of a namespace, unpacked. It fails if there are
// none.
func (s *Scanner) ScanReleases(ctx context.Context, t testing.TB, core kubernetes.Interface, namespace string) {
	t.Helper()
	secrets, err := core.CoreV1().Secrets(namespace).List(ctx, metav1.ListOptions{FieldSelector: "type=helm.sh/release.v1"})
	if err != nil {
		t.Fatal(err)
	}
	if len(secrets.Items) == 0 {
		t.Errorf("namespace %s has no Helm release", namespace)
	}
	for _, secret := range secrets.Items {
		packed, err := base64.StdEncoding.DecodeString(string(secret.Data["release"]))
		if err != nil {
			t.Fatal(err)
		}
		reader, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		s.Scan(t, "Helm release "+secret.Name, content)
	}
}
