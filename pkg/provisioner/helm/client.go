package helm

import (
	"helm.sh/helm/v3/pkg/kube"
)

// client is Helm's client of the cluster, but volumes never shrink, and one that
// cannot grow fails an action before it has changed anything. Nor does it ask whether
// there is a cluster. It remembers what it has made.
type client struct {
	*kube.Client
	// returning is set for a rollback, which takes back everything but sizes.
	returning bool
	// made are the objects of an action.
	made kube.ResourceList
}

// IsReachable implements kube.Interface. What Helm asks for next tells.
func (c *client) IsReachable() error { return nil }

// Create implements kube.Interface.
func (c *client) Create(resources kube.ResourceList) (*kube.Result, error) {
	c.made = resources
	return c.Client.Create(resources)
}

// Update implements kube.Interface.
func (c *client) Update(original, target kube.ResourceList, force bool) (*kube.Result, error) {
	for _, info := range target {
		if !isClaim(info) {
			continue
		}
		if err := c.checkSize(original.Get(info), info); err != nil {
			return &kube.Result{}, err
		}
	}
	c.made = target
	return c.Client.Update(original, target, force)
}

// note puts the versions of what was made into objects.
func (c *client) note(objects []Object) {
	for i := range objects {
		o := &objects[i]
		for _, info := range c.made {
			if info.Name == o.Name && info.Mapping.GroupVersionKind.Kind == o.Kind {
				o.ResourceVersion = info.ResourceVersion
			}
		}
	}
}
