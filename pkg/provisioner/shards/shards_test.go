package shards

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	clientgotesting "k8s.io/client-go/testing"
)

const (
	count    = 16
	lease    = 15 * time.Second
	deadline = 10 * time.Second
	period   = 2 * time.Second
)

// newCluster keeps Leases in memory, with the resource versions and conflicts of
// a real API server.
func newCluster() *fake.Clientset {
	client := fake.NewClientset()
	var mu sync.Mutex
	version := 0
	for _, verb := range []string{"create", "update"} {
		client.PrependReactor(verb, "leases", func(action clientgotesting.Action) (bool, runtime.Object, error) {
			mu.Lock()
			defer mu.Unlock()
			// Every action that writes has an object.
			object := action.(interface{ GetObject() runtime.Object }).GetObject().(*coordinationv1.Lease)
			if verb == "update" {
				current, err := client.Tracker().Get(action.GetResource(), action.GetNamespace(), object.Name)
				if err != nil {
					return true, nil, err
				}
				if current.(*coordinationv1.Lease).ResourceVersion != object.ResourceVersion {
					return true, nil, apierrors.NewConflict(coordinationv1.Resource("leases"), object.Name, errors.New("it has changed"))
				}
			}
			version++
			object.ResourceVersion = strconv.Itoa(version)
			return false, nil, nil
		})
	}
	return client
}

// replica is one of those that share, and what is done to it.
type replica struct {
	*Shards
	client *fake.Clientset
	stop   context.CancelFunc
	ended  chan error

	mu      sync.Mutex
	cut     bool        // makes every request fail
	givenUp map[int]int // how often the replica told of each shard
}

// join starts a replica on the Leases of cluster.
func join(t *testing.T, cluster *fake.Clientset, identity string, edit ...func(*Config)) *replica {
	t.Helper()
	r := &replica{client: fake.NewClientset(), ended: make(chan error, 1), givenUp: map[int]int{}}
	// A client of its own over the same objects, to be cut off alone.
	r.client.PrependReactor("*", "leases", func(action clientgotesting.Action) (bool, runtime.Object, error) {
		r.mu.Lock()
		cut := r.cut
		r.mu.Unlock()
		if cut {
			return true, nil, errors.New("no way to the API server")
		}
		object, err := cluster.Invokes(action, &coordinationv1.Lease{})
		return true, object, err
	})
	config := Config{
		Leases: r.client.CoordinationV1().Leases("platform"), Identity: identity, Count: count,
		LeaseDuration: lease, RenewDeadline: deadline, RetryPeriod: period,
	}
	for _, f := range edit {
		f(&config)
	}
	r.Shards = New(config)
	r.Notify(func(shard int, mine bool) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if !mine {
			r.givenUp[shard]++
		}
	})
	ctx, stop := context.WithCancel(t.Context())
	r.stop = stop
	go func() { r.ended <- r.Run(ctx) }()
	t.Cleanup(stop)
	return r
}

func (r *replica) setCut(cut bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut = cut
}

// pass lets virtual time pass and checks at each step that no store is held twice.
func pass(t *testing.T, d time.Duration, replicas ...*replica) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		for i := range 200 {
			uid := types.UID(strconv.Itoa(i))
			var holders []string
			for _, r := range replicas {
				if r.Mine(uid) {
					holders = append(holders, r.config.Identity)
				}
			}
			if len(holders) > 1 {
				t.Fatalf("store %s is worked on by %v", uid, holders)
			}
		}
	}
}

func wantHeld(t *testing.T, want string, replicas ...*replica) {
	t.Helper()
	var got []string
	for _, r := range replicas {
		got = append(got, strconv.Itoa(r.Held()))
	}
	if strings.Join(got, " ") != want {
		t.Errorf("the replicas hold %v shards, want %s", got, want)
	}
}

func TestReplicasShareFairly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := newCluster()
		a := join(t, cluster, "a")
		pass(t, time.Second, a)
		wantHeld(t, "16", a)
		b := join(t, cluster, "b")
		c := join(t, cluster, "c")
		pass(t, 4*period, a, b, c)
		wantHeld(t, "6 5 5", a, b, c)

		// One that leaves frees its shards at once.
		b.stop()
		if err := <-b.ended; err != nil {
			t.Errorf("leaving: %v", err)
		}
		pass(t, 2*period, a, c)
		wantHeld(t, "8 8", a, c)
		a.stop()
		c.stop()
	})
}

