package deletionprotection

import (
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"

	"platform.dev/stores/pkg/apis/platform"
	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	store := func(protected bool) *platform.Store {
		return &platform.Store{
			ObjectMeta: metav1.ObjectMeta{Name: "flowers", Namespace: "shops"},
			Spec:       platform.StoreSpec{DeletionProtection: protected},
		}
	}
	tests := []struct {
		name    string
		old     runtime.Object
		deleted string // the request's name, none for a collection
		refused bool
	}{
		{"protected", store(true), "flowers", true},
		{"protected in a collection", store(true), "", true},
		{"free", store(false), "flowers", false},
		{"engine", &platform.Engine{}, "medusa", false},
		{"not read yet", nil, "flowers", false},
	}
	plugins := admission.NewPlugins()
	Register(plugins)
	protection, err := plugins.InitPlugin(PluginName, nil, admission.PluginInitializers{})
	if err != nil {
		t.Fatal(err)
	}
	if !protection.Handles(admission.Delete) || !protection.Handles(admission.Update) || protection.Handles(admission.Create) {
		t.Error("the plugin must see deletions and updates, and nothing else")
	}
	lifting := admission.NewAttributesRecord(store(false), store(true), v1alpha1.SchemeGroupVersion.WithKind("Store"), "shops", "flowers",
		v1alpha1.SchemeGroupVersion.WithResource("stores"), "", admission.Update, &metav1.UpdateOptions{}, false, nil)
	if err := protection.(admission.ValidationInterface).Validate(t.Context(), lifting, nil); err != nil {
		t.Errorf("lifting the protection: %v", err)
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			attributes := admission.NewAttributesRecord(nil, test.old, v1alpha1.SchemeGroupVersion.WithKind("Store"), "shops", test.deleted,
				v1alpha1.SchemeGroupVersion.WithResource("stores"), "", admission.Delete, &metav1.DeleteOptions{}, false, nil)
			err := protection.(admission.ValidationInterface).Validate(t.Context(), attributes, nil)
			if apierrors.IsForbidden(err) != test.refused || !test.refused && err != nil {
				t.Fatalf("got %v, want refused: %t", err, test.refused)
			}
			if test.refused && !strings.Contains(err.Error(), `"flowers" is forbidden: store shops/flowers is protected`) {
				t.Errorf("the message does not name the store: %v", err)
			}
		})
	}
}
