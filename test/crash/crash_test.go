package crash

import (
	"context"
	"flag"
	"io"
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

var (
	seed  = flag.Uint64("crash.seed", 0, "of the run; random if 0")
	kills = flag.Int("crash.kills", 0, "at least so many, over more than a hundred stores and at every point; a short run if 0")
	limit = flag.Duration("crash.limit", 26*time.Minute, "for the kills, whatever there was until then")
)

// Whatever is killed, and whenever, every store comes to be what was asked for last,
// once, with the credentials that it had, within a minute.
func TestNeverAgain21KilledAtEveryRequest(t *testing.T) {
	options := Options{Seed: *seed, Users: 4, Kills: 70, Limit: time.Minute, Log: io.Discard}
	if *kills > 0 {
		options.Users, options.Kills, options.Cover, options.Limit = 8, *kills, true, *limit
	}
	if options.Seed == 0 {
		options.Seed = rand.Uint64()
	}
	if testing.Verbose() {
		options.Log = os.Stdout
	}
	t.Logf("seed %d", options.Seed)
	t.Cleanup(func() {
		if err := shared.clear(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("clearing up: %v", err)
		}
	})
	sum, err := shared.run(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%v", sum)
	if sum.Failed() {
		t.Error("the provisioner does not keep its promises")
	}
}
