package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A shellBlock is a block of shell in the documentation.
type shellBlock struct {
	line   int
	script string
	// notRun says why the block cannot run here. It is empty for one that can.
	notRun string
}

var (
	fence = regexp.MustCompile("^ *```([a-z]*)$")
	// notRun stands on the line before a block that cannot run here, with why.
	notRun = regexp.MustCompile(`^ *<!-- not run: (\S.*) -->$`)
	// shells are names that others use for shell blocks. Here they are all sh, so
	// that none is left out by its name.
	shells = regexp.MustCompile(`^(bash|shell|zsh|console)$`)
	// commands begin the lines of shell blocks that are not called sh.
	commands = regexp.MustCompile(`^ *(\$ )?(curl|docker|git|go|helm|kubectl|make|sudo) `)
)

// runElsewhere is true for what sets everything up or takes it down: hack/e2e.sh,
// which `make test` calls, does both around these tests.
func runElsewhere(script string) bool {
	return slices.Contains([]string{"make demo", "make test", "hack/traefik.sh"}, script) || strings.Contains(script, "localcluster stop")
}

// Every shell block of the documentation runs as it is printed, or says in the
// line before why it cannot run here.
func TestNeverAgain38DocumentedCommands(t *testing.T) {
	var files []string
	for _, pattern := range []string{"README.md", "docs/*.md", "docs/*/*.md", "hack/*/README.md", "artifacts/*/README.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	var beside []document
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name, err := filepath.Rel(root, file)
		if err != nil {
			t.Fatal(err)
		}
		blocks, err := shellBlocks(string(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		switch doc := (document{name, blocks}); {
		case doc.makesStores():
			beside = append(beside, doc)
		case len(blocks) > 0:
			t.Run(name, doc.run)
		}
	}
	t.Parallel()
	for _, doc := range beside {
		t.Run(doc.name, func(t *testing.T) {
			t.Parallel()
			doc.run(t)
		})
	}
}

// A document is a file with its shell blocks.
type document struct {
	name   string
	blocks []shellBlock
}

// makesStores is true for a document that makes stores and speaks of no others: it can
// be run beside tests that make and delete theirs.
func (d document) makesStores() bool {
	return slices.ContainsFunc(d.blocks, func(b shellBlock) bool {
		return b.notRun == "" && (strings.Contains(b.script, "kubectl store create ") || strings.Contains(b.script, "--for=condition=Ready "))
	})
}

func (d document) run(t *testing.T) {
	for _, block := range d.blocks {
		if runElsewhere(block.script) {
			continue
		}
		first, _, _ := strings.Cut(block.script, "\n")
		t.Run(first, func(t *testing.T) {
			if block.notRun != "" {
				t.Skipf("%s:%d: not run: %s", d.name, block.line, block.notRun)
			}
			runShell(t, block.script)
		})
	}
}

// shellBlocks finds the shell blocks of a Markdown text. It refuses what would
// leave one out without a reason.
func shellBlocks(text string) ([]shellBlock, error) {
	var (
		blocks []shellBlock
		reason string   // of the mark in the line before
		inside []string // the block's lines so far
		opened int      // the line of the block's fence, 0 outside of blocks
		kind   string   // the word behind that fence
	)
	for number, line := range strings.Split(text, "\n") {
		number++
		opening := fence.FindStringSubmatch(line)
		switch {
		case opened > 0 && strings.TrimSpace(line) == "```":
			if kind == "sh" {
				blocks = append(blocks, shellBlock{opened, strings.TrimSpace(strings.Join(inside, "\n")), reason})
			}
			opened, inside, reason = 0, nil, ""
		case opened > 0 && kind == "" && commands.MatchString(line):
			return nil, fmt.Errorf("line %d: a block of commands must be called sh", number)
		case opened > 0:
			inside = append(inside, line)
		case opening != nil && shells.MatchString(opening[1]):
			return nil, fmt.Errorf("line %d: write ```sh, not %s", number, line)
		case opening != nil:
			opened, kind = number, opening[1]
			if reason != "" && kind != "sh" {
				return nil, fmt.Errorf("line %d: only a block of sh can be marked as not run", number)
			}
		case reason != "":
			return nil, fmt.Errorf("line %d: the mark in the line before has no block", number)
		case strings.Contains(line, "not run:"):
			mark := notRun.FindStringSubmatch(line)
			if mark == nil {
				return nil, fmt.Errorf("line %d: mark a block with <!-- not run: REASON -->", number)
			}
			reason = mark[1]
		}
	}
	if opened > 0 {
		return nil, fmt.Errorf("line %d: the block does not end", opened)
	}
	return blocks, nil
}

func TestShellBlocks(t *testing.T) {
	for name, test := range map[string]struct {
		text    string
		want    []shellBlock
		refused string
	}{
		"a block that runs":      {text: "A\n```sh\nls\npwd\n```\n", want: []shellBlock{{2, "ls\npwd", ""}}},
		"one that does not":      {text: "<!-- not run: needs DNS -->\n```sh\nls\n```\n", want: []shellBlock{{2, "ls", "needs DNS"}}},
		"a mark is for one only": {text: "<!-- not run: x -->\n```sh\na\n```\n```sh\nb\n```\n", want: []shellBlock{{2, "a", "x"}, {5, "b", ""}}},
		"no shell":               {text: "```yaml\na: b\n```\n```\nls\n```\n"},
		"a block in a list":      {text: "- A\n  ```sh\n  ls\n  ```\n", want: []shellBlock{{2, "ls", ""}}},
		"shell without a name":   {text: "```\nkubectl get pods\n```\n", refused: "line 2"},
		"shell by another name":  {text: "```bash\nls\n```\n", refused: "line 1"},
		"a mark without why":     {text: "<!-- not run: -->\n```sh\nls\n```\n", refused: "REASON"},
		"a mark without a block": {text: "<!-- not run: x -->\nText\n", refused: "no block"},
		"a mark of no shell":     {text: "<!-- not run: x -->\n```yaml\na: b\n```\n", refused: "only a block of sh"},
		"a block without an end": {text: "```sh\nls\n", refused: "does not end"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := shellBlocks(test.text)
			if test.refused != "" {
				if err == nil || !strings.Contains(err.Error(), test.refused) {
					t.Errorf("got %v, want an error with %q", err, test.refused)
				}
				return
			}
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("got %+v (error %v), want %+v", got, err, test.want)
			}
		})
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
