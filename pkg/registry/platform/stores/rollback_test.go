package stores

import (
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"platform.dev/stores/pkg/apis/platform"
)

// Between the reading of a revision and the update the store can be gone, or another.
func TestRollbackMeansTheStoreOfTheRevision(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		live types.UID
		is   func(error) bool
	}{
		{"gone", "", apierrors.IsNotFound},
		{"another store of the name", "second", apierrors.IsConflict},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			live, past := &platform.Store{ObjectMeta: metav1.ObjectMeta{UID: test.live}}, &platform.Store{ObjectMeta: metav1.ObjectMeta{UID: "first"}}
			if _, err := (&RollbackREST{}).rolledBack(t.Context(), live, past, &platform.StoreRollback{}, "flowers", &metav1.UpdateOptions{}); !test.is(err) {
				t.Errorf("got %v", err)
			}
		})
	}
}
