package provisioner

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What a store's worker has written or read is no news when a watch brings it, before
// or after the worker knows; what others do is.
func TestNewsIsWhatOthersDo(t *testing.T) {
	t.Parallel()
	const service, deployment = "Service", "Deployment"
	for _, tc := range []struct {
		name string
		do   func(see func(kind, version string, gone bool), seen func(kind, version string))
		// what of the namespace is news, all that rests and anything
		rest, any bool
	}{
		{"nothing", func(func(string, string, bool), func(string, string)) {}, false, false},
		{"its own write", func(see func(string, string, bool), seen func(string, string)) {
			seen(service, "11")
			see(service, "11", false)
		}, false, false},
		{"its own write, of which the watch was faster", func(see func(string, string, bool), seen func(string, string)) {
			see(service, "11", false)
			seen(service, "11")
		}, false, false},
		{"an older version than its own write", func(see func(string, string, bool), seen func(string, string)) {
			seen(service, "11")
			see(service, "9", false)
		}, false, false},
		{"a change after its own write", func(see func(string, string, bool), seen func(string, string)) {
			seen(service, "11")
			see(service, "12", false)
		}, true, true},
		{"a change that was faster than the answer to its own write", func(see func(string, string, bool), seen func(string, string)) {
			see(service, "12", false)
			seen(service, "11")
		}, true, true},
		{"the end of what it has made", func(see func(string, string, bool), seen func(string, string)) {
			seen(service, "11")
			see(service, "12", true)
		}, true, true},
		{"the end of what it has made anew", func(see func(string, string, bool), seen func(string, string)) {
			seen(service, "13")
			see(service, "12", true)
		}, false, false},
		{"what comes after an end", func(see func(string, string, bool), seen func(string, string)) {
			seen(service, "11")
			see(service, "12", true)
			seen(service, "13")
		}, false, false},
		{"what it has read", func(see func(string, string, bool), seen func(string, string)) {
			seen(deployment, "11")
			see(deployment, "11", false)
		}, false, false},
		{"the progress of a workload", func(see func(string, string, bool), seen func(string, string)) {
			seen(deployment, "11")
			see(deployment, "12", false)
		}, false, true},
		{"a Secret", func(see func(string, string, bool), seen func(string, string)) {
			seen("Secret", "11")
			see("Secret", "12", false)
		}, false, true},
		{"what a quota counts", func(see func(string, string, bool), seen func(string, string)) {
			seen("ResourceQuota", "11")
			see("ResourceQuota", "12", false)
		}, false, false},
		{"the end of a quota", func(see func(string, string, bool), seen func(string, string)) {
			seen("ResourceQuota", "11")
			see("ResourceQuota", "12", true)
		}, true, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := watching(t)
			before, all := w.lastChange(testNamespace), w.lastOfAll(testNamespace)
			tc.do(func(kind, version string, gone bool) {
				into := &changes{watches: w, kind: kindNamed(t, kind)}
				_ = into.tell(partial(version), gone)
			}, func(kind, version string) { w.seen(testNamespace, kind, "shop", version) })
			if rest := w.lastChange(testNamespace) != before; rest != tc.rest {
				t.Errorf("news of what rests: %t, want %t", rest, tc.rest)
			}
			if any := w.lastOfAll(testNamespace) != all; any != tc.any {
				t.Errorf("any news: %t, want %t", any, tc.any)
			}
		})
	}
}

// A watch that begins anew tells what was missed, and of what is as it was nothing.
func TestWatchThatBeginsAnew(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		list []any
		news bool
	}{
		{"as it was", []any{partial("11")}, false},
		{"changed", []any{partial("12")}, true},
		{"gone", nil, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := watching(t)
			into := &changes{watches: w, kind: kindNamed(t, "Service")}
			_ = into.Replace([]any{partial("11")}, "11")
			before := w.lastChange(testNamespace)
			_ = into.Replace(tc.list, "20")
			if news := w.lastChange(testNamespace) != before; news != tc.news {
				t.Errorf("news: %t, want %t", news, tc.news)
			}
		})
	}
}

func kindNamed(t *testing.T, name string) *watchedKind {
	t.Helper()
	i := slices.IndexFunc(watched, func(k watchedKind) bool { return k.kind == name })
	if i < 0 {
		t.Fatalf("kind %s is not watched", name)
	}
	return &watched[i]
}

func partial(version string) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: "shop", ResourceVersion: version}}
}

// Helm writes its revisions all the time; that one is gone is news.
func TestOnlyTheEndOfARevisionIsNews(t *testing.T) {
	t.Parallel()
	w := watching(t)
	into := &changes{watches: w, kind: kindNamed(t, "Secret")}
	revision := func(version string) *metav1.PartialObjectMetadata {
		object := partial(version)
		object.Name = "sh.helm.release.v1.shop.v1"
		return object
	}
	before := w.lastOfAll(testNamespace)
	_ = into.tell(revision("11"), false)
	_ = into.tell(revision("12"), false)
	if w.lastOfAll(testNamespace) != before {
		t.Error("a revision that is written is news")
	}
	if _ = into.tell(revision("13"), true); w.lastOfAll(testNamespace) == before {
		t.Error("a revision that is gone is no news")
	}
}
