package helm

import (
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/cli-runtime/pkg/resource"
)

func TestAbsentObjectsAreNotFound(t *testing.T) {
	t.Parallel()
	helper := resource.NewHelper(absent{}, &meta.RESTMapping{Scope: meta.RESTScopeNamespace})
	if _, err := helper.Get("store-flowers", "shop"); !apierrors.IsNotFound(err) {
		t.Errorf("got %v, want that it is not found", err)
	}
}
