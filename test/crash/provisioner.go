package crash

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"platform.dev/stores/pkg/chart"
	"platform.dev/stores/pkg/engine"
	"platform.dev/stores/pkg/generated/clientset/versioned"
	"platform.dev/stores/pkg/provisioner"
	"platform.dev/stores/pkg/provisioner/helm"
	"platform.dev/stores/pkg/provisioner/multiplex"
	"platform.dev/stores/pkg/provisioner/shards"
	"platform.dev/stores/test/internal/tiny"
)

// Leases of replicas. Those that are killed all the time have short ones, because
// whoever comes after them waits for as long as its own lasts. A busy machine lets
// these run out by themselves.
const (
	shortLease  = 1500 * time.Millisecond
	keptLease   = 3 * time.Second
	longLease   = 15 * time.Second
	retryPeriod = 200 * time.Millisecond
)

// provisionerVariable tells this program to be a provisioner, with its instructions.
const provisionerVariable = "CRASH_PROVISIONER"

// instructions are what a provisioner's process is given.
type instructions struct {
	Name                      string // of the process, unlike any other
	Kubeconfig                string
	Namespace, ServiceAccount string
	Storefront                string // where all shops answer
	Order                     order
}

// RunProvisioner provisions until SIGTERM if this process was started for it, and
// does not return then.
func RunProvisioner() {
	text := os.Getenv(provisionerVariable)
	if text == "" {
		return
	}
	var is instructions
	err := json.Unmarshal([]byte(text), &is)
	if err == nil {
		err = is.run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// run does what the command provisioner does, with points in the transports of its
// clients and with shops that answer at one address.
func (is *instructions) run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	config, err := clientcmd.BuildConfigFromFlags("", is.Kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.UserAgent = -1, is.Name
	p := &points{order: is.Order, start: time.Now(), left: is.Order.Skip + 1, out: os.Stdout}

	leases := rest.CopyConfig(config)
	duration := cmp.Or(is.Order.Lease, longLease)
	renewDeadline := duration * 2 / 3
	leases.Timeout = renewDeadline / 2
	leases.Wrap(p.wrap("leases"))
	client, err := kubernetes.NewForConfig(leases)
	if err != nil {
		return err
	}
	shares := shards.New(shards.Config{
		Leases: client.CoordinationV1().Leases(is.Namespace), Identity: is.Name, Count: 16,
		LeaseDuration: duration, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod,
	})
	// What is wrapped later is asked earlier: a process that stops at a point meets
	// the fence when it goes on.
	config.Wrap(shares.Fence)
	c, err := is.config(config, p)
	if err != nil {
		return err
	}
	c.Shares = shares
	controller, err := provisioner.New(c)
	if err != nil {
		return err
	}
	hold, release := context.WithCancel(context.Background())
	go func() {
		defer release()
		_ = controller.Run(ctx) // fails only before it has begun
	}()
	return shares.Run(hold)
}

func (is *instructions) config(config *rest.Config, p *points) (provisioner.Config, error) {
	wrapped := func(client string) *rest.Config {
		c := rest.CopyConfig(config)
		c.Wrap(p.wrap(client))
		return c
	}
	kube := wrapped("controller")
	kube.ContentType = "application/vnd.kubernetes.protobuf"
	kube.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	stores, err1 := versioned.NewForConfig(wrapped("controller"))
	core, err2 := kubernetes.NewForConfig(kube)
	metadataClient, err3 := metadata.NewForConfig(wrapped("metadata"))
	dynamicClient, err4 := dynamic.NewForConfig(wrapped("dynamic"))
	streams, err5 := multiplex.ClientFor(wrapped("controller"))
	sdk, err6 := helm.NewSDK(wrapped("helm"))
	return provisioner.Config{
		Stores: stores, Kube: core, Metadata: metadataClient, Dynamic: dynamicClient, Streams: streams,
		Helm: sdk, Charts: chart.NewCharts(tiny.Charts),
		Identity: provisioner.Identity{
			Namespace: is.Namespace, ServiceAccount: is.ServiceAccount, ClusterRole: "platform-provisioner-store",
			Reader: provisioner.Reader{ServiceAccount: "platform-apiserver", ClusterRole: "platform-apiserver-store"},
		},
		Platform:      engine.Platform{Scheme: "https"},
		StorefrontURL: func(string, string, int32) string { return is.Storefront },
	}, errors.Join(err1, err2, err3, err4, err5, err6)
}
