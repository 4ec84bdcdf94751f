package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var shellBlock = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// runElsewhere is true for what sets everything up or takes it down: hack/e2e.sh,
// which `make test` calls, does both around these tests.
func runElsewhere(script string) bool {
	return script == "make demo" || script == "make test" || strings.Contains(script, "localcluster stop")
}

// Every shell block of the documentation runs as it is printed.
func TestDocumentedCommands(t *testing.T) {
	var files []string
	for _, pattern := range []string{"README.md", "docs/*.md", "docs/*/*.md", "hack/*/README.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name, err := filepath.Rel(root, file)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range shellBlock.FindAllStringSubmatch(string(text), -1) {
			script := strings.TrimSpace(block[1])
			if runElsewhere(script) {
				continue
			}
			first, _, _ := strings.Cut(script, "\n")
			t.Run(name+"/"+first, func(t *testing.T) { runShell(t, script) })
		}
	}
}

func runShell(t *testing.T, script string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-o", "errexit", "-o", "nounset", "-o", "pipefail", "-c", script)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "PATH="+filepath.Join(root, "_output/bin")+":"+os.Getenv("PATH"))
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s\nprinted:\n%s", err, script, output)
	}
}
