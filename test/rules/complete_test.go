package rules

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// numbered is how tests of known failures of such systems are called.
var numbered = regexp.MustCompile(`(?m)^func (TestNeverAgain([0-9]{2})\w+)\(`)

// Each known way in which systems of this kind break has a test. The one that is left
// out is of lists of ten thousand stores (33).
func TestNeverAgainIsComplete(t *testing.T) {
	found := map[string]bool{}
	for _, source := range testSources(t) {
		for _, match := range numbered.FindAllStringSubmatch(source, -1) {
			found[match[2]] = true
		}
	}
	for _, span := range [][2]int{{1, 32}, {34, 38}} {
		for n := span[0]; n <= span[1]; n++ {
			number := fmt.Sprintf("%02d", n)
			if !found[number] {
				t.Errorf("no test is called TestNeverAgain%s...", number)
			}
		}
	}
}

// testSources are all Go tests of the repository.
func testSources(t *testing.T) []string {
	t.Helper()
	var sources []string
	for _, folder := range []string{"test", "pkg", "cmd", "charts", "dashboard", "examples", "hack"} {
		_ = filepath.WalkDir(filepath.Join(root, folder), func(path string, entry os.DirEntry, err error) error {
			if err == nil && entry.IsDir() && entry.Name() == "node_modules" {
				return filepath.SkipDir
			}
			if err == nil && strings.HasSuffix(path, "_test.go") {
				source, err := os.ReadFile(path)
				if err != nil {
					t.Error(err)
				}
				sources = append(sources, string(source))
			}
			return nil
		})
	}
	return sources
}

var (
	row  = regexp.MustCompile(`(?m)^\| S([0-9]+) \|(.*)\|$`)
	code = regexp.MustCompile("`([^`]+)`")
)

// Every feature has a row with what proves it, and every test, file and make
// target that a row names exists.
func TestFeaturesAreProven(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "features.md"))
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(testSources(t), "\n")
	var numbers []string
	for _, found := range row.FindAllStringSubmatch(string(text), -1) {
		numbers = append(numbers, found[1])
		proof := found[2][strings.LastIndex(found[2], "|")+1:]
		names := code.FindAllStringSubmatch(proof, -1)
		if len(names) == 0 && !strings.Contains(proof, "Not here:") && !strings.Contains(proof, "Not yet") {
			t.Errorf("S%s has neither a proof nor a reason", found[1])
		}
		for _, name := range names {
			var exists bool
			switch what := name[1]; {
			case strings.HasPrefix(what, "Test"), strings.HasPrefix(what, "Fuzz"):
				exists = strings.Contains(all, "func "+what+"(")
			case strings.HasPrefix(what, "make "):
				exists = strings.Contains(string(makefile), "\n"+strings.TrimPrefix(what, "make ")+":")
			default:
				_, err := os.Stat(filepath.Join(root, what))
				exists = err == nil
			}
			if !exists {
				t.Errorf("S%s names %s, which does not exist", found[1], name[1])
			}
		}
	}
	for n := 1; n <= 45; n++ {
		if number := fmt.Sprint(n); !slices.Contains(numbers, number) {
			t.Errorf("S%s has no row", number)
		}
	}
}
