package postgres

import (
	"io"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

func TestResolveFindsWhatWasCommitted(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	victim := createPod(t, f.Storage, "victim")
	b := &batchAttempt{id: 4711, after: f.db.hub.position().rev, writes: []*write{
		{kind: created, key: podKey("new"), value: []byte("v")},
		{kind: deleted, key: podKey("victim"), expect: revisionOf(t, victim)},
	}}
	sent, err := f.db.send(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	found, err := f.db.resolve(t.Context(), b, io.ErrUnexpectedEOF)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != len(sent) {
		t.Fatalf("found %d changes, want %d", len(found), len(sent))
	}
	for i := range sent {
		if found[i].key != sent[i].key || found[i].rev != sent[i].rev || string(found[i].previous) != string(sent[i].previous) {
			t.Errorf("found %+v, sent %+v", found[i], sent[i])
		}
	}
}

func TestResolveDeniesWhatWasNot(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	b := &batchAttempt{id: 4712, writes: []*write{{kind: created, key: podKey("new"), value: []byte("v")}}}
	changes, err := f.db.resolve(t.Context(), b, io.ErrUnexpectedEOF)
	if len(changes) > 0 || !apierrors.IsServiceUnavailable(err) {
		t.Errorf("changes %v, error %v; want none and a retriable error", changes, err)
	}
}

// TestResolveEndsTheSession makes sure that what was sent cannot commit after all.
func TestResolveEndsTheSession(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	conn, err := f.db.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	b := &batchAttempt{id: 4713, writes: []*write{{kind: created, key: podKey("late"), value: []byte("v")}}}
	b.session = conn.Conn().PgConn().CustomData()[sessionKey].(session)

	if _, err := f.db.resolve(t.Context(), b, io.ErrUnexpectedEOF); !apierrors.IsServiceUnavailable(err) {
		t.Fatalf("error %v, want a retriable one", err)
	}
	if _, err := f.db.sendAll(t.Context(), conn, b); err == nil {
		t.Error("the session still commits")
	}
}
