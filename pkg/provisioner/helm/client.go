package helm

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"helm.sh/helm/v3/pkg/kube"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
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
	// attempts are the manifests by which objects may have been set last, oldest first,
	// if that is not known.
	attempts []string
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
	original, err := c.mayBeSet(original)
	if err != nil {
		return &kube.Result{}, err
	}
	return c.Client.Update(original, target, force)
}

// mayBeSet adds to original what attempts have set in its objects. Helm takes out of an
// object what original has and the target has not: what an action set that failed or was
// cut off would stay, beside what is to replace it.
func (c *client) mayBeSet(original kube.ResourceList) (kube.ResourceList, error) {
	if len(c.attempts) == 0 {
		return original, nil
	}
	all := make(kube.ResourceList, len(original))
	for i, info := range original {
		all[i] = ptr.To(*info) // Helm has put objects of the target among them.
	}
	for _, manifest := range c.attempts {
		attempt, err := c.Client.Build(strings.NewReader(manifest), false)
		if err != nil {
			return nil, fmt.Errorf("reading the manifest of an earlier revision: %w", err)
		}
		for _, info := range all {
			if set := attempt.Get(info); set != nil {
				if info.Object, err = union(info.Object, set); err != nil {
					return nil, fmt.Errorf("adding up what revisions have set in %s %s: %w", info.Mapping.GroupVersionKind.Kind, info.Name, err)
				}
			}
		}
	}
	return all, nil
}

// union is an object with all that more sets, too. Of a kind that has no merge keys it is
// the object itself: its lists are replaced as a whole.
func union(object runtime.Object, more *resource.Info) (runtime.Object, error) {
	versioned := kube.AsVersioned(more)
	if _, untyped := versioned.(runtime.Unstructured); untyped {
		return object, nil
	}
	before, err := runtime.Encode(unstructured.UnstructuredJSONScheme, object)
	if err != nil {
		return nil, err
	}
	set, err := runtime.Encode(unstructured.UnstructuredJSONScheme, more.Object)
	if err != nil {
		return nil, err
	}
	merged, err := strategicpatch.StrategicMergePatch(before, set, versioned)
	if err != nil {
		return nil, err
	}
	return runtime.Decode(unstructured.UnstructuredJSONScheme, merged)
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
