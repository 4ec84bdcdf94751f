package provisioner

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// FuzzStream has a watch send the input at once and in pieces, which must not make a
// difference to what is known of the namespace, where the watch goes on, or its error.
func FuzzStream(f *testing.F) {
	for _, seed := range []string{
		event("ADDED", "shop", "11") + initialEnd("12") + event("MODIFIED", "shop", "14") + event("DELETED", "shop", "15"),
		initialEnd("12") + event("BOOKMARK", "", "20"),
		event("ADDED", "shop", "11"), // and the end
		`{"type":"ERROR","object":{"code":410,"reason":"Expired","message":"too old"}}` + "\n",
		initialEnd("12") + "\n\n",
		`{"type":"ADDED","object":{"metadata":null}}` + "\n" + `{"type":"ADDED","object":[]}`,
		`{"type":"MODIFIED","object":{"metadata":{"name":"shop","resourceVersion":"99999999999999999999"}}}` + "\n{",
	} {
		for _, size := range []uint8{1, 7, 200} {
			f.Add([]byte(seed), "", size)
			f.Add([]byte(seed), "10", size)
		}
	}
	kind := &watched[slices.IndexFunc(watched, func(k watchedKind) bool { return k.kind == "ConfigMap" })]
	f.Fuzz(func(t *testing.T, sent []byte, version string, size uint8) {
		watch := func(pieces func([]byte) [][]byte) string {
			w := &watches{namespaces: map[string]*watchedNamespace{testNamespace: newWatchedNamespace(0)}, wake: func(string) {}}
			var ended error
			s := &stream{into: &changes{watches: w, kind: kind, namespace: testNamespace}, version: version, ended: func(err error) { ended = err }}
			var err error
			for _, p := range pieces(sent) {
				if _, err = s.Write(slices.Clone(p)); err != nil {
					break
				}
			}
			s.End(err)
			outcome := fmt.Sprintf("goes on at %q, error %v", s.version, ended)
			var known []string
			for ref, k := range w.namespaces[testNamespace].known {
				known = append(known, fmt.Sprintf("%v is %q, gone %t", ref, k.version, k.gone))
			}
			slices.Sort(known)
			return strings.Join(append(known, outcome), "\n")
		}
		whole := watch(func(b []byte) [][]byte { return [][]byte{b} })
		apart := watch(func(b []byte) [][]byte { return slices.Collect(slices.Chunk(b, int(size)+1)) })
		if whole != apart {
			t.Errorf("at once it %s\nand in pieces of %d it %s", whole, int(size)+1, apart)
		}
	})
}
