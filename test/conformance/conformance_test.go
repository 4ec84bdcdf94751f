package conformance

import (
	"io"
	"os"
	"os/exec"
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
					o := run(t, server, row.check)
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
