package postgres

import (
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
)

// TestServerChanged makes the schema look like one that another server had written, as
// after a restore or the promotion of a standby. The statement is that of ADR 13.
func TestServerChanged(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	before := createPod(t, f.Storage, "pod")
	w := watchPods(t, f.Storage, before.ResourceVersion)
	if _, err := f.db.pool.Exec(t.Context(), "update meta set timeline = -1"); err != nil {
		t.Fatal(err)
	}

	second := newFixtureAt(t, f.dsn) // opens new sessions

	after := createPod(t, second.Storage, "later")
	if got, least := revisionOf(t, after), revisionOf(t, before)+1<<24; got < least {
		t.Errorf("revision %d after the change, want at least %d: lost revisions could come again", got, least)
	}
	if got := getPod(t, second.Storage, "pod").ResourceVersion; got != before.ResourceVersion {
		t.Errorf("resource version %s of an unchanged object, want %s", got, before.ResourceVersion)
	}
	event := nextEvent(t, w)
	if status, ok := event.Object.(*metav1.Status); !ok || event.Type != watch.Error || status.Reason != metav1.StatusReasonExpired {
		t.Errorf("a watch across the change got %s %v, want to be expired", event.Type, event.Object)
	}
	err := second.GetList(t.Context(), "/pods", storage.ListOptions{
		Recursive: true, Predicate: storage.Everything,
		ResourceVersion: before.ResourceVersion, ResourceVersionMatch: metav1.ResourceVersionMatchExact,
	}, &example.PodList{})
	if !apierrors.IsResourceExpired(err) {
		t.Errorf("list at a revision before the change: error %v, want expired", err)
	}
	if got := len(listPods(t, second.Storage, storage.ListOptions{}).Items); got != 2 {
		t.Errorf("listed %d objects, want 2", got)
	}
}

// TestCounterPassesLastPartition writes where no partition of the log is ready.
func TestCounterPassesLastPartition(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	createPod(t, f.Storage, "before")
	if _, err := f.db.pool.Exec(t.Context(), "update meta set rev = 7500000"); err != nil {
		t.Fatal(err)
	}
	if got := revisionOf(t, createPod(t, f.Storage, "after")); got != 7500001 {
		t.Errorf("revision %d, want 7500001", got)
	}
	getPod(t, f.Storage, "before")
}
