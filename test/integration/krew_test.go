package integration

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// krewManifest is the schema of plugins that krew documents, without fields that
// only some plugins need.
type krewManifest struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Spec struct {
		Version          string `json:"version"`
		Homepage         string `json:"homepage"`
		ShortDescription string `json:"shortDescription"`
		Description      string `json:"description"`
		Caveats          string `json:"caveats"`
		Platforms        []struct {
			Selector struct {
				MatchLabels map[string]string `json:"matchLabels"`
			} `json:"selector"`
			URI    string `json:"uri"`
			SHA256 string `json:"sha256"`
			Bin    string `json:"bin"`
		} `json:"platforms"`
	} `json:"spec"`
}

// buildForKrew runs hack/krew.sh for this machine and returns what it makes, by name.
func buildForKrew(t *testing.T, environment ...string) map[string][]byte {
	t.Helper()
	folder := t.TempDir()
	cmd := exec.CommandContext(t.Context(), filepath.Join(env.Repository(), "hack", "krew.sh"))
	cmd.Env = append(append(os.Environ(), "OUTPUT="+folder, "PLATFORMS="+runtime.GOOS+"/"+runtime.GOARCH, "VERSION=v1.2.3", "DOWNLOADS=https://example.com/v1.2.3"), environment...)
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("hack/krew.sh: %v\n%s", err, output)
	}
	files := map[string][]byte{}
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if files[entry.Name()], err = os.ReadFile(filepath.Join(folder, entry.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// The plugin is installed by krew itself, from archives that anybody can build anew.
func TestKrewInstallsThePlugin(t *testing.T) {
	t.Parallel()
	archive := "kubectl-store-" + runtime.GOOS + "-" + runtime.GOARCH + ".tar.gz"
	files := buildForKrew(t)
	if names := slices.Sorted(maps.Keys(files)); strings.Join(names, " ") != archive+" store.yaml" {
		t.Fatalf("hack/krew.sh makes %v", names)
	}
	again := buildForKrew(t, "TZ=Asia/Tokyo", "LC_ALL=C", "USER=somebody")
	for name, content := range files {
		if string(content) != string(again[name]) {
			t.Errorf("%s is another when it is built again", name)
		}
	}

	manifest := &krewManifest{}
	if err := yaml.UnmarshalStrict(files["store.yaml"], manifest); err != nil {
		t.Fatal(err)
	}
	if manifest.APIVersion != "krew.googlecontainertools.github.com/v1alpha2" || manifest.Kind != "Plugin" || manifest.Metadata.Name != "store" {
		t.Errorf("manifest of %s %s %q", manifest.APIVersion, manifest.Kind, manifest.Metadata.Name)
	}
	spec := manifest.Spec
	if !regexp.MustCompile(`^v\d+\.\d+\.\d+$`).MatchString(spec.Version) || spec.Homepage == "" || spec.ShortDescription == "" || len(spec.ShortDescription) > 50 || spec.Description == "" {
		t.Errorf("manifest %+v", spec)
	}
	sum := sha256.Sum256(files[archive])
	if len(spec.Platforms) != 1 {
		t.Fatalf("platforms %+v", spec.Platforms)
	}
	platform := spec.Platforms[0]
	if want := map[string]string{"os": runtime.GOOS, "arch": runtime.GOARCH}; !maps.Equal(platform.Selector.MatchLabels, want) ||
		platform.URI != "https://example.com/v1.2.3/"+archive || platform.SHA256 != hex.EncodeToString(sum[:]) || platform.Bin != "kubectl-store" {
		t.Errorf("platform %+v, archive %x", platform, sum)
	}

	krew, err := env.BuildKrew(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	root := filepath.Join(folder, "root")
	install := func(archive []byte) (string, error) {
		for name, content := range map[string][]byte{"store.yaml": files["store.yaml"], "archive.tar.gz": archive} {
			if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.CommandContext(t.Context(), krew, "install", "--manifest="+filepath.Join(folder, "store.yaml"), "--archive="+filepath.Join(folder, "archive.tar.gz"))
		cmd.Env = append(os.Environ(), "KREW_ROOT="+root, "KREW_NO_UPGRADE_CHECK=1", "PATH="+filepath.Join(root, "bin")+string(filepath.ListSeparator)+os.Getenv("PATH"))
		output, err := cmd.CombinedOutput()
		return string(output), err
	}
	if output, err := install(append(slices.Clone(files[archive]), 0)); err == nil || !strings.Contains(output, "checksum") {
		t.Errorf("another archive is installed: %v\n%s", err, output)
	}
	if output, err := install(files[archive]); err != nil {
		t.Fatalf("krew install: %v\n%s", err, output)
	}
	k := newKubectl(t)
	k.path = filepath.Join(root, "bin")
	contains(t, k.run("", "store", "--help"), "kubectl store [command]", "rollback")
	k.refuse("", []string{"store", "open", "flowers"}, `Error from server (NotFound): stores.platform.dev "flowers" not found`)
}
