package main

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
)

// Growth is what one client's operations cost on ever more data. The data is loaded by
// SQL: a million creates through the API would take longer than all the rest.

const (
	// goneSize is the size of objects that were created and deleted again. They make up
	// the log beyond the living ones, and the disk is to hold ten million.
	goneSize   = 512
	chunk      = 100000    // rows loaded by one transaction
	firstFresh = 500000000 // objects that measuring creates are numbered from here
)

// size of the data: every living object has a row in the log too.
type size struct{ objects, revisions int64 }

// sizes are those to measure at, up to a number of objects and ten times the revisions.
func sizes(objects int64) []size {
	return []size{
		{objects / 100, objects / 100},
		{objects / 10, objects / 10},
		{objects, objects},
		{objects, 3 * objects},
		{objects, 10 * objects},
	}
}

// grownName names the nth object. The hash spreads the keys over the whole index.
func grownName(n int64) string {
	sum := md5.Sum([]byte(strconv.FormatInt(n, 10)))
	return "pod-" + hex.EncodeToString(sum[:])
}

func grownPod(name string, bytes int) *example.Pod {
	return newPod(name, bytes-emptyPod-len(name)+len(podName(0)))
}

// growth is a storage that grows.
type growth struct {
	*instance
	duration time.Duration
	has      size
	fresh    int64 // objects that measuring created
}

// costAt is what an operation cost at a size.
type costAt struct {
	size
	operation string
	p50       time.Duration
	cpu       float64 // microseconds of all processes
}

// measureGrowth measures at every size, smallest first.
func measureGrowth(ctx context.Context, m *machinery, objects int64, duration time.Duration, progress io.Writer) ([]costAt, error) {
	in, err := m.start(ctx, ours)
	if err != nil {
		return nil, err
	}
	defer in.close()
	g := &growth{instance: in, duration: duration}
	var costs []costAt
	for _, size := range sizes(objects) {
		started := time.Now()
		if err := g.grow(ctx, size); err != nil {
			return nil, fmt.Errorf("loading %d objects and %d revisions: %w", size.objects, size.revisions, err)
		}
		fmt.Fprintf(progress, "%d objects, %d revisions: loaded in %.1f s\n", size.objects, size.revisions, time.Since(started).Seconds())
		measured, err := g.measure(ctx)
		if err != nil {
			return nil, fmt.Errorf("measuring with %d objects and %d revisions: %w", size.objects, size.revisions, err)
		}
		costs = append(costs, measured...)
	}
	return costs, nil
}

const (
	// loadObjects creates the objects numbered from $1, $2 of them, from the template $3.
	loadObjects = `
		with made as (
			select meta.rev + row_number() over () as rev, name, '/pods/bench/' || name as key
			from meta, generate_series($1::bigint, $1::bigint + $2::bigint - 1) n, lateral (select 'pod-' || md5(n::text) as name) named
		), logged as (
			insert into log (rev, key, prev, crt, kind, batch, actor, value)
			select rev, key, 0, rev, 0, 0, '', convert_to(replace($3, '@name', name), 'UTF8') from made
		), placed as (
			insert into head (key, mod, crt) select key, rev, rev from made
		)
		update meta set rev = rev + $2`
	// loadGone creates and deletes half of $2 objects, numbered by their revisions.
	loadGone = `
		with made as (
			select meta.rev + 2 * n - 1 as rev, 'gone-' || (meta.rev + n)::text as name
			from meta, generate_series(1, $2::bigint / 2) n where $1::bigint is not null
		), logged as (
			insert into log (rev, key, prev, crt, kind, batch, actor, value)
			select rev, '/pods/bench/' || name, 0, rev, 0, 0, '', convert_to(replace($3, '@name', name), 'UTF8') from made
			union all
			select rev + 1, '/pods/bench/' || name, rev, rev, 2, 0, '', null from made
		)
		update meta set rev = rev + $2`
)

