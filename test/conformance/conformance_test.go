package conformance

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every convention is kept by the first server, and whatever another one keeps is kept
// by the first one too. A server that is not ours may not support some of them.
func TestConventions(t *testing.T) {
	var found report
	for i, server := range servers {
		t.Run(server.String(), func(t *testing.T) {
			t.Parallel()
			for _, row := range rows {
				t.Run(row.test(), func(t *testing.T) {
					if !row.alone {
						t.Parallel()
					}
					o := run(t, server, row)
					found.add(server.String(), row.number, o)
					switch {
					case i == 0 && (o.result == failed || len(servers) > 1 && o.result != passed):
						t.Errorf("%s: %s", o.result, o.reason)
					case o.result != passed:
						t.Skipf("%s: %s", o.result, o.reason)
					}
				})
			}
		})
	}
	t.Cleanup(func() {
		var names []string
		for _, server := range servers {
			names = append(names, server.String())
			if err := server.checkMessages(found.ran(server.String()), *kubeconfig == ""); err != nil {
				t.Error(err)
			}
		}
		for _, other := range names[1:] {
			if lacking := found.lacking(names[0], other); len(lacking) > 0 {
				t.Errorf("%s keeps what %s does not: rows %v", other, names[0], lacking)
			}
		}
		var output io.Writer = os.Stdout
		if *table != "" {
			file, err := os.Create(*table)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = file.Close() }()
			output = io.MultiWriter(output, file)
		}
		found.print(output, names...)
	})
}

var (
	// everybodys are words of Kubernetes' library about what the sample does not have.
	everybodys = regexp.MustCompile(`: User "USER" cannot \w+ resource |: status\.conditions\[0\]`)
	// conflict is how the library begins what it says to any conflict.
	conflict = regexp.MustCompile(`Operation cannot be fulfilled on \w+ "NAME": `)
)

// What the first server words otherwise than the second one, which says what Kubernetes'
// library does, tells what to do.
func TestMessagesTellWhatToDo(t *testing.T) {
	if *kubeconfig != "" {
		t.Skip("This is a run by flags.")
	}
	read := func(s *Server) (said map[string]string) {
		lines, err := readLines(filepath.Join("testdata", s.Messages))
		if err != nil {
			t.Fatal(err)
		}
		plain := strings.NewReplacer(s.String(), "widgets", s.Kind+"."+s.Group, "Widget", s.Group+"/"+s.Version, "version", s.Group, "group",
			s.Resource, "widgets", s.Kind, "Widget", s.Version, "version",
			s.Mutable.Path, "field", title(s.Mutable.Path), "field", ", application/vnd.kubernetes.protobuf", "")
		said = map[string]string{}
		for _, line := range lines {
			_, message := caseOf(line)
			said[plain.Replace(message)] = line
		}
		return said
	}
	library := read(servers[1])
	for message, line := range read(servers[0]) {
		if _, theirs := library[message]; !theirs && !everybodys.MatchString(message) && !helps(conflict.ReplaceAllString(message, "")) {
			t.Errorf("this does not tell what to do: %s", line)
		}
	}
}

// The suite checks whatever server its flags lead to.
func TestFlags(t *testing.T) {
	if *kubeconfig != "" {
		t.Skip("This is a run by flags.")
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	sample := servers[1]
	cmd := exec.CommandContext(t.Context(), program, "-test.run=^TestConventions$/./^(01|09|26|44)-", "-kubeconfig="+sample.Kubeconfig,
		"-kubectl="+sample.Kubectl, "-description=testdata/flunders.yaml")
	output, err := cmd.CombinedOutput()
	if want := sample.String() + ": 3/44\n  44-health: not supported"; err != nil || !strings.Contains(string(output), want) {
		t.Errorf("error %v and no %q in\n%s", err, want, output)
	}
}
