package app

import (
	"context"
	"errors"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clientgotesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"
)

func electionOptions() *Options {
	o := NewOptions()
	o.LeaderElect, o.PlatformNamespace = true, "stores-system"
	o.LeaseDuration, o.RenewDeadline, o.RetryPeriod = 600*time.Millisecond, 400*time.Millisecond, 100*time.Millisecond
	return o
}

func holder(t *testing.T, client *fake.Clientset) string {
	t.Helper()
	lease, err := client.CoordinationV1().Leases("stores-system").Get(t.Context(), "stores-provisioner", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return ptr.Deref(lease.Spec.HolderIdentity, "")
}

func TestLeaseIsHeldUntilTheWorkIsDone(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset()
	e, err := newElection(electionOptions(), client)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	err = e.whileLeading(ctx, func(working context.Context) error {
		stop()
		<-working.Done()
		// Longer than a lease lasts that is not renewed.
		<-time.After(time.Second)
		if holder(t, client) == "" {
			t.Error("the lease was given up while work was under way")
		}
		return nil
	})
	if err != nil {
		t.Errorf("whileLeading: %v", err)
	}
	if who := holder(t, client); who != "" {
		t.Errorf("the lease is still held by %s", who)
	}
}

func TestLostLeaseEndsTheProcess(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset()
	e, err := newElection(electionOptions(), client)
	if err != nil {
		t.Fatal(err)
	}
	stopped := make(chan struct{})
	err = e.whileLeading(t.Context(), func(working context.Context) error {
		client.PrependReactor("update", "leases", func(clientgotesting.Action) (bool, runtime.Object, error) {
			return true, nil, errors.New("the API server is away")
		})
		<-working.Done()
		close(stopped)
		<-t.Context().Done() // A step that does not end.
		return nil
	})
	if !errors.Is(err, errLeaseLost) {
		t.Errorf("got %v, want errLeaseLost", err)
	}
	<-stopped
}

func TestReplicaThatNeverLedStops(t *testing.T) {
	t.Parallel()
	now := metav1.NowMicro()
	client := fake.NewClientset(&coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: "stores-system", Name: "stores-provisioner"},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: ptr.To("another"), LeaseDurationSeconds: ptr.To[int32](3600), RenewTime: &now, AcquireTime: &now},
	})
	o := electionOptions()
	o.LeaseDuration = time.Hour
	e, err := newElection(o, client)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer stop()
	err = e.whileLeading(ctx, func(context.Context) error {
		t.Error("a replica without the lease works")
		return nil
	})
	if err != nil {
		t.Errorf("whileLeading: %v", err)
	}
}
