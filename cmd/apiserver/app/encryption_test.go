package app

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/storage/value"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/apiserver"
)

func TestEncryption(t *testing.T) {
	const config = `
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [stores.platform.dev]
  providers:
  - secretbox: {keys: [{name: one, secret: MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=}]}
  - identity: {}
`
	for _, test := range []struct {
		name, config string
		fails        bool
		want         map[string]string // how values of a resource begin
	}{
		{name: "not configured", want: map[string]string{"stores": "value", "engines": "value"}},
		{name: "stores", config: config, want: map[string]string{"stores": "k8s:enc:secretbox:v1:one:", "engines": "value"}},
		{name: "not a configuration", config: "kind: Store", fails: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := &EncryptionOptions{}
			if test.config != "" {
				o.ConfigFile = filepath.Join(t.TempDir(), "encryption.yaml")
				if err := os.WriteFile(o.ConfigFile, []byte(test.config), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			transformers, err := o.Load(t.Context(), genericapiserver.NewRecommendedConfig(apiserver.Codecs))
			if (err != nil) != test.fails {
				t.Fatalf("error %v, want one: %t", err, test.fails)
			}
			for resource, want := range test.want {
				stored := []byte("value")
				if transformers != nil {
					transformer := transformers.TransformerForResource(v1alpha1.Resource(resource))
					if stored, err = transformer.TransformToStorage(t.Context(), stored, value.DefaultContext("key")); err != nil {
						t.Fatal(err)
					}
				}
				if !bytes.HasPrefix(stored, []byte(want)) {
					t.Errorf("a value of %s is stored as %q, want it to begin with %q", resource, stored, want)
				}
			}
		})
	}
}
