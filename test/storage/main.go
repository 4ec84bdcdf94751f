// Command storage runs the tests by which the API server checks its storage over ours,
// and prints how many there are and pass:
//
//   - raw: the functions of k8s.io/apiserver/pkg/storage/testing on the storage itself,
//     which the tests of pkg/storage/postgres call;
//   - cacher: those of them that the API server runs on its watch cache, with all other
//     tests of k8s.io/apiserver/pkg/storage/cacher. Its files are used as they are but
//     for the one that makes the storage.
//
// It fails if any test fails, is skipped or is missing. Run it in the repository.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	upstream, err := upstreamDir(ctx)
	if err != nil {
		return err
	}
	suite, err := parseSuite(upstream)
	if err != nil {
		return fmt.Errorf("reading the tests of the API server: %w", err)
	}
	workspace, err := makeWorkspace(upstream)
	if err != nil {
		return fmt.Errorf("preparing the tests of the watch cache: %w", err)
	}

	// Both spend most of their time waiting.
	var raw, cached results
	var rawErr, cachedErr error
	var both sync.WaitGroup
	both.Go(func() { raw, rawErr = goTest(ctx, "./pkg/storage/postgres") })
	both.Go(func() { cached, cachedErr = goTest(ctx, cacherPackage, "GOWORK="+workspace) })
	both.Wait()
	if err := errors.Join(rawErr, cachedErr); err != nil {
		return err
	}
	return report(out, suite, raw, cached)
}

// report prints the counts, and before them what keeps them down. It returns an error
// unless all is well.
func report(out io.Writer, suite *suite, raw, cached results) error {
	raw.printFailures(out)
	cached.printFailures(out)
	skipped := raw.named("skip")
	exempt := 0
	for _, name := range cached.named("skip") {
		if suite.exempts(name) {
			exempt++
		} else {
			skipped = append(skipped, name)
		}
	}
	for _, name := range skipped {
		fmt.Fprintf(out, "skipped: %s\n", name)
	}
	rawPassed, cachedPassed := 0, 0
	for _, function := range suite.functions {
		if raw.pass(func(path []string) bool { return len(path) > 1 && path[1] == function }) {
			rawPassed++
		} else {
			fmt.Fprintf(out, "raw: %s does not pass\n", function)
		}
		callers := suite.cacherTests[function]
		switch {
		case len(callers) == 0: // does not concern a cache
		case cached.pass(func(path []string) bool { return slices.Contains(callers, path[0]) }):
			cachedPassed++
		default:
			fmt.Fprintf(out, "cacher: %s does not pass\n", function)
		}
	}
	fmt.Fprintf(out, "raw %d/%d, cacher %d/%d, %d skipped (%d and %d tests pass; %d are not meant for caches)\n",
		rawPassed, len(suite.functions), cachedPassed, len(suite.cacherTests), len(skipped),
		len(raw.named("pass")), len(cached.named("pass")), exempt)
	if raw.failed() || cached.failed() || len(skipped) > 0 ||
		rawPassed < len(suite.functions) || cachedPassed < len(suite.cacherTests) {
		return errors.New("the storage does not pass all tests")
	}
	return nil
}