// grow loads data up to a size.
func (g *growth) grow(ctx context.Context, to size) error {
	conn, err := pgx.Connect(ctx, g.dsn(g.database))
	if err != nil {
		return fmt.Errorf("connecting to database: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if g.has.objects == 0 { // there are no tables yet
		r, err := g.open(ctx)
		if err != nil {
			return err
		}
		r.close()
	}
	for g.has.objects < to.objects {
		n := min(chunk, to.objects-g.has.objects)
		if err := insert(ctx, conn, loadObjects, g.has.objects, n, payload); err != nil {
			return err
		}
		g.has.objects += n
		g.has.revisions += n
	}
	for g.has.revisions < to.revisions {
		n := min(chunk, to.revisions-g.has.revisions)
		if err := insert(ctx, conn, loadGone, 0, n, goneSize); err != nil {
			return err
		}
		g.has.revisions += n
	}
	// What autovacuum does in time, and a checkpoint that is not to come while measuring.
	for _, statement := range []string{"vacuum (analyze) head", "vacuum (analyze) log", "checkpoint"} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

func insert(ctx context.Context, conn *pgx.Conn, statement string, from, n int64, bytes int) error {
	template, err := runtime.Encode(ourCodec, grownPod("@name", bytes))
	if err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "select ensure_log_partitions()"); err != nil {
		return fmt.Errorf("making partitions: %w", err)
	}
	if _, err := conn.Exec(ctx, statement, from, n, string(template)); err != nil {
		return fmt.Errorf("inserting: %w", err)
	}
	return nil
}

// measure opens the storage anew, so that what was loaded is in no memory but the
// server's.
func (g *growth) measure(ctx context.Context) ([]costAt, error) {
	r, err := g.open(ctx)
	if err != nil {
		return nil, err
	}
	defer r.close()
	s, err := r.resource(ctx, "pods", r.raw)
	if err != nil {
		return nil, err
	}
	loaded, err := s.GetCurrentResourceVersion(ctx)
	if err != nil {
		return nil, err
	}
	var costs []costAt
	for _, operation := range g.operations(s, loaded) {
		o, err := g.run(ctx, load{clients: 1, duration: g.duration}, operation.run)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", operation.name, err)
		}
		costs = append(costs, costAt{g.has, operation.name, percentile(o.latencies, 0.5), o.cpuEach()})
	}
	return costs, nil
}

type operation struct {
	name string
	run  func(ctx context.Context, client int) error
}

// operations that must not care how much there is. loaded is the latest revision that
// was not written by them.
func (g *growth) operations(s storage.Interface, loaded uint64) []operation {
	anyKey := func() string { return podKey(grownName(rand.Int64N(g.has.objects))) }
	return []operation{
		// First, so that ten revisions have to be read.
		{"start of a watch", func(ctx context.Context, _ int) error {
			return firstEvent(ctx, s, loaded-10)
		}},
		{"create", func(ctx context.Context, _ int) error {
			g.fresh++
			name := grownName(firstFresh + g.fresh)
			return s.Create(ctx, podKey(name), grownPod(name, payload), &example.Pod{}, 0)
		}},
		{"update", func(ctx context.Context, _ int) error {
			_, err := updatePod(ctx, s, anyKey(), nil)
			return err
		}},
		{"get", func(ctx context.Context, _ int) error {
			return s.Get(ctx, anyKey(), storage.GetOptions{}, &example.Pod{})
		}},
		{"first page of 500", func(ctx context.Context, _ int) error {
			return listPage(ctx, s, "")
		}},
		{"later page of 500", func(ctx context.Context, _ int) error {
			revision, err := s.GetCurrentResourceVersion(ctx)
			if err != nil {
				return err
			}
			// From the first half of the keys: "8" is in the middle of hexadecimal digits.
			key := podKey(fmt.Sprintf("pod-%x", rand.IntN(8)))
			token, err := storage.EncodeContinue(key, "/pods/", int64(revision))
			if err != nil {
				return err
			}
			return listPage(ctx, s, token)
		}},
	}
}

// listPage reads one page that must be full, or hold all there is.
func listPage(ctx context.Context, s storage.Interface, token string) error {
	opts := storage.ListOptions{Recursive: true, Predicate: storage.Everything}
	opts.Predicate.Limit, opts.Predicate.Continue = pageObjects, token
	page := &example.PodList{}
	if err := s.GetList(ctx, "/pods", opts, page); err != nil {
		return err
	}
	if len(page.Items) < pageObjects && page.Continue != "" {
		return fmt.Errorf("a page of %d objects, want %d", len(page.Items), pageObjects)
	}
	return nil
}

// firstEvent watches from a revision until something comes.
func firstEvent(ctx context.Context, s storage.Interface, after uint64) error {
	w, err := s.Watch(ctx, "/pods", storage.ListOptions{
		ResourceVersion: strconv.FormatUint(after, 10), Recursive: true, Predicate: storage.Everything,
	})
	if err != nil {
		return err
	}
	defer w.Stop()
	select {
	case event := <-w.ResultChan():
		pod, ok := event.Object.(*example.Pod)
		if !ok {
			return fmt.Errorf("unexpected event %s %v", event.Type, event.Object)
		}
		if revision, err := revisionOf(pod); err != nil || revision != after+1 {
			return fmt.Errorf("the first event has revision %s, want %d", pod.ResourceVersion, after+1)
		}
		return nil
	case <-time.After(eventGrace):
		return fmt.Errorf("no event after revision %d", after)
	}
}
