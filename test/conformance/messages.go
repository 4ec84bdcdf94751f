package conformance

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var update = flag.Bool("update", false, "write what the servers say to what they refuse into the files of messages")

// messages are what a server has said to what it refused: lines such as
// "01-create: an existing name: 409 AlreadyExists: flowers already exists".
type messages struct {
	mu    sync.Mutex
	lines []string
}

// refused fails the check unless the server has refused something for one of the reasons,
// and notes what it said.
func (t *T) refused(what string, err error, reasons ...metav1.StatusReason) {
	var refusal apierrors.APIStatus
	if !errors.As(err, &refusal) || !slices.Contains(reasons, refusal.Status().Reason) {
		t.Errorf("%s: %v, want %s", what, err, reasons)
		return
	}
	t.said.add(t.row, what, refusal.Status())
}

// refusal is the answer's Status, which must be one, as an error.
func (t *T) refusal(a answer) error {
	return &apierrors.StatusError{ErrStatus: t.status(a)}
}

// add notes a refusal. What is invalid has a line for each fault.
func (m *messages) add(row, what string, status metav1.Status) {
	m.mu.Lock()
	defer m.mu.Unlock()
	note := func(reason, message string) {
		m.lines = append(m.lines, fmt.Sprintf("%s: %s: %d %s: %s", row, what, status.Code, reason, steady(message)))
	}
	if status.Reason != metav1.StatusReasonInvalid || status.Details == nil || len(status.Details.Causes) == 0 {
		note(string(status.Reason), status.Message)
		return
	}
	for _, cause := range status.Details.Causes {
		note(string(cause.Type), cause.Field+": "+cause.Message)
	}
}

// unsteady is what differs from run to run, and what stands for it.
var unsteady = []struct {
	pattern     *regexp.Regexp
	replacement string
}{
	{regexp.MustCompile(`\buser-conformance-[a-z0-9]{8}\b`), "USER"},
	{regexp.MustCompile(`\bconformance-[a-z0-9]{8}\b`), "NAME"},
	{regexp.MustCompile(`\bconformance-[a-z0-9]{5}\b`), "NAMESPACE"},
	{regexp.MustCompile(`\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b`), "UID"},
	{regexp.MustCompile(fmt.Sprintf(`\b(%d|%d)-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`, time.Now().Year(), time.Now().Year()+1)), "TIME"},
	{regexp.MustCompile(`\bin (\d+h)?(\d+m)?\d+s\b`), "in DURATION"},
	{regexp.MustCompile(`\b(at|[rR]evision|resourceVersion|resource version:|current:|object meta:) \d+( \(\d+\))?`), "$1 N"},
	{regexp.MustCompile(`\bin record \(\d+\)`), "in record (N)"},
	{regexp.MustCompile(`a{65,}`), "aaa..."},
	{regexp.MustCompile(`\s*\n\s*`), " "},
}

func steady(message string) string {
	for _, u := range unsteady {
		message = u.pattern.ReplaceAllString(message, u.replacement)
	}
	return message
}

// caseOf is the part of a line that says what was refused, and message the rest.
func caseOf(line string) (name, message string) {
	parts := strings.SplitN(line, ": ", 3)
	return strings.Join(parts[:min(2, len(parts))], ": "), parts[len(parts)-1]
}

// checkMessages compares what the server said in the rows that have run with the file of
// its description, if there is one, or writes it there. Lines about what it was not asked
// are wrong only if it could be asked everything.
func (s *Server) checkMessages(ran map[string]bool, everything bool) error {
	if s.Messages == "" {
		return nil
	}
	s.said.mu.Lock()
	defer s.said.mu.Unlock()
	got := slices.Sorted(slices.Values(s.said.lines))
	said := map[string]bool{}
	for _, line := range got {
		name, _ := caseOf(line)
		said[name] = true
	}
	file := filepath.Join(filepath.Dir(s.file), s.Messages)
	all, err := readLines(file)
	if err != nil && (!*update || !errors.Is(err, fs.ErrNotExist)) {
		return err
	}
	var want, others []string
	for _, line := range all {
		name, _ := caseOf(line)
		row, _, _ := strings.Cut(name, ": ")
		hasRun, isThere := ran[row]
		switch {
		case isThere && !hasRun:
			others = append(others, line)
		case everything || said[name]:
			want = append(want, line)
		}
	}
	if *update {
		lines := slices.Sorted(slices.Values(append(others, got...)))
		return os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o644)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		return fmt.Errorf("what is refused is refused in other words than %s has (-want +got):\n%s", file, diff)
	}
	return nil
}

func readLines(file string) ([]string, error) {
	text, err := os.ReadFile(file)
	return strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' }), err
}
