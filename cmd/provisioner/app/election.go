package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// leaseName is the Lease in the platform's namespace that the leader holds.
const leaseName = "stores-provisioner"

// errLeaseLost ends the process: another replica may be at work by now.
var errLeaseLost = errors.New("the lease was lost")

// election lets one replica at a time work. A nil config means that there is no
// other.
type election struct {
	config  *leaderelection.LeaderElectionConfig
	leading atomic.Bool
}

func newElection(o *Options, client kubernetes.Interface) (*election, error) {
	e := &election{}
	if !o.LeaderElect {
		return e, nil
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("naming this replica: %w", err)
	}
	identity := host + "_" + string(uuid.NewUUID())
	lock, err := resourcelock.New(resourcelock.LeasesResourceLock, o.PlatformNamespace, leaseName,
		client.CoreV1(), client.CoordinationV1(), resourcelock.ResourceLockConfig{Identity: identity})
	if err != nil {
		return nil, fmt.Errorf("making the election's lock: %w", err)
	}
	e.config = &leaderelection.LeaderElectionConfig{
		Name: leaseName, Lock: lock, ReleaseOnCancel: true,
		LeaseDuration: o.LeaseDuration, RenewDeadline: o.RenewDeadline, RetryPeriod: o.RetryPeriod,
	}
	return e, nil
}

// whileLeading runs work once this replica leads, until ctx is done. The lease
// is held until work has returned, so that the next leader finds nothing under
// way. If the lease is lost, it returns errLeaseLost without waiting for work.
func (e *election) whileLeading(ctx context.Context, work func(context.Context) error) error {
	if e.config == nil {
		e.leading.Store(true)
		return work(ctx)
	}
	// Its own context, ended by the end of work, keeps the lease until then.
	hold, release := context.WithCancel(context.WithoutCancel(ctx))
	defer release()
	worked := make(chan error, 1)
	config := *e.config
	config.Callbacks = leaderelection.LeaderCallbacks{
		OnStartedLeading: func(leading context.Context) {
			e.leading.Store(true)
			working, stop := context.WithCancel(leading)
			defer stop()
			defer context.AfterFunc(ctx, stop)()
			worked <- work(working)
			release()
		},
		OnStoppedLeading: func() {},
	}
	elector, err := leaderelection.NewLeaderElector(config)
	if err != nil {
		return fmt.Errorf("setting the election up: %w", err)
	}
	defer context.AfterFunc(ctx, func() {
		if !e.leading.Load() {
			release()
		}
	})()
	elector.Run(hold)
	if !e.leading.Load() {
		return nil
	}
	select {
	case err := <-worked:
		return err
	default:
		return errLeaseLost
	}
}
