package postgres

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func changesAt(revisions ...int64) []*change {
	var changes []*change
	for _, rev := range revisions {
		changes = append(changes, &change{rev: rev, key: "k"})
	}
	return changes
}

func revisions(changes []*change) []int64 {
	var revs []int64
	for _, c := range changes {
		revs = append(revs, c.rev)
	}
	return revs
}

func TestHubOrdersChanges(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		published [][]int64
		want      []int64
		signalled bool
		lagging   bool
	}{
		"in order":       {published: [][]int64{{11, 12}, {13}}, want: []int64{11, 12, 13}},
		"reversed":       {published: [][]int64{{13}, {11, 12}}, want: []int64{11, 12, 13}, signalled: true},
		"gap":            {published: [][]int64{{11}, {13, 14}}, want: []int64{11}, signalled: true, lagging: true},
		"twice":          {published: [][]int64{{11, 12}, {11, 12, 13}, {12}}, want: []int64{11, 12, 13}},
		"already known":  {published: [][]int64{{9, 10}}},
		"overlapping":    {published: [][]int64{{12}, {11, 12, 13}}, want: []int64{11, 12, 13}, signalled: true},
		"nothing at all": {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHub(position{rev: 10, compact: 1})
			for _, revs := range test.published {
				h.publish(changesAt(revs...))
			}
			if diff := cmp.Diff(test.want, revisions(h.after(10).changes)); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
			if got := len(h.lagging) > 0; got != test.signalled {
				t.Errorf("signals that it lags: %v, want %v", got, test.signalled)
			}
			if got := h.lags(); got != test.lagging {
				t.Errorf("asks for the log: %v, want %v", got, test.lagging)
			}
		})
	}
}

// TestHubAsksOnceForWhatItIsTold: a notification has the log read without a gap to show.
func TestHubAsksOnceForWhatItIsTold(t *testing.T) {
	t.Parallel()
	h := newHub(position{rev: 10})
	for name, tell := range map[string]func(){"poke": h.poke, "expect": func() { h.expect(11) }} {
		tell()
		if first, second := h.lags(), h.lags(); !first || second {
			t.Errorf("%s: asks for the log %v and again %v, want once", name, first, second)
		}
	}
}

func TestHubForgetsTheOldest(t *testing.T) {
	t.Parallel()
	h := newHub(position{rev: 0})
	for rev := int64(1); rev <= hubChanges+5; rev++ {
		h.publish(changesAt(rev))
	}
	if !h.after(4).behind {
		t.Error("a watch at a forgotten revision is not told so")
	}
	if v := h.after(5); v.behind || len(v.changes) != hubChanges {
		t.Errorf("behind %v with %d changes, want %d", v.behind, len(v.changes), hubChanges)
	}

	h.publish([]*change{{rev: hubChanges + 6, value: make([]byte, hubBytes)}})
	if v := h.after(hubChanges + 5); v.behind || len(v.changes) != 1 {
		t.Errorf("the latest change is gone because it is large")
	}
	if !h.after(hubChanges + 4).behind {
		t.Error("changes beyond the size limit are kept")
	}
}

func TestHubViewSurvivesForgetting(t *testing.T) {
	t.Parallel()
	h := newHub(position{rev: 0})
	h.publish(changesAt(1, 2, 3))
	v := h.after(0)
	for rev := int64(4); rev <= 2*hubChanges; rev++ {
		h.publish(changesAt(rev))
	}
	if diff := cmp.Diff([]int64{1, 2, 3}, revisions(v.changes)); diff != "" {
		t.Errorf("view changed (-want +got):\n%s", diff)
	}
}

func TestHubAheadOfItself(t *testing.T) {
	t.Parallel()
	h := newHub(position{rev: 10})
	if v := h.after(12); v.behind || len(v.changes) > 0 {
		t.Errorf("a watch from the future sees %v", revisions(v.changes))
	}
	h.publish(changesAt(11, 12, 13))
	if diff := cmp.Diff([]int64{13}, revisions(h.after(12).changes)); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

// TestHubKeepsLittleDecoded: only the latest changes keep what they decode to, also if it
// is a slow watch that asks for an earlier one.
func TestHubKeepsLittleDecoded(t *testing.T) {
	t.Parallel()
	h, s := newHub(position{rev: 0}), &Storage{}
	for rev := int64(1); rev <= decodedChanges+1; rev++ {
		h.publish(changesAt(rev))
	}
	for rev, want := range map[int64]bool{1: false, 2: true, decodedChanges + 1: true} {
		c := h.find(rev)
		for name, m := range map[string]*memo{"value": &c.current, "previous value": &c.before} {
			if m.of(s, []byte("data")) == nil {
				t.Fatalf("revision %d: the %s cannot be decoded", rev, name)
			}
			if got := m.get() != nil; got != want {
				t.Errorf("revision %d keeps its decoded %s: %v, want %v", rev, name, got, want)
			}
			m.set(s.newObject(nil))
			if got := m.get() != nil; got != want {
				t.Errorf("revision %d takes a decoded %s: %v, want %v", rev, name, got, want)
			}
		}
	}
}
