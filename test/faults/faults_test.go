package faults

import (
	"flag"
	"io"
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

var (
	seed       = flag.Uint64("faults.seed", 0, "of the run; random if 0")
	operations = flag.Int("faults.operations", 0, "at least so many, beyond one round of all faults")
	sessions   = flag.Int("faults.sessions", 0, "at least so many")
	only       = flag.String("faults.only", "", "the one fault to inject; all if empty")
)

func TestMain(m *testing.M) {
	RunWorker()
	os.Exit(m.Run())
}

// TestFaults fails if anything that the storage promises does not hold under faults.
func TestFaults(t *testing.T) {
	options := Options{
		Seed: *seed, Operations: *operations, Sessions: *sessions,
		Faults: 9, Replicas: []int{2, 5}, Clients: 16, Pause: 300 * time.Millisecond,
		Only: *only, Log: io.Discard,
	}
	if *operations > 0 {
		options.Clients, options.Pause = 48, time.Second
	}
	if options.Seed == 0 {
		options.Seed = rand.Uint64()
	}
	if testing.Verbose() {
		options.Log = os.Stdout
	}
	t.Logf("seed %d", options.Seed)
	sum, err := Run(t.Context(), options)
	t.Logf("%v", sum)
	if err != nil {
		t.Fatal(err)
	}
	if sum.Failed() {
		t.Error("the storage does not keep its promises")
	}
}
