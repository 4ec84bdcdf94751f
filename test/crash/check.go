package crash

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/provisioner"
	"platform.dev/stores/test/internal/violations"
)

// records are all that is known of a run that has come to rest.
type records struct {
	found     *violations.Log
	lives     []*life
	writes    []*write
	pauses    []pause
	revisions map[string]map[int]revision

	stores     []v1alpha1.Store
	namespaces map[string]map[string]string // labels of those that carry a store's UID
	claims     []string                     // namespaces of PersistentVolumeClaims
	volumes    []string                     // namespaces whose claims PersistentVolumes are bound to
	releases   []string                     // namespaces of stored revisions
	titles     map[string]string            // what shops show, by namespace
	histories  map[types.UID][]string       // display names that our server's history tells of, in their order
}

// check finds all violations in the records.
func (r *records) check() {
	r.checkStores()
	r.checkOrphans()
	r.checkReleases()
	r.checkWriters()
}

// checkStores requires that every acknowledged write is in what there is, in what
// runs and in the history, and that nothing else is.
func (r *records) checkStores() {
	lives := map[types.UID]*life{}
	for _, l := range r.lives {
		lives[l.UID] = l
	}
	there := map[types.UID]bool{}
	for i := range r.stores {
		store := &r.stores[i]
		there[store.UID] = true
		l := lives[store.UID]
		if l == nil {
			r.found.Add("store nobody made", "%s/%s %s", store.Namespace, store.Name, store.UID)
			continue
		}
		l.check(store, r.found)
		if got := r.titles[l.Shop]; got != l.Spec.DisplayName && l.Spec.Version != "broken" {
			r.found.Add("write lost", "%s: the shop shows %q, want %q", l, got, l.Spec.DisplayName)
		}
		if got := r.histories[store.UID]; !slices.Equal(got, l.Titles) {
			r.found.Add("history differs", "%s: our server tells of %q, its user of %q", l, got, l.Titles)
		}
	}
	for _, l := range r.lives {
		if !l.Deleted && !there[l.UID] {
			r.found.Add("store lost", "%s, which nobody has deleted", l)
		}
	}
}

// checkOrphans requires that everything belongs to a store that is there, or was to
// outlive its store.
func (r *records) checkOrphans() {
	live, retained := map[string]types.UID{}, map[string]types.UID{}
	for _, l := range r.lives {
		switch {
		case !l.Deleted:
			live[l.Shop] = l.UID
		case l.Spec.DeletionPolicy == v1alpha1.DeletionPolicyRetain:
			retained[l.Shop] = l.UID
		}
	}
	for name, labels := range r.namespaces {
		uid, kept := labels[provisioner.LabelStoreUID], labels[provisioner.LabelRetained] == "true"
		switch {
		case string(live[name]) == uid && !kept:
		case string(retained[name]) == uid && kept:
		default:
			r.found.Add("orphaned namespace", "%s of store %s, kept: %v", name, uid, kept)
		}
	}
	for what, namespaces := range map[string][]string{"orphaned claim": r.claims, "orphaned volume": r.volumes} {
		for _, name := range namespaces {
			if live[name] == "" && retained[name] == "" {
				r.found.Add(what, "in namespace %s", name)
			}
		}
	}
	for _, name := range r.releases {
		if live[name] == "" {
			r.found.Add("orphaned release", "in namespace %s", name)
		}
	}
	for name := range live {
		if r.namespaces[name] == nil {
			r.found.Add("namespace lost", "%s", name)
		}
	}
}

// checkReleases requires that no release was installed twice, and that nothing was
// installed again that had been installed with success.
func (r *records) checkReleases() {
	installs := map[string]int{}
	for _, w := range r.writes {
		if w.Verb == "create" && w.Resource == "secrets" && strings.HasPrefix(w.Name, "sh.helm.release") && strings.HasSuffix(w.Name, ".v1") {
			installs[w.Namespace]++
		}
	}
	for namespace, count := range installs {
		if count > 1 {
			r.found.Add("installed twice", "namespace %s has seen %d first revisions", namespace, count)
		}
	}
	for namespace, revisions := range r.revisions {
		for number, revision := range revisions {
			if before, ok := revisions[number-1]; ok && before.Deployed && before.Content == revision.Content {
				r.found.Add("installed twice", "namespace %s: revision %d (%s) is what revision %d was already", namespace, number, revision.Status, number-1)
			}
		}
	}
	for _, l := range r.lives {
		revisions := r.revisions[l.Shop]
		if len(revisions) == 0 || l.Deleted {
			continue
		}
		newest := slices.Max(slices.Collect(maps.Keys(revisions)))
		if status := revisions[newest].Status; status != "deployed" {
			r.found.Add("release not deployed", "%s: revision %d is %s", l, newest, status)
		}
	}
}

// checkWriters requires that no two replicas wrote for a store at the same time, and
// that one which was stopped past its lease wrote nothing any more.
func (r *records) checkWriters() {
	shops := map[string][]*write{}
	for _, w := range r.writes {
		shops[w.Namespace] = append(shops[w.Namespace], w)
	}
	for _, writes := range shops {
		slices.SortFunc(writes, func(a, b *write) int { return a.Began.Compare(b.Began) })
		last := writes[0] // to end
		for _, w := range writes[1:] {
			if w.By != last.By && w.Began.Before(last.Ended) {
				r.found.Add("two at once", "%v; %v", last, w)
			}
			last = slices.MaxFunc([]*write{last, w}, func(a, b *write) int { return a.Ended.Compare(b.Ended) })
		}
	}
	continued := map[string]pause{}
	for _, p := range r.pauses {
		continued[p.By] = p
	}
	for _, w := range r.writes {
		if p, ok := continued[w.By]; ok && w.Began.After(p.Continued) {
			r.found.Add("write after the lease", "%v, continued at %s", w, p.Continued.Format("15:04:05.000000"))
		}
	}
}

// by sorts names by how often each is counted, the least first.
func by[N cmp.Ordered](count map[string]N) []string {
	return slices.SortedFunc(maps.Keys(count), func(a, b string) int { return cmp.Or(cmp.Compare(count[a], count[b]), cmp.Compare(a, b)) })
}
