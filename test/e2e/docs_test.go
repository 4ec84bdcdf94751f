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

// The commands of the README that set everything up themselves: hack/e2e.sh has
// run the first before these tests, and the second is what runs them.
var runElsewhere = map[string]bool{"make demo": true, "make test": true}

// Every shell block of the documentation runs as it is printed.
func TestDocumentedCommands(t *testing.T) {
	var files []string
	for _, pattern := range []string{"README.md", "docs/*.md", "docs/*/*.md"} {
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
			if runElsewhere[script] {
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
