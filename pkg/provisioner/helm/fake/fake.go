// Package fake is a Helm for tests: it keeps releases in memory, counts what is
// asked of it, and fails when told to.
package fake

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"platform.dev/stores/pkg/provisioner/helm"
)

// Helm implements helm.Interface in memory. Its zero value is ready to use, and
// it is safe for concurrent use.
type Helm struct {
	// Fail, if set, is asked before each action ("install", "upgrade",
	// "rollback", "unlock", "uninstall"); the error it returns is the action's. An install
	// or upgrade that fails so is stored as failed, as Helm does. Set it before
	// the first use.
	Fail func(action string) error
	// Manifest is what Objects returns for every revision.
	Manifest []helm.Object
	// Drifts is what Drift returns until the next upgrade or rollback. Set it
	// while nothing else uses the fake.
	Drifts []helm.Drift

	mu       sync.Mutex
	releases map[string]helm.Release
	history  map[string]helm.Release // by namespace/name/revision
	actions  []string
	requests []helm.Request
}

var _ helm.Interface = (*Helm)(nil)

// Actions are the actions asked for so far, in their order.
func (h *Helm) Actions() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.actions)
}

// Requests are the installs and upgrades asked for so far, in their order.
func (h *Helm) Requests() []helm.Request {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.requests)
}

// Put stores a release as the newest revision, as an earlier process may have
// left it.
func (h *Helm) Put(namespace, name string, rel helm.Release) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.put(namespace, name, rel)
}

func (h *Helm) put(namespace, name string, rel helm.Release) {
	if h.releases == nil {
		h.releases = map[string]helm.Release{}
	}
	h.releases[namespace+"/"+name] = rel
	if h.history == nil {
		h.history = map[string]helm.Release{}
	}
	h.history[fmt.Sprintf("%s/%s/%d", namespace, name, rel.Revision)] = rel
}

// begin notes the action and tells whether it is to fail.
func (h *Helm) begin(action string) error {
	h.actions = append(h.actions, action)
	if h.Fail == nil {
		return nil
	}
	return h.Fail(action)
}

// Get implements helm.Interface.
func (h *Helm) Get(_ context.Context, namespace, name string) (*helm.Release, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	rel, ok := h.releases[namespace+"/"+name]
	if !ok {
		return nil, fmt.Errorf("%w: %s/%s", helm.ErrReleaseNotFound, namespace, name)
	}
	return &rel, nil
}

// Objects implements helm.Interface.
func (h *Helm) Objects(_ context.Context, _, _ string, _ int) ([]helm.Object, error) {
	return h.Manifest, nil
}

// Install implements helm.Interface.
func (h *Helm) Install(_ context.Context, r helm.Request) (*helm.Release, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.releases[r.Namespace+"/"+r.Name]; ok {
		return nil, fmt.Errorf("release %s/%s exists", r.Namespace, r.Name)
	}
	return h.store("install", r, 1)
}

// Upgrade implements helm.Interface.
func (h *Helm) Upgrade(_ context.Context, r helm.Request) (*helm.Release, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	last, ok := h.releases[r.Namespace+"/"+r.Name]
	switch {
	case !ok:
		return nil, helm.ErrReleaseNotFound
	case last.Status.Interrupted():
		return nil, helm.ErrInterrupted
	}
	return h.store("upgrade", r, last.Revision+1)
}

func (h *Helm) store(action string, r helm.Request, revision int) (*helm.Release, error) {
	err := h.begin(action)
	h.requests = append(h.requests, r)
	rel := helm.Release{Revision: revision, Status: helm.StatusDeployed, Labels: maps.Clone(r.Labels)}
	if err != nil {
		rel.Status = helm.StatusFailed
	} else {
		h.Drifts = nil
	}
	h.put(r.Namespace, r.Name, rel)
	rel.Objects = h.Manifest
	return &rel, err
}

// Drift implements helm.Interface.
func (h *Helm) Drift(_ context.Context, _, _ string, _ int) ([]helm.Drift, error) {
	return h.Drifts, nil
}

// Rollback implements helm.Interface.
func (h *Helm) Rollback(_ context.Context, namespace, name string, to int) (*helm.Release, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	last := h.releases[namespace+"/"+name]
	target, ok := h.history[fmt.Sprintf("%s/%s/%d", namespace, name, to)]
	switch {
	case !ok:
		return nil, helm.ErrReleaseNotFound
	case last.Status.Interrupted():
		return nil, helm.ErrInterrupted
	}
	err := h.begin("rollback")
	rel := helm.Release{Revision: last.Revision + 1, Status: helm.StatusDeployed, Labels: maps.Clone(target.Labels)}
	if err != nil {
		rel.Status = helm.StatusFailed
	} else {
		h.Drifts = nil
	}
	h.put(namespace, name, rel)
	return &rel, err
}

// Unlock implements helm.Interface.
func (h *Helm) Unlock(_ context.Context, namespace, name, _ string) (*helm.Release, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.begin("unlock"); err != nil {
		return nil, err
	}
	rel, ok := h.releases[namespace+"/"+name]
	if !ok {
		return nil, helm.ErrReleaseNotFound
	}
	if rel.Status.Interrupted() {
		rel.Status = helm.StatusFailed
		h.put(namespace, name, rel)
	}
	return &rel, nil
}

// Uninstall implements helm.Interface.
func (h *Helm) Uninstall(_ context.Context, namespace, name string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.begin("uninstall"); err != nil {
		return err
	}
	delete(h.releases, namespace+"/"+name)
	return nil
}
