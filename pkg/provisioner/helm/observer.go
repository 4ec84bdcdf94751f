package helm

import (
	"fmt"
	"strings"
	"sync"

	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage/driver"
)

// observer remembers what the storage driver under it has really stored. What
// Helm's actions return is not that: an install whose final state could not be
// written returns success, and a failed one returns a release that may never
// have been written at all.
type observer struct {
	driver.Driver
	// keep is a revision that is not deleted; 0 is none.
	keep int
	// none says that there is no revision to find.
	none bool

	mu       sync.Mutex
	last     *Release
	manifest string // of last
}

// Query finds revisions by their labels.
func (o *observer) Query(labels map[string]string) ([]*release.Release, error) {
	if o.none {
		return nil, driver.ErrReleaseNotFound
	}
	return o.Driver.Query(labels)
}

// stored is the revision that was written last, or nil.
func (o *observer) stored() *Release {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.last
}

// Create stores a new revision.
func (o *observer) Create(key string, rel *release.Release) error {
	if err := o.Driver.Create(key, rel); err != nil {
		return err
	}
	o.observe(rel)
	return nil
}

// Update stores a changed revision.
func (o *observer) Update(key string, rel *release.Release) error {
	if err := o.Driver.Update(key, rel); err != nil {
		return err
	}
	o.observe(rel)
	return nil
}

// Delete deletes a revision, unless it is to be kept: Helm deletes the oldest
// whether or not anybody may want to return to them.
func (o *observer) Delete(key string) (*release.Release, error) {
	if o.keep > 0 && strings.HasSuffix(key, fmt.Sprintf(".v%d", o.keep)) {
		return o.Get(key)
	}
	return o.Driver.Delete(key)
}

// observe keeps the newest revision: an upgrade also rewrites the one before.
func (o *observer) observe(rel *release.Release) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.last == nil || rel.Version >= o.last.Revision {
		o.last = &Release{Revision: rel.Version, Status: Status(rel.Info.Status), Labels: rel.Labels}
		o.manifest = rel.Manifest
	}
}
