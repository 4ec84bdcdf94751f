package crash

import (
	"maps"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/provisioner"
	"platform.dev/stores/test/internal/violations"
)

// at is a time of the story.
func at(second int) time.Time { return time.Unix(int64(second), 0) }

// story is what a run leaves in which all is well: a store that two replicas worked
// on, one after the other, and one that was deleted and kept its namespace.
func story() *records {
	spec := v1alpha1.StoreSpec{DisplayName: "Second", Version: "1.0", Plan: "small"}
	return &records{
		found: &violations.Log{},
		lives: []*life{
			{Namespace: "user", Name: "flowers", UID: "1", Shop: "store-flowers-1", Spec: spec, Titles: []string{"First", "Second"}},
			{Namespace: "user", Name: "books", UID: "2", Shop: "store-books-2", Spec: v1alpha1.StoreSpec{DeletionPolicy: v1alpha1.DeletionPolicyRetain}, Deleted: true, Gone: true},
		},
		writes: []*write{
			{"a", "store-flowers-1", "create", "namespaces", "store-flowers-1", at(0), at(1)},
			{"a", "store-flowers-1", "create", "secrets", "sh.helm.release.v1.store.v1", at(2), at(3)},
			{"b", "store-flowers-1", "create", "secrets", "sh.helm.release.v1.store.v2", at(6), at(7)},
		},
		pauses:     []pause{{"a", at(8)}},
		revisions:  map[string]map[int]revision{"store-flowers-1": {1: {"x", false, "superseded"}, 2: {"x", true, "superseded"}, 3: {"y", true, "deployed"}}},
		stores:     []v1alpha1.Store{{ObjectMeta: metav1.ObjectMeta{Namespace: "user", Name: "flowers", UID: "1"}, Spec: spec}},
		namespaces: map[string]map[string]string{"store-flowers-1": {provisioner.LabelStoreUID: "1"}, "store-books-2": {provisioner.LabelStoreUID: "2", provisioner.LabelRetained: "true"}},
		claims:     []string{"store-flowers-1", "store-books-2"},
		volumes:    []string{"store-flowers-1", "store-books-2"},
		releases:   []string{"store-flowers-1"},
		titles:     map[string]string{"store-flowers-1": "Second"},
		histories:  map[types.UID][]string{"1": {"First", "Second"}},
	}
}

func TestCheckerFindsNothing(t *testing.T) {
	r := story()
	if r.check(); len(r.found.Texts) > 0 {
		t.Errorf("found %q", r.found.Texts)
	}
}

// The story is broken in one way at a time.
func TestCheckerFinds(t *testing.T) {
	for name, c := range map[string]struct {
		breaks func(*records)
		want   string
	}{
		"change that is not there":     {func(r *records) { r.stores[0].Spec.DisplayName = "First" }, "write lost"},
		"change that does not run":     {func(r *records) { r.titles["store-flowers-1"] = "First" }, "write lost"},
		"change without history":       {func(r *records) { r.histories["1"] = []string{"First"} }, "history differs"},
		"store that is gone":           {func(r *records) { r.stores = nil }, "store lost"},
		"store nobody made":            {func(r *records) { r.stores[0].UID = "3" }, "store nobody made"},
		"deletion that was not done":   {func(r *records) { r.lives[0].Deleted = true }, "write lost"},
		"namespace of a deleted store": {func(r *records) { r.lives[1].Spec.DeletionPolicy = v1alpha1.DeletionPolicyDelete }, "orphaned namespace"},
		"namespace kept without a sign": {func(r *records) {
			delete(r.namespaces["store-books-2"], provisioner.LabelRetained)
		}, "orphaned namespace"},
		"namespace of nobody":         {func(r *records) { r.namespaces["store-x"] = map[string]string{provisioner.LabelStoreUID: "3"} }, "orphaned namespace"},
		"namespace that is gone":      {func(r *records) { delete(r.namespaces, "store-flowers-1") }, "namespace lost"},
		"claim of nobody":             {func(r *records) { r.claims = append(r.claims, "store-x") }, "orphaned claim"},
		"volume of nobody":            {func(r *records) { r.volumes = append(r.volumes, "store-x") }, "orphaned volume"},
		"release in a kept namespace": {func(r *records) { r.releases = append(r.releases, "store-books-2") }, "orphaned release"},
		"two first revisions":         {func(r *records) { r.writes[2].Name = "sh.helm.release.v1.store.v1" }, "installed twice"},
		"the same again":              {func(r *records) { r.revisions["store-flowers-1"][3] = revision{"x", true, "deployed"} }, "installed twice"},
		"release left pending":        {func(r *records) { r.revisions["store-flowers-1"][3] = revision{"y", false, "pending-upgrade"} }, "release not deployed"},
		"two at once":                 {func(r *records) { r.writes[1].Ended = at(7) }, "two at once"},
		"two at once, one long":       {func(r *records) { r.writes[0].Ended = at(9) }, "two at once"},
		"write after the lease":       {func(r *records) { r.pauses[0].Continued = at(1) }, "write after the lease"},
	} {
		t.Run(name, func(t *testing.T) {
			r := story()
			c.breaks(r)
			if r.check(); r.found.Count[c.want] == 0 {
				t.Errorf("found %v, want %q", slices.Sorted(maps.Keys(r.found.Count)), c.want)
			}
		})
	}
}

// Credentials are those that were seen first.
func TestObserverFindsOtherCredentials(t *testing.T) {
	found := &violations.Log{}
	o := &observer{found: found, credentials: map[string]string{}}
	secret := credentialsOf("store-a", "one")
	o.see(secret)
	o.see(secret)
	o.see(credentialsOf("store-b", "two"))
	if found.Count != nil {
		t.Errorf("found %q", found.Texts)
	}
	o.see(credentialsOf("store-a", "two"))
	if found.Count["credentials changed"] != 1 {
		t.Errorf("found %v, want the change", found.Count)
	}
}

func credentialsOf(namespace, password string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: provisioner.CredentialsSecret},
		Data:       map[string][]byte{"password": []byte(password)},
	}
}
