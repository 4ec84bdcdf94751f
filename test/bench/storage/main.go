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
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"k8s.io/klog/v2"

	"platform.dev/stores/test/bench/internal/report"
	"platform.dev/stores/test/internal/process"
)

func main() { report.Main("bench-storage", run) }

// options are what the flags say.
type options struct {
	programs   string
	rounds     int
	duration   time.Duration
	clients    report.Numbers // ascending
	contenders []string
	workloads  []workload
	ceilings   bool
	output     string // the file for the results, besides what is printed
	growth     string // the file to draw the growth of costs to, instead of comparing
	objects    int64
	log        string // the file for what libraries log
	profile    string // the file for a profile of this process
}

func parse(args []string, output io.Writer) (*options, error) {
	names := []string{"pgbench", "upstream"}
	for _, w := range workloads() {
		names = append(names, w.name)
	}
	flags := flag.NewFlagSet("bench-storage", flag.ContinueOnError)
	flags.SetOutput(output)
	o := &options{clients: report.Numbers{1, 16, 64, 256}}
	flags.StringVar(&o.programs, "programs", "_output/bin", "folder of the programs etcd and kine")
	flags.IntVar(&o.rounds, "rounds", 3, "how often to measure everything")
	flags.DurationVar(&o.duration, "duration", 2*time.Second, "how long each measurement takes")
	flags.Var(&o.clients, "clients", "numbers of clients, separated by commas")
	who := flags.String("contenders", "ours,etcd,kine", "whom to measure, separated by commas")
	what := flags.String("workloads", strings.Join(names, ","), "what to measure, separated by commas")
	flags.StringVar(&o.output, "output", "", "file to write the results to in Markdown, with where they come from")
	flags.StringVar(&o.growth, "growth", "", "draw to this file how costs grow with the data, instead of comparing")
	flags.Int64Var(&o.objects, "objects", 1000000, "the most objects for -growth, at least 100; there are ten times the revisions")
	flags.StringVar(&o.log, "log", "", "file for what the API server library logs")
	flags.StringVar(&o.profile, "cpuprofile", "", "file to write a profile of this process to, for go tool pprof")
	quick := flags.Bool("quick", false, "one round with short measurements, without upstream's benchmarks: two minutes")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if *quick {
		o.rounds, o.duration, o.clients = 1, 700*time.Millisecond, report.Numbers{1, 64, 256}
		*what = strings.ReplaceAll(*what, ",upstream", "")
	}
	if len(o.clients) == 0 {
		return nil, errors.New("-clients: there is no number of clients")
	}
	slices.Sort(o.clients)
	if o.objects < 100 {
		return nil, fmt.Errorf("-objects: %d is less than 100", o.objects)
	}
	for _, name := range strings.Split(*who, ",") {
		if name == ceiling || !slices.Contains(contenders, name) {
			return nil, fmt.Errorf("-contenders: %q is none of ours, etcd and kine", name)
		}
		o.contenders = append(o.contenders, name)
	}
	return o, o.choose(strings.Split(*what, ","), names)
}

// choose keeps the named workloads in their own order.
func (o *options) choose(chosen, known []string) error {
	for _, name := range chosen {
		if !slices.Contains(known, name) {
			return fmt.Errorf("-workloads: %q is none of %s", name, strings.Join(known, ", "))
		}
	}
	o.ceilings = slices.Contains(chosen, "pgbench")
	for _, w := range append(workloads(), workload{"upstream", upstream}) {
		if slices.Contains(chosen, w.name) {
			o.workloads = append(o.workloads, w)
		}
	}
	return nil
}

