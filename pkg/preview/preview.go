// Package preview tells which objects a store asks for, by rendering them as the
// provisioner would. It asks no store's namespace, and changes nothing.
//
// It is a part of the API server, so what others may make slow or large is bounded: how
// many charts are fetched and rendered at once, how large they are, and how long anybody
// waits for them. A template cannot be stopped; one that does not end keeps its place,
// and when all places are taken previews are refused, and nothing else.
package preview

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	"helm.sh/helm/v3/pkg/chartutil"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/discovery"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/chart"
	"platform.dev/stores/pkg/engine"
)

const (
	// places is how many charts are fetched at once, and how many are rendered.
	places = 2
	// maxDownload bounds what a registry or a repository may send.
	maxDownload = 4 << 20
	// capabilitiesTTL is how long the cluster's version and APIs are believed.
	capabilitiesTTL = 10 * time.Minute
)

// errBusy tells that a preview takes longer than anybody waits for.
var errBusy = errors.New("it takes too long, try again")

// Shops renders the objects of stores. It is safe for concurrent use.
type Shops struct {
	charts   *chart.Charts
	cluster  discovery.DiscoveryInterface
	platform engine.Platform

	fetching, rendering chan struct{}

	mu           sync.Mutex
	capabilities *chartutil.Capabilities
	read         time.Time
}

// New returns Shops that finds built-in charts as folders of builtin, and renders for
// cluster. It makes no request.
func New(builtin fs.FS, cluster discovery.DiscoveryInterface, platform engine.Platform) *Shops {
	platform.CredentialsSecret = v1alpha1.CredentialsSecret
	charts := chart.NewCharts(builtin)
	charts.MaxDownload = maxDownload
	return &Shops{
		charts: charts, cluster: cluster, platform: platform,
		fetching: make(chan struct{}, places), rendering: make(chan struct{}, places),
	}
}

// Objects are those that s asks for as a store of e: of the chart, of the plan and of
// the platform. What the chart's schema refuses is returned as faults of the store's
// fields. It takes no longer than ctx.
func (p *Shops) Objects(ctx context.Context, e *v1alpha1.Engine, s *v1alpha1.Store, upgrade bool) ([]map[string]any, field.ErrorList, error) {
	values, err := engine.Values(e, s, p.platform)
	if err != nil {
		return nil, nil, err
	}
	plan, err := engine.Plan(e, s.Spec.Plan)
	if err != nil {
		return nil, nil, err
	}
	source, err := chart.SourceOf(e, s)
	if err != nil {
		return nil, nil, err
	}
	shop, err := p.load(ctx, source)
	if err != nil {
		return nil, nil, err
	}
	objects, err := within(ctx, p.rendering, func() ([]map[string]any, error) {
		capabilities, err := p.clusterCapabilities()
		if err != nil {
			return nil, err
		}
		release := chart.Release{Name: engine.ReleaseName, Namespace: engine.NamespaceName(s), Upgrade: upgrade}
		return shop.Render(release, values, capabilities)
	})
	var refused *chart.ValuesError
	if errors.As(err, &refused) {
		return nil, faults(e, s, refused), nil
	}
	if err != nil {
		return nil, nil, err
	}
	contents, err := contentsOf(e, plan)
	if err != nil {
		return nil, nil, err
	}
	return append(objects, contents...), nil, nil
}

// load returns a chart. Those that are here already wait for no registry.
func (p *Shops) load(ctx context.Context, source chart.Source) (*chart.Chart, error) {
	if loaded := p.charts.Loaded(source); loaded != nil || source.Builtin != "" {
		return p.charts.Load(ctx, source)
	}
	return within(ctx, p.fetching, func() (*chart.Chart, error) { return p.charts.Load(ctx, source) })
}

// within does something in one of the places, and waits for a place and for the end no
// longer than ctx.
func within[T any](ctx context.Context, places chan struct{}, do func() (T, error)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	var none T
	select {
	case places <- struct{}{}:
	case <-ctx.Done():
		return none, errBusy
	}
	done := make(chan outcome, 1)
	go func() {
		var o outcome
		defer func() {
			if r := recover(); r != nil {
				o = outcome{err: fmt.Errorf("it cannot be rendered: %v", r)}
			}
			done <- o
			<-places
		}()
		o.value, o.err = do()
	}()
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
		return none, errBusy
	}
}

// clusterCapabilities returns a copy, because Helm changes what it is given.
func (p *Shops) clusterCapabilities() (*chartutil.Capabilities, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.capabilities == nil || time.Since(p.read) > capabilitiesTTL {
		capabilities, err := chart.ReadCapabilities(p.cluster)
		if err != nil {
			return nil, err
		}
		p.capabilities, p.read = capabilities, time.Now()
	}
	return p.capabilities.Copy(), nil
}

// contentsOf are the objects that the provisioner makes beside the chart's.
func contentsOf(e *v1alpha1.Engine, plan *v1alpha1.EnginePlan) ([]map[string]any, error) {
	quota, limits, deny := engine.Quota(plan), engine.Limits(plan), engine.Deny()
	var contents []map[string]any
	for _, object := range []struct {
		apiVersion, kind, name string
		spec                   any
	}{
		{"v1", "ResourceQuota", engine.BoundsName, &quota},
		{"v1", "LimitRange", engine.BoundsName, &limits},
		{"networking.k8s.io/v1", "NetworkPolicy", engine.DenyPolicyName, &deny},
	} {
		spec, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object.spec)
		if err != nil {
			return nil, fmt.Errorf("reading the fields of %s/%s: %w", object.kind, object.name, err)
		}
		contents = append(contents, map[string]any{
			"apiVersion": object.apiVersion, "kind": object.kind, "metadata": map[string]any{"name": object.name}, "spec": spec,
		})
	}
	if len(e.Spec.Credentials) > 0 {
		// What it holds is made once, by no rule.
		contents = append(contents, map[string]any{
			"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": v1alpha1.CredentialsSecret},
		})
	}
	return contents, nil
}

// faults says of which fields of s the values come that a chart refuses.
func faults(e *v1alpha1.Engine, s *v1alpha1.Store, refused *chart.ValuesError) field.ErrorList {
	var all field.ErrorList
	for _, fault := range refused.Faults {
		value := strings.Join(fault.Path, ".")
		all = append(all, field.Invalid(engine.Origin(e, s, fault.Path), field.OmitValueType{},
			fmt.Sprintf("the chart refuses its value %q: %s", value, fault.Message)))
	}
	return all
}
