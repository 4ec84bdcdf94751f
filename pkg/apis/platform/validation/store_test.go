package validation

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"platform.dev/stores/pkg/apis/platform"
)

func newStore() *platform.Store {
	return &platform.Store{
		ObjectMeta: metav1.ObjectMeta{Name: "flowers", Namespace: "shops"},
		Spec:       platform.StoreSpec{Engine: "medusa", DisplayName: "Flowers", AdminEmail: "owner@example.com"},
	}
}

func TestValidateStore(t *testing.T) {
	t.Parallel()
	raw := func(json string) *runtime.RawExtension { return &runtime.RawExtension{Raw: []byte(json)} }
	tests := []struct {
		name   string
		change func(*platform.Store)
		want   string // the faulty field, none if the store is valid
	}{
		{"plain", func(*platform.Store) {}, ""},
		{"HTML in the title", func(s *platform.Store) { s.Spec.DisplayName = `<b title="a">&amp;</b>` }, ""},
		{"shell in the title", func(s *platform.Store) { s.Spec.DisplayName = "$(reboot); `id` | 'a' \"b\" \\" }, ""},
		{"emoji joined of several", func(s *platform.Store) { s.Spec.DisplayName = "\U0001F469\u200d\U0001F33E" }, ""},
		{"right-to-left text", func(s *platform.Store) { s.Spec.DisplayName = "زهور" }, ""},
		{"tab in the title", func(s *platform.Store) { s.Spec.DisplayName = "a\tb" }, "spec.displayName"},
		{"NUL in the title", func(s *platform.Store) { s.Spec.DisplayName = "a\x00b" }, "spec.displayName"},
		{"C1 control in the title", func(s *platform.Store) { s.Spec.DisplayName = "a\u0085b" }, "spec.displayName"},
		{"paragraph in the title", func(s *platform.Store) { s.Spec.DisplayName = "a\u2029b" }, "spec.displayName"},
		{"override in the title", func(s *platform.Store) { s.Spec.DisplayName = "a\u202eb" }, "spec.displayName"},
		{"isolate in the title", func(s *platform.Store) { s.Spec.DisplayName = "a\u2066b" }, "spec.displayName"},
		{"broken UTF-8 in the title", func(s *platform.Store) { s.Spec.DisplayName = "a\xffb" }, "spec.displayName"},
		{"fault left to the tag", func(s *platform.Store) { s.Spec.DisplayName = strings.Repeat("\n", 129) }, ""},
		{"name of 63 characters", func(s *platform.Store) { s.Name = strings.Repeat("a", 63) }, ""},
		{"name of 64 characters", func(s *platform.Store) { s.Name = strings.Repeat("a", 64) }, "metadata.name"},
		{"name with a dot", func(s *platform.Store) { s.Name = "a.b" }, "metadata.name"},
		{"upper-case name", func(s *platform.Store) { s.Name = "Flowers" }, "metadata.name"},
		{"no namespace", func(s *platform.Store) { s.Namespace = "" }, "metadata.namespace"},
		{"labels of the greatest size", func(s *platform.Store) { s.Labels = labels(maxLabelsBytes / 8) }, ""},
		{"too many labels", func(s *platform.Store) { s.Labels = labels(maxLabelsBytes/8 + 1) }, "metadata.labels"},
		{"too many labels, but going", func(s *platform.Store) {
			s.Labels, s.DeletionTimestamp = labels(maxLabelsBytes/8+1), &metav1.Time{}
		}, ""},
		{"too many finalizers", func(s *platform.Store) {
			s.Finalizers = slices.Repeat([]string{"example.com/a"}, maxFinalizers+1)
		}, "metadata.finalizers"},
		{"too many owners", func(s *platform.Store) {
			s.OwnerReferences = slices.Repeat([]metav1.OwnerReference{{APIVersion: "v1", Kind: "A", Name: "a", UID: "a"}}, maxOwners+1)
		}, "metadata.ownerReferences"},
		{"no e-mail", func(s *platform.Store) { s.Spec.AdminEmail = "" }, ""},
		{"e-mail without a host", func(s *platform.Store) { s.Spec.AdminEmail = "owner" }, "spec.adminEmail"},
		{"two e-mails", func(s *platform.Store) { s.Spec.AdminEmail = "a@example.com, b@example.com" }, "spec.adminEmail"},
		{"e-mail with a name", func(s *platform.Store) { s.Spec.AdminEmail = "A <a@example.com>" }, "spec.adminEmail"},
		{"empty values", func(s *platform.Store) { s.Spec.Values = raw(`{}`) }, ""},
		{"values that are null", func(s *platform.Store) { s.Spec.Values = raw(`null`) }, "spec.values"},
		{"values that are a list", func(s *platform.Store) { s.Spec.Values = raw(`[]`) }, "spec.values"},
		{"values that are broken", func(s *platform.Store) { s.Spec.Values = raw(`{`) }, "spec.values"},
		{"values of the greatest size", func(s *platform.Store) { s.Spec.Values = raw(object(maxValuesBytes)) }, ""},
		{"values that are too large", func(s *platform.Store) { s.Spec.Values = raw(object(maxValuesBytes + 1)) }, "spec.values"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			store := newStore()
			test.change(store)
			expect(t, ValidateStore(store), test.want)
		})
	}
}

func TestValidateStoreUpdate(t *testing.T) {
	t.Parallel()
	old := newStore()
	old.ResourceVersion = "1"
	store := old.DeepCopy()
	expect(t, ValidateStoreUpdate(store, old), "")
	store.Spec.DisplayName = "a\nb"
	expect(t, ValidateStoreUpdate(store, old), "spec.displayName")
	renamed := old.DeepCopy()
	renamed.Name = "bread"
	expect(t, ValidateStoreUpdate(renamed, old), "metadata.name")
}

func TestValidateStoreStatusUpdate(t *testing.T) {
	t.Parallel()
	old := newStore()
	old.ResourceVersion = "1"
	store := old.DeepCopy()
	store.Status.Conditions = []metav1.Condition{{Type: "Ready", Status: metav1.ConditionTrue, Reason: "Sells", LastTransitionTime: metav1.Now()}}
	expect(t, ValidateStoreStatusUpdate(store, old), "")
	store.Status.Conditions[0].Reason = "not a word"
	expect(t, ValidateStoreStatusUpdate(store, old), "status.conditions[0].reason")
}

// labels are as many of 8 bytes.
func labels(count int) map[string]string {
	made := map[string]string{}
	for i := range count {
		made[fmt.Sprintf("l%07d", i)] = ""
	}
	return made
}

// object returns a JSON object of this many bytes.
func object(size int) string {
	const frame = `{"a":""}`
	return `{"a":"` + strings.Repeat("x", size-len(frame)) + `"}`
}

// expect checks that exactly one fault was found, in the field want, or none.
func expect(t *testing.T, errs field.ErrorList, want string) {
	t.Helper()
	if want == "" {
		if len(errs) > 0 {
			t.Errorf("got %v, want no fault", errs)
		}
		return
	}
	if len(errs) != 1 || errs[0].Field != want {
		t.Errorf("got %v, want one fault of %s", errs, want)
	}
}
