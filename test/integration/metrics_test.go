package integration

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What the running server exposes is on the page of metrics, and so is what the page
// says of the library's.
func TestExposedMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	create(t, env.NewNamespace(t), newStore("flowers", newEngine(t)))
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	status, exposed := send(t, env.Server().As(env.Admin()), http.MethodGet, "/metrics", nil)
	if status != http.StatusOK {
		t.Fatalf("status %d: %s", status, exposed)
	}
	found := 0
	for _, name := range regexp.MustCompile(`(?m)^# TYPE (stores_\w+) `).FindAllStringSubmatch(exposed, -1) {
		found++
		if !regexp.MustCompile("`" + name[1] + "[`{]").Match(page) {
			t.Errorf("metric %s is not documented", name[1])
		}
	}
	if found == 0 {
		t.Error("no metrics of ours are exposed")
	}
	section, _, _ := strings.Cut(string(page), "## Provisioner")
	for _, name := range regexp.MustCompile("(?m)^\\| `((?:apiserver|process)_\\w+)").FindAllStringSubmatch(section, -1) {
		if !strings.Contains(exposed, "# TYPE "+name[1]+" ") {
			t.Errorf("metric %s is documented and not exposed", name[1])
		}
	}
}
