package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// results are how the tests of a package ended.
type results struct {
	outcome map[string]string // pass, fail or skip by the name of the test; "" is the package
	output  map[string]*bytes.Buffer
}

// goTest runs the tests of a package. It returns an error if they cannot be run.
func goTest(ctx context.Context, pkg string, environment ...string) (results, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-json", pkg)
	cmd.Env = append(os.Environ(), environment...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	r := results{outcome: map[string]string{}, output: map[string]*bytes.Buffer{}}
	if err := r.read(stdout); err != nil {
		return r, fmt.Errorf("reading the results of %s: %w", pkg, err)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || len(r.named("pass")) == 0 {
		return r, fmt.Errorf("testing %s: %w\n%s%s", pkg, err, &stderr, r.output[""])
	}
	return r, nil
}

// read takes the events that `go test -json` prints.
func (r *results) read(events []byte) error {
	for decoder := json.NewDecoder(bytes.NewReader(events)); ; {
		var event struct{ Action, Test, Output string }
		switch err := decoder.Decode(&event); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if r.output[event.Test] == nil {
			r.output[event.Test] = &bytes.Buffer{}
		}
		switch event.Action {
		case "output", "build-output":
			r.output[event.Test].WriteString(event.Output)
		case "pass", "fail", "skip":
			r.outcome[event.Test] = event.Action
		}
	}
}

// named returns the tests with an outcome in order.
func (r *results) named(outcome string) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(r.outcome)) {
		if name != "" && r.outcome[name] == outcome {
			names = append(names, name)
		}
	}
	return names
}

// failed reports whether the package as a whole did, which it may without any test.
func (r *results) failed() bool { return r.outcome[""] != "pass" }

// pass reports whether tests were run whose path of names matches, and none failed.
func (r *results) pass(matches func(path []string) bool) bool {
	passed := false
	for name, outcome := range r.outcome {
		if name == "" || !matches(strings.Split(name, "/")) {
			continue
		}
		if outcome == "fail" {
			return false
		}
		passed = passed || outcome == "pass"
	}
	return passed
}

func (r *results) printFailures(out io.Writer) {
	for _, name := range r.named("fail") {
		_, _ = r.output[name].WriteTo(out)
	}
	if r.failed() {
		_, _ = r.output[""].WriteTo(out)
	}
}
