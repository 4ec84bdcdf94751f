package clients

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/watch"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	applyv1alpha1 "platform.dev/stores/pkg/generated/applyconfiguration/platform/v1alpha1"
	"platform.dev/stores/pkg/generated/clientset/versioned"
	"platform.dev/stores/pkg/generated/clientset/versioned/fake"
)

// The fake clientset keeps objects as they are given, and their managers: what needs no
// server can be tested with it. It fills nothing in, refuses nothing and provisions
// nothing.
func TestFakeClientset(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset(&v1alpha1.Store{ObjectMeta: metav1.ObjectMeta{Namespace: "shops", Name: "books", Labels: map[string]string{"team": "a"}}})
	stores := client.PlatformV1alpha1().Stores("shops")
	watcher, err := stores.Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Stop()

	if _, err := Create(t.Context(), client, "shops", "flowers", "medusa"); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(t.Context(), client, "shops", "flowers", "medusa"); !apierrors.IsAlreadyExists(err) {
		t.Errorf("creating a store twice: %v, want AlreadyExists", err)
	}
	store, err := stores.Get(t.Context(), "flowers", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if store.Spec.Engine != "medusa" || store.Spec.Plan != "" {
		t.Errorf("the store has the spec %+v, want what was given", store.Spec)
	}
	list, err := stores.List(t.Context(), metav1.ListOptions{LabelSelector: "team=a"})
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 1 || list.Items[0].Name != "books" {
		t.Errorf("the stores of team a are %+v, want books", list.Items)
	}

	if store, err = Apply(t.Context(), client, "shops", "flowers", "medusa", "Flowers"); err != nil {
		t.Fatal(err)
	}
	if store.Spec.DisplayName != "Flowers" {
		t.Errorf("the title is %q after applying it", store.Spec.DisplayName)
	}
	stated, err := applyv1alpha1.ExtractStore(store, "example")
	if err != nil {
		t.Fatal(err)
	}
	if wanted := applyv1alpha1.StoreSpec().WithEngine("medusa").WithDisplayName("Flowers"); !cmp.Equal(stated.Spec, wanted) {
		t.Errorf("the program has stated %s", cmp.Diff(wanted, stated.Spec))
	}
	other := applyv1alpha1.Store("flowers", "shops").WithSpec(applyv1alpha1.StoreSpec().WithDisplayName("Roses"))
	if _, err := stores.Apply(t.Context(), other, metav1.ApplyOptions{FieldManager: "other"}); !apierrors.IsConflict(err) || !strings.Contains(err.Error(), "example") {
		t.Errorf("applying another program's field: %v, want a Conflict that names it", err)
	}
	want := []watch.EventType{watch.Added, watch.Modified}
	for _, wanted := range want {
		event := <-watcher.ResultChan()
		if event.Object.(*v1alpha1.Store).Name == "books" {
			event = <-watcher.ResultChan() // The fake's watches begin with what there is.
		}
		if event.Type != wanted || event.Object.(*v1alpha1.Store).Name != "flowers" {
			t.Errorf("the watch brings %s of %+v, want %s of flowers", event.Type, event.Object, wanted)
		}
	}
}

func TestWaitUntilReady(t *testing.T) {
	t.Parallel()
	// state is a store whose status is of generation 1.
	state := func(generation int64, conditions ...metav1.Condition) *v1alpha1.Store {
		return &v1alpha1.Store{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shops", Name: "flowers", Generation: generation},
			Status:     v1alpha1.StoreStatus{ObservedGeneration: 1, Conditions: conditions},
		}
	}
	ready := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: "Selling"}
	unready := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: "Starting"}
	stalled := metav1.Condition{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue, Reason: "UpgradeFailed", Message: "No image."}
	update := func(to *v1alpha1.Store) func(context.Context, versioned.Interface) error {
		return func(ctx context.Context, client versioned.Interface) error {
			_, err := client.PlatformV1alpha1().Stores("shops").UpdateStatus(ctx, to, metav1.UpdateOptions{})
			return err
		}
	}
	remove := func(ctx context.Context, client versioned.Interface) error {
		return client.PlatformV1alpha1().Stores("shops").Delete(ctx, "flowers", metav1.DeleteOptions{})
	}
	for name, test := range map[string]struct {
		store *v1alpha1.Store
		// then happens while it is waited for.
		then func(context.Context, versioned.Interface) error
		want string // an error, or nothing
	}{
		"ready":                   {store: state(1, ready)},
		"ready later":             {store: state(1, unready), then: update(state(1, ready))},
		"ready as it was":         {store: state(2, ready), want: "timed out"},
		"stalled":                 {store: state(1, unready), then: update(state(1, unready, stalled)), want: "UpgradeFailed: No image."},
		"selling what was before": {store: state(1, ready, stalled), want: "UpgradeFailed: No image."},
		"never there":             {store: &v1alpha1.Store{ObjectMeta: metav1.ObjectMeta{Namespace: "elsewhere", Name: "flowers"}}, want: ErrGone.Error()},
		"deleted":                 {store: state(1, unready), then: remove, want: ErrGone.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := fake.NewClientset(test.store)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			if test.then != nil {
				var once atomic.Bool
				if _, err := Follow(ctx, client, "shops", func(*v1alpha1.Store) {
					if once.CompareAndSwap(false, true) {
						if err := test.then(ctx, client); err != nil {
							t.Error(err)
						}
					}
				}); err != nil {
					t.Fatal(err)
				}
			}
			store, err := WaitUntilReady(ctx, client, "shops", "flowers")
			switch {
			case test.want == "" && (err != nil || store.Name != "flowers"):
				t.Errorf("got %v", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got error %v, want %q", err, test.want)
			case test.want == ErrGone.Error() && !errors.Is(err, ErrGone):
				t.Errorf("the error %v is not ErrGone", err)
			}
		})
	}
}

func TestFollow(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset()
	if _, err := Create(t.Context(), client, "shops", "flowers", "medusa"); err != nil {
		t.Fatal(err)
	}
	seen := make(chan string, 2)
	lister, err := Follow(t.Context(), client, "shops", func(s *v1alpha1.Store) { seen <- s.Name })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Create(t.Context(), client, "shops", "books", "medusa"); err != nil {
		t.Fatal(err)
	}
	if first, second := <-seen, <-seen; first != "flowers" || second != "books" {
		t.Errorf("saw %s and %s, want flowers and books", first, second)
	}
	if all, err := lister.List(labels.Everything()); err != nil || len(all) != 2 {
		t.Errorf("the lister has %d stores (error %v), want two", len(all), err)
	}
}
