package rules

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A program of another module that uses our clients gets nothing else of ours, and no
// module that client-go does not bring anyway.
func TestClientsBringOnlyClientGo(t *testing.T) {
	t.Parallel()
	absolute, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for name, content := range map[string]string{
		"go.mod": "module example.com/consumer\n\ngo 1.26.0\n\nrequire platform.dev/stores v0.0.0\n\nreplace platform.dev/stores => " + absolute + "\n",
		"plain/program.go": program("k8s.io/client-go/applyconfigurations/core/v1", "k8s.io/client-go/informers",
			"k8s.io/client-go/kubernetes", "k8s.io/client-go/kubernetes/fake"),
		"stores/program.go": program("platform.dev/stores/pkg/apis/platform/v1alpha1", "platform.dev/stores/pkg/generated/applyconfiguration/platform/v1alpha1",
			"platform.dev/stores/pkg/generated/clientset/versioned", "platform.dev/stores/pkg/generated/clientset/versioned/fake",
			"platform.dev/stores/pkg/generated/informers/externalversions", "platform.dev/stores/pkg/generated/listers/platform/v1alpha1"),
	} {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Only packages of modules have one: those of the standard library do not.
	list := func(what, of string) []string {
		t.Helper()
		lines := goIn(t, folder, "list", "-deps", "-f", "{{with .Module}}{{$."+what+"}}{{end}}", of)
		slices.Sort(lines)
		return slices.Compact(lines)
	}
	want := append(list("Module.Path", "./plain"), "platform.dev/stores")
	slices.Sort(want)
	if diff := cmp.Diff(want, list("Module.Path", "./stores")); diff != "" {
		t.Errorf("modules that clients bring (-client-go's and ours +found):\n%s", diff)
	}
	for _, pkg := range list("ImportPath", "./stores") {
		ours, is := strings.CutPrefix(pkg, "platform.dev/stores/pkg/")
		if is && ours != "apis/platform" && ours != "apis/platform/v1alpha1" && !strings.HasPrefix(ours, "generated/") {
			t.Errorf("clients bring %s", pkg)
		}
	}
	goIn(t, folder, "build", "./stores")
}

func program(imports ...string) string {
	return "package program\n\nimport (\n\t_ \"" + strings.Join(imports, "\"\n\t_ \"") + "\"\n)\n"
}

// goIn runs the go command in the folder of a module, and returns the lines it prints.
func goIn(t *testing.T, folder string, args ...string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = folder
	// What is needed is in the module cache: it was built with the same versions before.
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod", "GOSUMDB=off")
	var problems strings.Builder
	cmd.Stderr = &problems
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, problems.String())
	}
	return strings.Fields(string(output))
}
