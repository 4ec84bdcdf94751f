package integration

import (
	"testing"
)

func TestSmoke(t *testing.T) {
	ns := newNamespace(t)
	e := newEngine(t)
	s := create(t, ns, newStore("a", e))
	t.Logf("%+v", s)
}
