package crash

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

// life is one store from its creation to its end, as its user knows it. Its user is
// the only one who asks for anything.
type life struct {
	Namespace, Name string
	UID             types.UID
	// Shop is the namespace that the store gets.
	Shop string
	// Spec is what was acknowledged last.
	Spec v1alpha1.StoreSpec
	// Titles are all display names that were acknowledged, in their order.
	Titles []string
	// Deleted says that the deletion was acknowledged, Gone that the store is no more.
	Deleted, Gone bool
}

func (l *life) String() string { return fmt.Sprintf("%s/%s %s", l.Namespace, l.Name, l.UID) }

// write is one that the kube-apiserver did for a provisioner.
type write struct {
	By, Namespace, Verb, Resource, Name string
	Began, Ended                        time.Time
}

func (w *write) String() string {
	return fmt.Sprintf("%s %s %s/%s %s by %s, %s to %s", w.Verb, w.Resource, w.Namespace, w.Name, "", w.By,
		w.Began.Format(time.StampMicro), w.Ended.Format(time.StampMicro))
}

// pause is when a replica was stopped for longer than its lease lasts.
type pause struct {
	By        string
	Continued time.Time
}

// revision is what was seen of one revision of a release.
type revision struct {
	// Content identifies the chart and the values.
	Content string
	// Deployed says that its action was seen to have succeeded.
	Deployed bool
	// Status is what was seen last.
	Status string
}