// run measures and prints the results to out, and what it is doing to progress.
func run(ctx context.Context, args []string, out, progress io.Writer) error {
	o, err := parse(args, progress)
	if err != nil {
		return err
	}
	if err := o.keepLog(); err != nil {
		return err
	}
	scope := &process.Scope{}
	defer scope.End()
	m, err := newMachinery(ctx, scope, o.programs)
	if err != nil {
		return err
	}
	if o.output != "" {
		if err := os.MkdirAll(filepath.Dir(o.output), 0o755); err != nil {
			return err
		}
	}
	if o.profile != "" {
		file, err := os.Create(o.profile)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		if err := pprof.StartCPUProfile(file); err != nil {
			return fmt.Errorf("profiling: %w", err)
		}
		defer pprof.StopCPUProfile()
	}
	var table bytes.Buffer
	measure := o.compare
	if o.growth != "" {
		measure = o.grow
	}
	err = measure(ctx, m, &table, progress)
	if _, printErr := out.Write(table.Bytes()); printErr != nil || err != nil || o.output == "" {
		return cmp.Or(err, printErr)
	}
	versions, err := m.versions(ctx)
	if err != nil {
		return err
	}
	return report.Save(ctx, o.output, o.title(), "bench-storage "+strings.Join(args, " "), table.String(), versions...)
}

// keepLog has the libraries log into a file, or nowhere: they report as errors what a
// benchmark does on purpose, such as ending watches.
func (o *options) keepLog() error {
	log := io.Discard
	if o.log != "" {
		file, err := os.Create(o.log)
		if err != nil {
			return err
		}
		log = file // until the process ends
	}
	var settings flag.FlagSet
	klog.InitFlags(&settings)
	klog.LogToStderr(false)
	klog.SetOutput(log)
	return settings.Set("stderrthreshold", "FATAL")
}

func (o *options) title() string {
	if o.growth != "" {
		return "Costs of the storage as data grows"
	}
	return "The storage beside etcd and kine"
}

// grow prints how costs grow with the data, and draws it.
func (o *options) grow(ctx context.Context, m *machinery, out, progress io.Writer) error {
	costs, err := measureGrowth(ctx, m, o.objects, o.duration, progress)
	if err != nil {
		return err
	}
	picture, err := os.Create(o.growth)
	if err != nil {
		return err
	}
	return errors.Join(drawCosts(picture, costs), picture.Close(), writeCosts(out, costs))
}

// compare measures all rounds and prints the table.
func (o *options) compare(ctx context.Context, m *machinery, out, progress io.Writer) error {
	if err := setBenchmarkTime(o.duration / 10); err != nil {
		return err
	}
	r := newResults()
	var failures []error
	// Who interrupts it sees what there is.
	for round := 0; round < o.rounds && ctx.Err() == nil; round++ {
		r.rounds++
		failures = append(failures, o.measure(ctx, m, r, round, progress))
	}
	return errors.Join(append(failures, r.write(out, rowsFor(o.clients)))...)
}

// measure does one round. A contender that fails at a workload has no figures of it, but
// only our own failure is an error.
func (o *options) measure(ctx context.Context, m *machinery, r *results, round int, progress io.Writer) error {
	if o.ceilings {
		pgbench, err := findPgbench()
		if err != nil {
			return err
		}
		err = measureCeilings(ctx, m, pgbench, o.clients, o.duration, func(row string, rate float64) {
			r.add(round, row, ceiling, rate, "")
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			fmt.Fprintf(progress, "pgbench failed: %v\n", err)
		}
	}
	var failures []error
	for _, w := range o.workloads {
		for i := range o.contenders {
			// Another one is first each round.
			contender := o.contenders[(i+round)%len(o.contenders)]
			started := time.Now()
			err := o.take(ctx, m, r, round, w, contender)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			fmt.Fprintf(progress, "round %d of %d: %s, %s: %.1f s\n", round+1, o.rounds, w.name, contender, time.Since(started).Seconds())
			if err != nil {
				fmt.Fprintf(progress, "%s failed: %v\n", contender, err)
			}
			if err != nil && contender == ours {
				failures = append(failures, fmt.Errorf("%s: %w", w.name, err))
			}
		}
	}
	return errors.Join(failures...)
}

// take gives a contender its turn at a workload.
func (o *options) take(ctx context.Context, m *machinery, r *results, round int, w workload, contender string) error {
	in, err := m.start(ctx, contender)
	if err != nil {
		return err
	}
	defer in.close()
	return w.run(ctx, &turn{instance: in, duration: o.duration, clients: o.clients, results: r, round: round})
}
