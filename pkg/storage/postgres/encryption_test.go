package postgres

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/server/options/encryptionconfig"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/value"

	"platform.dev/stores/pkg/storage/postgres/postgrestest"
)

// TestConformanceOfEncryption runs what passes with any transformer with those of an
// EncryptionConfiguration, as the API server reads it from a file.
func TestConformanceOfEncryption(t *testing.T) {
	for _, provider := range []string{"aescbc", "secretbox"} {
		t.Run(provider, func(t *testing.T) {
			t.Parallel()
			options := []fixtureOption{withTransformer(encryption(t, provider, "one"))}
			runConformanceInParallel(t, options, plainTests(), revisionTests(), watchTests())
		})
	}
}

func TestEncryptionAtRest(t *testing.T) {
	t.Parallel()
	const secret = "correct horse battery staple"
	for _, provider := range []string{"aescbc", "aesgcm", "secretbox"} {
		t.Run(provider, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, withTransformer(encryption(t, provider, "one")))
			pod := newPod("a")
			pod.Annotations = map[string]string{"secret": secret}
			if err := f.Create(t.Context(), podKey("a"), pod, nil, 0); err != nil {
				t.Fatal(err)
			}
			if got := getPod(t, f.Storage, "a").Annotations["secret"]; got != secret {
				t.Errorf("read %q, want %q", got, secret)
			}
			stored := f.storedValue(t, "a")
			if want := "k8s:enc:" + provider + ":v1:one:"; !bytes.HasPrefix(stored, []byte(want)) {
				t.Errorf("stored %.40q, want it to begin with %q", stored, want)
			}
			if bytes.Contains(stored, []byte(secret)) {
				t.Errorf("stored in clear text: %q", stored)
			}
		})
	}
}

// TestEncryptionBindsValuesToKeys moves a value to another key in the database.
func TestEncryptionBindsValuesToKeys(t *testing.T) {
	t.Parallel()
	f := newFixture(t, withTransformer(encryption(t, "aesgcm", "one")))
	createPod(t, f.Storage, "mine")
	createPod(t, f.Storage, "theirs")
	_, err := f.db.pool.Exec(t.Context(), "update head set mod = (select mod from head where key = $1) where key = $2",
		podKey("theirs"), podKey("mine"))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Get(t.Context(), podKey("mine"), storage.GetOptions{}, &example.Pod{}); !storage.IsInternalError(err) {
		t.Errorf("reading a value that was moved: error %v, want an internal error", err)
	}
}

// TestEncryptionKeyRotation takes the usual three steps: a new key comes first, then
// everything is written again, then the old key goes.
func TestEncryptionKeyRotation(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.New(t)
	old := newFixtureAt(t, dsn, withTransformer(encryption(t, "secretbox", "old")))
	before := createPod(t, old.Storage, "rewritten")
	createPod(t, old.Storage, "forgotten")

	rotating := newFixtureAt(t, dsn, withTransformer(encryption(t, "secretbox", "new", "old")))
	w := watchPods(t, rotating.Storage, before.ResourceVersion)
	nextPod(t, w, watch.Added)
	for range 2 { // the second changes nothing
		touch(t, rotating.Storage, "rewritten")
	}
	after := nextPod(t, w, watch.Modified)
	if stored := rotating.storedValue(t, "rewritten"); !strings.HasPrefix(string(stored), "k8s:enc:secretbox:v1:new:") {
		t.Errorf("an update without a change leaves %.40q", stored)
	}
	if got := getPod(t, rotating.Storage, "rewritten"); got.ResourceVersion != after.ResourceVersion {
		t.Errorf("written again although the key was the new one already: resource version %s, want %s",
			got.ResourceVersion, after.ResourceVersion)
	}

	rotated := newFixtureAt(t, dsn, withTransformer(encryption(t, "secretbox", "new")))
	if got := getPod(t, rotated.Storage, "rewritten"); got.ResourceVersion != after.ResourceVersion {
		t.Errorf("resource version %s with the new key alone, want %s", got.ResourceVersion, after.ResourceVersion)
	}
	if err := rotated.Get(t.Context(), podKey("forgotten"), storage.GetOptions{}, &example.Pod{}); !storage.IsInternalError(err) {
		t.Errorf("reading what was not written again: error %v, want an internal error", err)
	}
}

// touch updates a pod without changing it, as a registry does that has it in a cache.
func touch(t *testing.T, s storage.Interface, name string) {
	t.Helper()
	cached := getPod(t, s, name)
	err := s.GuaranteedUpdate(t.Context(), podKey(name), &example.Pod{}, false, nil,
		storage.SimpleUpdate(func(obj runtime.Object) (runtime.Object, error) { return obj, nil }), cached)
	if err != nil {
		t.Fatalf("updating %s: %v", name, err)
	}
}

// storedValue returns the bytes that the database holds for a pod.
func (f *fixture) storedValue(t *testing.T, name string) []byte {
	t.Helper()
	var stored []byte
	err := f.db.pool.QueryRow(t.Context(),
		"select value from head join log on rev = mod where head.key = $1", podKey(name)).Scan(&stored)
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

// encryption returns the transformer for pods of a configuration in which a provider has
// keys of these names, of which the first encrypts.
func encryption(t *testing.T, provider string, keys ...string) value.Transformer {
	t.Helper()
	var config strings.Builder
	fmt.Fprintf(&config, `
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [pods]
  providers:
  - %s:
      keys:
`, provider)
	for _, key := range keys {
		material := bytes.Repeat([]byte(key), 32)[:32]
		fmt.Fprintf(&config, "      - {name: %s, secret: %s}\n", key, base64.StdEncoding.EncodeToString(material))
	}
	file := filepath.Join(t.TempDir(), "encryption.yaml")
	if err := os.WriteFile(file, []byte(config.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded, err := encryptionconfig.LoadEncryptionConfig(context.WithoutCancel(t.Context()), file, false, "")
	if err != nil {
		t.Fatal(err)
	}
	return loaded.Transformers[schema.GroupResource{Resource: "pods"}]
}
