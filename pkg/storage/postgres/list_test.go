package postgres

import (
	"fmt"
	"testing"

	"k8s.io/apiserver/pkg/storage"
)

// Pages say how many objects remain unless those are too many to count, and go on all
// the same: at the latest revision, and at the one that the first page has pinned.
func TestRemainingItemCount(t *testing.T) {
	const limit, large = 10, maxPage + 5 // the latter takes two pages of the storage
	for _, test := range []struct {
		name       string
		objects    int64
		limit      int64
		wantFirst  string
		wantSecond string
	}{
		{"few", 25, limit, "15", "5"},
		{"as many as are counted", maxCount, limit, fmt.Sprint(maxCount - limit), fmt.Sprint(maxCount - 2*limit)},
		{"one more, counted once it is passed", maxCount + 1, limit, "unknown", fmt.Sprint(maxCount + 1 - 2*limit)},
		{"many", 2 * maxCount, limit, "unknown", "unknown"},
		{"few after large pages", 2*large + 7, large, "unknown", "7"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			pod := createPod(t, f, "0")
			// More keys of the same value.
			if _, err := f.db.pool.Exec(t.Context(), `insert into head (key, mod, crt)
				select '/pods/ns/' || n, $1, $1 from generate_series(1, $2) n`, revisionOf(t, pod), test.objects-1); err != nil {
				t.Fatal(err)
			}
			opts := storage.ListOptions{Predicate: storage.Everything}
			opts.Predicate.Limit = test.limit
			for _, want := range []string{test.wantFirst, test.wantSecond} {
				page := listPods(t, f, opts)
				got := "unknown"
				if n := page.RemainingItemCount; n != nil {
					got = fmt.Sprint(*n)
				}
				if int64(len(page.Items)) != test.limit || got != want || page.Continue == "" {
					t.Errorf("%d objects, %s remain, continues at %q; want %d, %s and a token", len(page.Items), got, page.Continue, test.limit, want)
				}
				opts.Predicate.Continue = page.Continue
			}
		})
	}
}
