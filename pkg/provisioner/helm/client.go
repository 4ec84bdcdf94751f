package helm

import (
	"io"
	"net/http"
	"net/url"

	"helm.sh/helm/v3/pkg/kube"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/rest"
)

// client is Helm's client of the cluster, but volumes never shrink, and one that
// cannot grow fails an action before it has changed anything. Nor does it ask whether
// there is a cluster. It remembers what it has made.
type client struct {
	*kube.Client
	// returning is set for a rollback, which takes back everything but sizes.
	returning bool
	// untouched says that there is nothing that an action could find.
	untouched bool
	// made are the objects of an action.
	made kube.ResourceList
}

// IsReachable implements kube.Interface. What Helm asks for next tells.
func (c *client) IsReachable() error { return nil }

// Build implements kube.Interface.
func (c *client) Build(manifest io.Reader, validate bool) (kube.ResourceList, error) {
	resources, err := c.Client.Build(manifest, validate)
	if c.untouched {
		for _, info := range resources {
			info.Client = absent{info.Client}
		}
	}
	return resources, err
}

// absent is a client of objects that there are none of yet: to read one makes no
// request.
type absent struct{ resource.RESTClient }

// Get implements resource.RESTClient.
func (absent) Get() *rest.Request {
	content := rest.ClientContentConfig{
		Negotiator: runtime.NewClientNegotiator(resource.UnstructuredPlusDefaultContentConfig().NegotiatedSerializer, schema.GroupVersion{}),
	}
	return rest.NewRequestWithClient(&url.URL{Scheme: "http", Host: "absent"}, "", content, &http.Client{Transport: notFound{}})
}

// notFound answers everything with 404.
type notFound struct{}

// RoundTrip implements http.RoundTripper.
func (notFound) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusNotFound, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
}

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
