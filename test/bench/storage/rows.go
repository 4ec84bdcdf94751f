package main

import (
	"fmt"
	"slices"
)

// row describes one line of the results.
type row struct {
	name    string
	unit    string
	less    bool // whether less is better
	targets []target
}

// target is what a row is to reach: to be so many times better than a contender or, if
// that is empty, the bound itself, in the unit of the row.
type target struct {
	than string
	by   float64
}

func rate(name string, targets ...target) row    { return row{name, "/s", false, targets} }
func latency(name string, targets ...target) row { return row{name, "ms", true, targets} }
func cost(name, unit string, targets ...target) row {
	return row{name, unit, true, targets}
}

func than(contender string, by float64) target { return target{contender, by} }
func bound(by float64) target                  { return target{"", by} }

// rates are the rows of an operation, one for each number of clients.
func rates(operation string, clients []int, targets map[int][]target) (all []row) {
	for _, n := range clients {
		all = append(all, rate(withClients(operation, n), targets[n]...))
	}
	return all
}

func withClients(operation string, n int) string {
	if n == 1 {
		return operation + ", 1 client"
	}
	return fmt.Sprintf("%s, %d clients", operation, n)
}

// latencies are the rows of p50 and p99.
func latencies(what string, p50, p99 []target) []row {
	return []row{latency(what+", p50", p50...), latency(what+", p99", p99...)}
}

// rowsFor are the lines of the results in order, with the targets of the storage's
// design.
func rowsFor(clients []int) []row {
	behindCache := []target{than(etcd, 15), than(kine, 40)}
	return slices.Concat(
		rates("create", clients, map[int][]target{
			1:   {than(etcd, 2.3), than(kine, 4), than(ceiling, 0.9)},
			64:  {than(etcd, 4), than(kine, 14), than(ceiling, 2.2)},
			256: {than(etcd, 5), than(kine, 24), than(ceiling, 0.35)},
		}),
		[]row{
			cost("CPU of all processes, one create", "µs", than(etcd, 5), than(kine, 16)),
			cost("write-ahead log, one create", "× payload", bound(1.2)),
		},
		rates("update", clients, nil),
		rates("cached update", clients, map[int][]target{
			64:  {than(etcd, 4), than(kine, 13)},
			256: {than(etcd, 5), than(kine, 20)},
		}),
		[]row{
			cost("CPU of all processes, one update", "µs"),
			cost("write-ahead log, one update", "× payload", bound(1.2)),
			rate("update of 8 shared objects, 64 clients"),
		},
		rates("get from storage", clients, nil),
		rates("linearizable get behind the cache", clients, map[int][]target{64: behindCache, 256: behindCache}),
		[]row{
			latency("list of 10,000", than(etcd, 3)),
			latency("list of 10,000 in pages of 500"),
			latency("first list of 10,000"),
		},
		latencies("consistent list after another resource's write", []target{than(etcd, 100)}, []target{bound(2)}),
		latencies("watch at 200 writes/s", []target{than(etcd, 1)}, nil),
		latencies("watch at 1,000 writes/s", nil, []target{than(etcd, 5), than(kine, 15)}),
		latencies("watch at 3,000 writes/s", nil, []target{than(etcd, 5)}),
		latencies("watch under all writes that 64 clients make", nil, nil),
		[]row{cost(lossRow, "", bound(0))},
		latencies("100 watches of 100 writes/s", nil, nil),
		[]row{cost("CPU of all processes, one event of 100 watches of 100 writes/s", "µs")},
		latencies("100 watches of 100 writes/s behind the cache", nil, nil),
		[]row{
			cost("CPU of all processes, one event of 100 watches of 100 writes/s behind the cache", "µs"),
			rate("create by two replicas, 64 clients"),
			{"create by two replicas, in those of one", "×", false, []target{bound(0.9)}},
			cost(lossRow+", two replicas", "", bound(0)),
		},
		latencies("watch of another replica's writes", []target{bound(0.4)}, []target{bound(2)}),
		[]row{
			latency("upstream BenchmarkStoreList, all cases"),
			latency("upstream BenchmarkStoreStats"),
			latency("upstream BenchmarkWriteThroughput, all cases"),
		},
	)
}
