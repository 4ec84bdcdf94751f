package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"k8s.io/klog/v2"

	"platform.dev/stores/test/bench/internal/report"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench-provision:", err)
		os.Exit(1)
	}
}

// options are what the flags say.
type options struct {
	sizes    []int
	workers  int
	settle   time.Duration // from the last store's becoming ready to the steady time
	steady   time.Duration
	patience time.Duration
	output   string // the file for the results, besides what is printed
	profiles string // the folder for profiles of the provisioner
}

func parse(args []string, output io.Writer) (*options, error) {
	flags := flag.NewFlagSet("bench-provision", flag.ContinueOnError)
	flags.SetOutput(output)
	o := &options{}
	sizes := flags.String("stores", "100,1000", "numbers of stores, separated by commas")
	flags.IntVar(&o.workers, "workers", 10, "how many stores the provisioner works on at once")
	flags.DurationVar(&o.settle, "settle", 15*time.Second, "how long to wait before the steady time")
	flags.DurationVar(&o.steady, "steady", time.Minute, "how long to look at stores that nobody changes")
	flags.DurationVar(&o.patience, "patience", time.Hour, "how long the stores may take")
	flags.StringVar(&o.output, "output", "", "file to write the results to in Markdown, with where they come from")
	flags.StringVar(&o.profiles, "profiles", "", "folder to write profiles of the provisioner to, for go tool pprof")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	for _, field := range strings.Split(*sizes, ",") {
		var n int
		if _, err := fmt.Sscan(field, &n); err != nil || n < 1 {
			return nil, fmt.Errorf("-stores: %q is not a number of stores", field)
		}
		o.sizes = append(o.sizes, n)
	}
	if o.workers < 1 {
		return nil, fmt.Errorf("-workers: %d is less than 1", o.workers)
	}
	return o, nil
}

// run measures and prints the results to out, and what it is doing to progress.
func run(ctx context.Context, args []string, out, progress io.Writer) error {
	o, err := parse(args, progress)
	if err != nil {
		return err
	}
	klog.SetOutput(io.Discard)
	klog.LogToStderr(false)
	for _, folder := range []string{o.profiles, filepath.Dir(o.output)} {
		if err := os.MkdirAll(cmp.Or(folder, "."), 0o755); err != nil {
			return err
		}
	}
	var all []*figures
	var failure error
	for _, size := range o.sizes {
		f, err := measure(ctx, o, size, progress)
		if err != nil {
			// What was measured before is worth to be seen.
			failure = fmt.Errorf("%d stores: %w", size, err)
			break
		}
		all = append(all, f)
	}
	var table bytes.Buffer
	writeResults(&table, all)
	if _, err := out.Write(table.Bytes()); failure != nil || err != nil || o.output == "" {
		return errors.Join(failure, err)
	}
	origin, err := report.Origin(ctx, "bench-provision "+strings.Join(args, " "))
	if err != nil {
		return err
	}
	return os.WriteFile(o.output, []byte("# The provisioner beside Flux's helm-controller\n\n"+origin+".\n\n"+table.String()), 0o644)
}
