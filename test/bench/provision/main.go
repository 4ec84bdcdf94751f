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
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/klog/v2"

	"platform.dev/stores/test/bench/internal/report"
)

func main() { report.Main("bench-provision", run) }

// options are what the flags say.
type options struct {
	sizes    report.Numbers
	onNode   report.Numbers // sizes with a node, too
	flux     report.Numbers // sizes that Flux's helm-controller is measured with, too
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
	o := &options{sizes: report.Numbers{100, 1000}, flux: report.Numbers{100, 1000}}
	flags.Var(&o.sizes, "stores", "numbers of stores, separated by commas")
	flags.Var(&o.onNode, "on-node", "numbers of stores to provision on a simulated node as well, where their pods become ready")
	flags.Var(&o.flux, "flux", "of the numbers of stores those to measure Flux's helm-controller with as well; empty for none")
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
	if len(o.sizes)+len(o.onNode) == 0 {
		return nil, errors.New("-stores and -on-node: there is no number of stores")
	}
	if o.workers < 1 {
		return nil, fmt.Errorf("-workers: %d is less than 1", o.workers)
	}
	return o, nil
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
	return report.Save(ctx, o.output, "The provisioner beside Flux's helm-controller", "bench-provision "+strings.Join(args, " "), table.String())
}
