// Package registrytest holds what a registry does with objects against what it promises.
package registrytest

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"platform.dev/stores/pkg/apis/platform"
	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/storage/codec"
)

// Strategy is what the main resource of a registry does with an object.
type Strategy interface {
	rest.RESTCreateStrategy
	rest.RESTUpdateStrategy
}

// FuzzWrites creates documents of any kind with a strategy. Whatever they hold, they are
// refused by field, or make an object that is stored and read back as it is, and that the
// same write once more does not change. Seeds are documents to begin from.
func FuzzWrites(f *testing.F, scheme *runtime.Scheme, strategy Strategy, kind string, seeds ...string) {
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	decoder := serializer.NewCodecFactory(scheme).UniversalDecoder(platform.SchemeGroupVersion)
	gvk := v1alpha1.SchemeGroupVersion.WithKind(kind)
	f.Fuzz(func(t *testing.T, document []byte) {
		obj, got, err := decoder.Decode(document, &gvk, nil)
		if err != nil || *got != gvk {
			return
		}
		write(t, scheme, strategy, gvk, obj)
	})
}

func write(t *testing.T, scheme *runtime.Scheme, strategy Strategy, gvk schema.GroupVersionKind, obj runtime.Object) {
	t.Helper()
	accessor, err := meta.Accessor(obj)
	if err != nil {
		t.Fatal(err)
	}
	accessor.SetManagedFields(nil) // made anew by the generic server
	ctx := genericapirequest.WithUser(t.Context(), &user.DefaultInfo{Name: "alice"})
	info := &genericapirequest.RequestInfo{IsResourceRequest: true, Verb: "create", APIGroup: gvk.Group, APIVersion: gvk.Version}
	ctx = genericapirequest.WithRequestInfo(genericapirequest.WithNamespace(ctx, accessor.GetNamespace()), info)
	rest.FillObjectMetaSystemFields(accessor)
	if accessor.GetName() == "" && accessor.GetGenerateName() != "" {
		accessor.SetName(strategy.GenerateName(accessor.GetGenerateName()))
	}
	accessor.SetCreationTimestamp(accessor.GetCreationTimestamp().Rfc3339Copy())
	if err := rest.BeforeCreate(strategy, ctx, obj); err != nil {
		checkRefusal(t, err)
		return
	}
	stored := codec.JSON(scheme, v1alpha1.SchemeGroupVersion)
	data, err := runtime.Encode(stored, obj)
	if err != nil {
		t.Fatalf("encoding what was accepted: %v", err)
	}
	read, err := runtime.Decode(stored, data)
	if err != nil {
		t.Fatalf("decoding what was stored: %v", err)
	}
	if !equality.DeepEqual(obj, read) {
		t.Fatalf("stored otherwise than accepted (-accepted +read):\n%s", cmp.Diff(obj, read))
	}
	accessor, err = meta.Accessor(read)
	if err != nil {
		t.Fatal(err)
	}
	accessor.SetResourceVersion("1")
	again := read.DeepCopyObject()
	info.Verb = "update"
	if err := rest.BeforeUpdate(strategy, ctx, again, read); err != nil {
		t.Fatalf("what was accepted is refused as an update: %v", err)
	}
	if !equality.DeepEqual(read, again) {
		t.Fatalf("an update with nothing new changes (-before +after):\n%s", cmp.Diff(read, again))
	}
}

// checkRefusal fails unless err is a refusal that names what is wrong.
func checkRefusal(t *testing.T, err error) {
	t.Helper()
	var status *apierrors.StatusError
	if !errors.As(err, &status) {
		t.Fatalf("refused with %T: %v", err, err)
	}
	switch status.ErrStatus.Code {
	case http.StatusBadRequest: // such as a name in a place where there is none
	case http.StatusUnprocessableEntity:
		if status.ErrStatus.Details == nil || len(status.ErrStatus.Details.Causes) == 0 {
			t.Fatalf("refused without a cause: %v", err)
		}
		for _, cause := range status.ErrStatus.Details.Causes {
			root, _, _ := strings.Cut(cause.Field, ".")
			if !slices.Contains([]string{"metadata", "spec"}, root) {
				t.Errorf("refused for field %q: %s", cause.Field, cause.Message)
			}
		}
	default:
		t.Fatalf("refused with code %d: %v", status.ErrStatus.Code, err)
	}
}

// equality takes times as they are stored, in seconds.
var equality = apiequality.Semantic.Copy()

func init() {
	utilruntime.Must(equality.AddFunc(func(a, b metav1.Time) bool { return a.Unix() == b.Unix() }))
}
