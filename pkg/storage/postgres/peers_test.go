package postgres

import "testing"

// TestJoinIsNotSwallowed: a replica that listens anew says so, whatever else it was
// about to say.
func TestJoinIsNotSwallowed(t *testing.T) {
	t.Parallel()
	p := newPeers("us")
	if got := p.notice(); got != hereNotice {
		t.Errorf("at an interval it says %q, want %q", got, hereNotice)
	}
	if !p.hear(joinNotice + "other") {
		t.Fatal("did not hear the other")
	}
	p.join() // while the answer is still to be sent
	<-p.call
	if got := p.notice(); got != joinNotice {
		t.Errorf("it says %q, want %q", got, joinNotice)
	}
	if got := p.notice(); got != hereNotice {
		t.Errorf("after joining it says %q, want %q", got, hereNotice)
	}
	if p.hear(p.origin) || p.hear(joinNotice+p.origin) || len(p.call) > 0 {
		t.Error("it answers itself")
	}
}
