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
	"slices"
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
	onNode   []int // sizes with a node, too
	flux     []int // sizes that Flux's helm-controller is measured with, too
	workers  int
	settle   time.Duration // from the last store's becoming ready to the steady time
	steady   time.Duration
	patience time.Duration
	programs string // the folder with it and kwok
	output   string // the file for the results, besides what is printed
	profiles string // the folder for profiles of the provisioner
}

func parse(args []string, output io.Writer) (*options, error) {
	flags := flag.NewFlagSet("bench-provision", flag.ContinueOnError)
	flags.SetOutput(output)
	o := &options{}
	sizes := flags.String("stores", "100,1000", "numbers of stores, separated by commas")
	onNode := flags.String("on-node", "", "numbers of stores to provision on a simulated node as well, where their pods become ready")
	flux := flags.String("flux", "100,1000", "of the numbers of stores those to measure Flux's helm-controller with as well; empty for none")
	flags.IntVar(&o.workers, "workers", 10, "how many stores the provisioner works on at once")
	flags.DurationVar(&o.settle, "settle", 15*time.Second, "how long to wait before the steady time")
	flags.DurationVar(&o.steady, "steady", time.Minute, "how long to look at stores that nobody changes")
	flags.DurationVar(&o.patience, "patience", time.Hour, "how long the stores may take")
	flags.StringVar(&o.programs, "programs", "_output/bin", "folder of the programs helm-controller and kwok")
	flags.StringVar(&o.output, "output", "", "file to write the results to in Markdown, with where they come from")
	flags.StringVar(&o.profiles, "profiles", "", "folder to write profiles of the provisioner to, for go tool pprof")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	for _, list := range []struct {
		name, value string
		into        *[]int
	}{{"-stores", *sizes, &o.sizes}, {"-on-node", *onNode, &o.onNode}, {"-flux", *flux, &o.flux}} {
		var err error
		if *list.into, err = numbers(list.name, list.value); err != nil {
			return nil, err
		}
	}
	if len(o.sizes)+len(o.onNode) == 0 {
		return nil, errors.New("-stores and -on-node: there is no number of stores")
	}
	if o.workers < 1 {
		return nil, fmt.Errorf("-workers: %d is less than 1", o.workers)
	}
	return o, nil
}

// numbers parses the value of a flag.
func numbers(name, value string) ([]int, error) {
	var all []int
	for _, field := range strings.FieldsFunc(value, func(r rune) bool { return r == ',' }) {
		var n int
		if _, err := fmt.Sscan(field, &n); err != nil || n < 1 {
			return nil, fmt.Errorf("%s: %q is not a number of stores", name, field)
		}
		all = append(all, n)
	}
	return all, nil
}

// measureAll measures every size until one fails.
func measureAll(ctx context.Context, o *options, progress io.Writer) (all []*figures, err error) {
	for _, size := range o.sizes {
		f, err := measure(ctx, o, size, false, progress)
		if err != nil {
			return all, fmt.Errorf("%d stores: %w", size, err)
		}
		all = append(all, f)
		if !slices.Contains(o.flux, size) {
			continue
		}
		if f.flux, err = measureFlux(ctx, o, size, progress); err != nil {
			return all, fmt.Errorf("%d releases by Flux's helm-controller: %w", size, err)
		}
	}
	for _, size := range o.onNode {
		f, err := measure(ctx, o, size, true, progress)
		if err != nil {
			return all, fmt.Errorf("%d stores on a node: %w", size, err)
		}
		all = append(all, f)
	}
	return all, nil
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
	// What was measured before a failure is worth to be seen.
	all, failure := measureAll(ctx, o, progress)
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