func TestDeadReplicaIsReplacedWithinALease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := newCluster()
		a, b := join(t, cluster, "a"), join(t, cluster, "b")
		pass(t, 4*period, a, b)
		wantHeld(t, "8 8", a, b)

		a.setCut(true)
		pass(t, deadline, a, b)
		wantHeld(t, "8 8", a, b) // Nobody has taken what may still be worked on.
		pass(t, lease-deadline+2*period, a, b)
		wantHeld(t, "16", b)
		if err := <-a.ended; !errors.Is(err, ErrLost) {
			t.Errorf("the dead replica ended with %v, want ErrLost", err)
		}
		// It does not come to life again.
		a.setCut(false)
		if _, ok := a.Begin("1"); ok {
			t.Error("the dead replica may begin to work")
		}
		b.stop()
	})
}

func TestShortOutageLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := newCluster()
		a, b := join(t, cluster, "a"), join(t, cluster, "b")
		pass(t, 4*period, a, b)
		a.setCut(true)
		b.setCut(true)
		pass(t, deadline-2*period, a, b)
		a.setCut(false)
		b.setCut(false)
		pass(t, 2*lease, a, b)
		wantHeld(t, "8 8", a, b)
		a.stop()
		b.stop()
	})
}

func TestShardIsGivenUpAfterTheWorkInHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := newCluster()
		a := join(t, cluster, "a", func(c *Config) { c.Count = 2 })
		pass(t, time.Second, a)
		// The store of the shard that will be given up: shares keep the first.
		uid := types.UID("")
		for i := 0; a.Of(uid) != 1; i++ {
			uid = types.UID(strconv.Itoa(i))
		}
		end, ok := a.Begin(uid)
		if !ok {
			t.Fatal("the only replica may not begin")
		}
		b := join(t, cluster, "b", func(c *Config) { c.Count = 2 })
		pass(t, 3*lease, a, b)
		wantHeld(t, "2 0", a, b)
		if _, ok := a.Begin(uid); ok {
			t.Error("work begins in a shard that is to be given up")
		}
		if len(a.givenUp) != 0 {
			t.Error("a shard went while it was worked on")
		}
		end()
		pass(t, 2*period, a, b)
		wantHeld(t, "1 1", a, b)
		if a.givenUp[1] != 1 || len(a.givenUp) != 1 {
			t.Errorf("told of the shards %v, want shard 1 once", a.givenUp)
		}
		if !b.Mine(uid) {
			t.Error("the store has nobody")
		}
		a.stop()
		b.stop()
	})
}

func TestReplicasThatDisagreeDoNotWorkAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := newCluster()
		a := join(t, cluster, "a")
		pass(t, time.Second, a)
		b := join(t, cluster, "b", func(c *Config) { c.Count = 32 })
		pass(t, 3*lease, a, b)
		wantHeld(t, "16 0", a, b)
		a.stop()
		if err := <-a.ended; err != nil {
			t.Errorf("leaving: %v", err)
		}
		pass(t, 2*period, a, b)
		wantHeld(t, "0 32", a, b)
		b.stop()
	})
}

// Leases that people delete prove nothing about who is at work.
func TestDeletedLeaseOfAReplicaLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := newCluster()
		a, b := join(t, cluster, "a"), join(t, cluster, "b")
		pass(t, 4*period, a, b)
		if err := cluster.Tracker().Delete(coordinationv1.SchemeGroupVersion.WithResource("leases"), "platform", a.roster.self.Name); err != nil {
			t.Fatal(err)
		}
		pass(t, 3*lease, a, b)
		wantHeld(t, "8 8", a, b)
		a.stop()
		b.stop()
	})
}

// A create whose answer is lost must not leave a second Lease behind: two with one
// holder would look renewed for ever.
func TestDeadReplicaIsReplacedAfterALostAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := newCluster()
		lost := false
		cluster.PrependReactor("create", "leases", func(action clientgotesting.Action) (bool, runtime.Object, error) {
			lease := action.(clientgotesting.CreateAction).GetObject().(*coordinationv1.Lease)
			if lost || lease.Labels[labelKind] != kindReplica {
				return false, nil, nil
			}
			lost = true
			if err := cluster.Tracker().Create(action.GetResource(), lease, action.GetNamespace()); err != nil {
				t.Error(err)
			}
			return true, nil, errors.New("the answer was lost")
		})
		a := join(t, cluster, "a")
		pass(t, 2*period, a)
		b := join(t, cluster, "b")
		pass(t, 4*period, a, b)
		wantHeld(t, "8 8", a, b)
		a.setCut(true)
		pass(t, lease+2*period, a, b)
		wantHeld(t, "16", b)
		b.stop()
	})
}

func TestSlowAnswersLoseNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := newCluster()
		cluster.PrependReactor("*", "leases", func(clientgotesting.Action) (bool, runtime.Object, error) {
			time.Sleep(period / 2)
			return false, nil, nil
		})
		a := join(t, cluster, "a")
		pass(t, 3*count*period, a)
		wantHeld(t, "16", a)
		select {
		case err := <-a.ended:
			t.Fatalf("the replica ended with %v", err)
		default:
		}
		a.stop()
		if err := <-a.ended; err != nil {
			t.Logf("leaving: %v", err) // The time for it may be too short.
		}
	})
}

// lateLeases answers an update too late, once.
type lateLeases struct {
	coordinationclient.LeaseInterface
	late atomic.Bool
}

func (l *lateLeases) Update(
	ctx context.Context, lease *coordinationv1.Lease, options metav1.UpdateOptions,
) (*coordinationv1.Lease, error) {
	updated, err := l.LeaseInterface.Update(ctx, lease, options)
	if l.late.CompareAndSwap(true, false) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return updated, err
}

func TestOneLateAnswerLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var leases *lateLeases
		a := join(t, newCluster(), "a", func(c *Config) {
			leases = &lateLeases{LeaseInterface: c.Leases}
			c.Leases = leases
		})
		pass(t, 2*period, a)
		leases.late.Store(true)
		pass(t, 2*deadline, a)
		wantHeld(t, "16", a)
		if leases.late.Load() {
			t.Error("no answer was late")
		}
		a.stop()
		if err := <-a.ended; err != nil {
			t.Error(err)
		}
	})
}

// Leases that others have made, or labelled by mistake, stop nobody.
func TestStrangeLeasesAreLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := newCluster()
		for name, kind := range map[string]string{"x": kindShard, "another-programs-lease-of-shard-0": kindShard, shardPrefix + "all": kindShard, "nobody": kindReplica} {
			strange := &coordinationv1.Lease{}
			strange.Namespace, strange.Name, strange.Labels = "platform", name, map[string]string{labelKind: kind}
			if err := cluster.Tracker().Add(strange); err != nil {
				t.Fatal(err)
			}
		}
		a := join(t, cluster, "a")
		pass(t, 2*lease, a)
		wantHeld(t, "16", a)
		a.stop()
	})
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestFenceRefusesWritesOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := join(t, newCluster(), "a")
		sent := 0
		fenced := a.Fence(transport(func(*http.Request) (*http.Response, error) {
			sent++
			return &http.Response{Body: io.NopCloser(strings.NewReader(""))}, nil
		}))
		send := func(method string) error {
			request, err := http.NewRequestWithContext(t.Context(), method, "https://cluster/api", nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := fenced.RoundTrip(request)
			if err == nil {
				_ = response.Body.Close()
			}
			return err
		}
		pass(t, time.Second, a)
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodGet} {
			if err := send(method); err != nil {
				t.Errorf("%s while the lease holds: %v", method, err)
			}
		}
		a.setCut(true)
		pass(t, deadline+time.Second, a)
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
			if err := send(method); !errors.Is(err, ErrLost) {
				t.Errorf("%s after the deadline: %v, want ErrLost", method, err)
			}
		}
		if err := send(http.MethodGet); err != nil {
			t.Errorf("GET after the deadline: %v", err)
		}
		if sent != 6 {
			t.Errorf("%d requests were sent, want 6", sent)
		}
		a.stop()
	})
}

func TestShare(t *testing.T) {
	t.Parallel()
	for replicas := 1; replicas <= 20; replicas++ {
		v := &view{}
		for i := range replicas {
			v.replicas = append(v.replicas, fmt.Sprintf("r%02d", i))
		}
		sum, least, most := 0, count, 0
		for _, r := range v.replicas {
			share := v.share(r, count)
			sum, least, most = sum+share, min(least, share), max(most, share)
		}
		if sum != count || most-least > 1 {
			t.Errorf("the shares of %d replicas add up to %d and go from %d to %d", replicas, sum, least, most)
		}
	}
}
