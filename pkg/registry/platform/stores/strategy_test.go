package stores

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"

	"platform.dev/stores/pkg/apis/platform"
	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

func as(t *testing.T, name string) context.Context {
	t.Helper()
	return genericapirequest.WithUser(t.Context(), &user.DefaultInfo{Name: name})
}

func TestPrepareForCreate(t *testing.T) {
	t.Parallel()
	s := newStrategy(runtime.NewScheme(), "shops.example.com")
	chosen := platform.StoreSpec{Engine: "medusa", DisplayName: "Flowers & more", Host: "flowers.example.org", AdminEmail: "owner@example.org"}
	tests := []struct {
		name           string
		ctx            context.Context
		spec, wantSpec platform.StoreSpec
		finalizers     []string
		wantFinalizers []string
	}{
		{
			name:           "nothing chosen",
			ctx:            as(t, "alice"),
			spec:           platform.StoreSpec{Engine: "medusa"},
			wantSpec:       platform.StoreSpec{Engine: "medusa", DisplayName: "flowers", Host: "flowers.shops.example.com", AdminEmail: "admin@flowers.shops.example.com", Owner: "alice"},
			wantFinalizers: []string{v1alpha1.Finalizer},
		},
		{
			name:           "all chosen",
			ctx:            as(t, "alice"),
			spec:           chosen,
			wantSpec:       platform.StoreSpec{Engine: "medusa", DisplayName: "Flowers & more", Host: "flowers.example.org", AdminEmail: "owner@example.org", Owner: "alice"},
			wantFinalizers: []string{v1alpha1.Finalizer},
		},
		{
			name:           "forged owner",
			ctx:            as(t, "alice"),
			spec:           platform.StoreSpec{Owner: "mallory"},
			wantSpec:       platform.StoreSpec{DisplayName: "flowers", Host: "flowers.shops.example.com", AdminEmail: "admin@flowers.shops.example.com", Owner: "alice"},
			wantFinalizers: []string{v1alpha1.Finalizer},
		},
		{
			name:           "forged owner without a user",
			ctx:            t.Context(),
			spec:           platform.StoreSpec{Owner: "mallory"},
			wantSpec:       platform.StoreSpec{DisplayName: "flowers", Host: "flowers.shops.example.com", AdminEmail: "admin@flowers.shops.example.com"},
			wantFinalizers: []string{v1alpha1.Finalizer},
		},
		{
			name:           "finalizers of the client's",
			ctx:            as(t, "alice"),
			spec:           chosen,
			wantSpec:       platform.StoreSpec{Engine: "medusa", DisplayName: "Flowers & more", Host: "flowers.example.org", AdminEmail: "owner@example.org", Owner: "alice"},
			finalizers:     []string{v1alpha1.Finalizer, "example.com/mine"},
			wantFinalizers: []string{v1alpha1.Finalizer, "example.com/mine"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			now := metav1.Now()
			store := &platform.Store{
				ObjectMeta: metav1.ObjectMeta{Name: "flowers", Generation: 9, CreationTimestamp: now, Finalizers: test.finalizers},
				Spec:       test.spec,
				Status:     platform.StoreStatus{URL: "https://evil.example.com"},
			}
			s.PrepareForCreate(test.ctx, store)
			want := &platform.Store{
				ObjectMeta: metav1.ObjectMeta{Name: "flowers", Generation: 1, CreationTimestamp: now, Finalizers: test.wantFinalizers},
				Spec:       test.wantSpec,
				Status: platform.StoreStatus{Conditions: []metav1.Condition{{
					Type: "Ready", Status: "Unknown", Reason: "Pending", LastTransitionTime: now.Rfc3339Copy(),
					Message: "Waiting for the provisioner to take the store up.",
				}}},
			}
			if diff := cmp.Diff(want, store); diff != "" {
				t.Errorf("store (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPrepareForUpdate(t *testing.T) {
	t.Parallel()
	s := newStrategy(runtime.NewScheme(), "shops.example.com")
	old := &platform.Store{
		ObjectMeta: metav1.ObjectMeta{Name: "flowers", Generation: 4},
		Spec: platform.StoreSpec{Engine: "medusa", DisplayName: "flowers", Host: "flowers.shops.example.com", AdminEmail: "admin@flowers.shops.example.com", Owner: "alice",
			Values: &runtime.RawExtension{Raw: []byte(`{"title":"a\u003cb"}`)}},
		Status: platform.StoreStatus{URL: "https://flowers.shops.example.com"},
	}
	tests := []struct {
		name       string
		change     func(*platform.Store)
		generation int64
		title      string
	}{
		{"nothing", func(*platform.Store) {}, 4, "flowers"},
		{"label", func(s *platform.Store) { s.Labels = map[string]string{"a": "b"} }, 4, "flowers"},
		{"status", func(s *platform.Store) { s.Status.URL = "https://evil.example.com" }, 4, "flowers"},
		{"owner", func(s *platform.Store) { s.Spec.Owner = "mallory" }, 4, "flowers"},
		{"defaults left out", func(s *platform.Store) { s.Spec.DisplayName, s.Spec.Host, s.Spec.AdminEmail = "", "", "" }, 4, "flowers"},
		{"values written otherwise", func(s *platform.Store) { s.Spec.Values.Raw = []byte(`{ "title": "a<b" }`) }, 4, "flowers"},
		{"title", func(s *platform.Store) { s.Spec.DisplayName = "Roses" }, 5, "Roses"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			store := old.DeepCopy()
			test.change(store)
			s.PrepareForUpdate(as(t, "bob"), store, old)
			if store.Generation != test.generation {
				t.Errorf("generation is %d, want %d", store.Generation, test.generation)
			}
			want := old.Spec
			want.DisplayName = test.title
			if diff := cmp.Diff(want, store.Spec); diff != "" {
				t.Errorf("spec (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(old.Status, store.Status); diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStatusPrepareForUpdate(t *testing.T) {
	t.Parallel()
	old := &platform.Store{
		ObjectMeta: metav1.ObjectMeta{Name: "flowers", Generation: 4, Labels: map[string]string{"a": "b"}, Finalizers: []string{v1alpha1.Finalizer}},
		Spec:       platform.StoreSpec{Engine: "medusa", Plan: "small"},
	}
	store := &platform.Store{
		ObjectMeta: metav1.ObjectMeta{Name: "flowers", Generation: 4, Labels: map[string]string{"a": "c"}},
		Spec:       platform.StoreSpec{Engine: "woocommerce"},
		Status:     platform.StoreStatus{URL: "https://flowers.example.com", Preview: &platform.StorePreview{Message: "forged"}},
	}
	statusStrategy{newStrategy(runtime.NewScheme(), "shops.example.com")}.PrepareForUpdate(as(t, "provisioner"), store, old)
	want := old.DeepCopy()
	want.Status.URL = "https://flowers.example.com"
	if diff := cmp.Diff(want, store); diff != "" {
		t.Errorf("store (-want +got):\n%s", diff)
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../../docs/refusals.md")
	if err != nil {
		t.Fatal(err)
	}
	isTold := func(text string) bool { return strings.Contains(string(page), "`"+text+"`") }
	s := newStrategy(runtime.NewScheme(), "shops.example.com")
	old := &platform.Store{
		ObjectMeta: metav1.ObjectMeta{Name: "flowers", Generation: 4},
		Spec:       platform.StoreSpec{Engine: "medusa", Host: "flowers.shops.example.com", DeletionPolicy: platform.DeletionPolicyRetain},
	}
	for _, test := range []struct {
		name   string
		change func(*platform.Store)
		want   string // a part of the only warning
	}{
		{"nothing", func(*platform.Store) {}, ""},
		{"title", func(s *platform.Store) { s.Spec.DisplayName = "Roses" }, ""},
		{"host", func(s *platform.Store) { s.Spec.Host, s.Spec.AdminEmail = "other.example.com", old.Spec.AdminEmail }, "old host"},
		{"login", func(s *platform.Store) { s.Spec.AdminEmail = "other@example.com" }, "does not rename"},
		{"data", func(s *platform.Store) { s.Spec.DeletionPolicy = platform.DeletionPolicyDelete }, "deletes the shop's data"},
		{"suspending", func(s *platform.Store) { s.Spec.Suspend = true }, ""},
		{"during the deletion", func(s *platform.Store) { s.Spec.Host, s.DeletionTimestamp = "other.example.com", &metav1.Time{} }, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			store := old.DeepCopy()
			test.change(store)
			if !equality.Semantic.DeepEqual(store.Spec, old.Spec) {
				store.Generation++
			}
			got := s.WarningsOnUpdate(t.Context(), store, old)
			if test.want == "" && len(got) > 0 || test.want != "" && (len(got) != 1 || !strings.Contains(got[0], test.want)) {
				t.Errorf("got %q, want %q", got, test.want)
			}
			for _, text := range got {
				if len(text) > 120 {
					t.Errorf("%d characters: %s", len(text), text)
				}
				if !isTold(text) {
					t.Errorf("docs/refusals.md does not tell of %q", text)
				}
			}
		})
	}
	suspended := old.DeepCopy()
	suspended.Spec.Suspend = true
	changed := suspended.DeepCopy()
	changed.Generation++
	if got := s.WarningsOnUpdate(t.Context(), changed, suspended); len(got) != 1 || !isTold(got[0]) {
		t.Errorf("a change of a suspended store is warned of with %q", got)
	}
}
