package stores

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"platform.dev/stores/pkg/apis/platform"
)

func TestManagerOf(t *testing.T) {
	t.Parallel()
	entry := func(manager string, second int64, fields string) metav1.ManagedFieldsEntry {
		at := metav1.NewTime(time.Unix(second, 0))
		return metav1.ManagedFieldsEntry{
			Manager: manager, Operation: metav1.ManagedFieldsOperationUpdate, Time: &at,
			FieldsV1: metav1.NewFieldsV1(fields),
		}
	}
	type entries = []metav1.ManagedFieldsEntry
	for _, test := range []struct {
		name     string
		old, now entries
		want     string
	}{
		{"creation", nil, entries{entry("kubectl-create", 1, "a")}, "kubectl-create"},
		{"nothing new", entries{entry("a", 1, "a")}, entries{entry("a", 1, "a")}, ""},
		{"fields taken from another", entries{entry("a", 1, "ab")}, entries{entry("a", 1, "a"), entry("b", 2, "b")}, "b"},
		{"within a second", entries{entry("a", 1, "ab")}, entries{entry("a", 1, "a"), entry("b", 1, "b")}, "b"},
		{"again", entries{entry("a", 1, "ab"), entry("b", 1, "c")}, entries{entry("a", 1, "a"), entry("b", 2, "bc")}, "b"},
		{"again within a second", entries{entry("a", 1, "a")}, entries{entry("a", 1, "ab")}, "a"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			store := func(fields entries) *platform.Store {
				return &platform.Store{ObjectMeta: metav1.ObjectMeta{ManagedFields: fields}}
			}
			if got := managerOf(store(test.old), store(test.now)); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
