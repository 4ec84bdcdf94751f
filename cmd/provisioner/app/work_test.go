package app

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clientgotesting "k8s.io/client-go/testing"

	"platform.dev/stores/pkg/provisioner/shards"
)

func testShares(client *fake.Clientset) *shards.Shards {
	return shards.New(shards.Config{
		Leases: client.CoordinationV1().Leases("stores-system"), Identity: "this", Count: 1,
		LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: 2 * time.Second,
	})
}

func TestShareIsHeldUntilTheWorkIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		shares := testShares(client)
		ctx, stop := context.WithCancel(t.Context())
		err := work(ctx, shares, func(working context.Context) error {
			time.Sleep(time.Second)
			stop()
			<-working.Done()
			// Longer than a lease lasts that is not renewed.
			time.Sleep(time.Minute)
			if !shares.Mine("1") {
				t.Error("the share was given up while work was under way")
			}
			return nil
		})
		if err != nil {
			t.Errorf("work: %v", err)
		}
		leases, err := client.CoordinationV1().Leases("stores-system").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(leases.Items) != 1 || leases.Items[0].Spec.HolderIdentity != nil {
			t.Errorf("the leases left are %+v, want one of a shard without a holder", leases.Items)
		}
	})
}

func TestLostShareEndsTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		stopped, step := make(chan struct{}), make(chan struct{})
		err := work(t.Context(), testShares(client), func(working context.Context) error {
			time.Sleep(time.Second)
			client.PrependReactor("update", "leases", func(clientgotesting.Action) (bool, runtime.Object, error) {
				return true, nil, errors.New("the API server is away")
			})
			<-working.Done()
			close(stopped)
			<-step // One that does not end.
			return nil
		})
		if !errors.Is(err, shards.ErrLost) {
			t.Errorf("got %v, want ErrLost", err)
		}
		<-stopped
		close(step)
	})
}
