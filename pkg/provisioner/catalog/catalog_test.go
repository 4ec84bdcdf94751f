package catalog

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLoad(t *testing.T) {
	t.Parallel()
	const medusa = "apiVersion: platform.dev/v1alpha1\nkind: Engine\nmetadata: {name: medusa}\nspec: {defaultPlan: standard}\n"
	for _, test := range []struct {
		name  string
		files map[string]string
		want  []string
		err   string
	}{
		{name: "an empty folder"},
		{name: "in the order of the file names", files: map[string]string{"b.yaml": medusa, "a.yaml": strings.Replace(medusa, "medusa", "woo", 1)}, want: []string{"woo", "medusa"}},
		{name: "other files are left alone", files: map[string]string{"README.md": "# no engine"}},
		{name: "an unknown field", files: map[string]string{"a.yaml": medusa + "sepc: {}\n"}, err: `unknown field "sepc"`},
		{name: "no name", files: map[string]string{"a.yaml": "kind: Engine\n"}, err: "metadata.name is missing"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			for name, content := range test.files {
				if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			engines, err := Load(folder)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("Load returned error %v, want one with %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, engine := range engines {
				got = append(got, engine.Name)
			}
			if strings.Join(got, " ") != strings.Join(test.want, " ") {
				t.Errorf("Load returned engines %q, want %q", got, test.want)
			}
		})
	}
}
