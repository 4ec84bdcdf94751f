package postgres

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
)

func TestLargeValues(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for name, test := range map[string]struct {
		size  int
		fails bool
	}{
		"one page":        {size: 8 << 10},
		"one megabyte":    {size: 1 << 20},
		"above the limit": {size: maxValueBytes, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pod := newPod(strings.ReplaceAll(name, " ", "-"))
			pod.Annotations = map[string]string{"large": strings.Repeat("x", test.size)}
			err := f.Create(t.Context(), podKey(pod.Name), pod, nil, 0)
			if test.fails {
				if !apierrors.IsRequestEntityTooLargeError(err) {
					t.Fatalf("error %v, want too large", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := len(getPod(t, f.Storage, pod.Name).Annotations["large"]); got != test.size {
				t.Errorf("read back %d bytes, want %d", got, test.size)
			}
		})
	}
}

func TestKeysThatCannotBeStored(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for name, key := range map[string]string{
		"too long":      podKey(strings.Repeat("k", maxKeyBytes)),
		"null byte":     podKey("a\x00b"),
		"invalid UTF-8": podKey("a\xffb"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := f.Create(t.Context(), key, newPod("x"), nil, 0); err == nil {
				t.Error("created")
			}
			if err := f.Get(t.Context(), key, storage.GetOptions{}, &example.Pod{}); err == nil {
				t.Error("found")
			}
		})
	}
}

// TestUnusualKeys are legal but may trip collations and patterns.
func TestUnusualKeys(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	names := []string{"B", "_", "a%b", "a'b", `a\b`, "a_b", "ä", "日本"} // in byte order
	for i := len(names) - 1; i >= 0; i-- {
		createPod(t, f.Storage, names[i])
	}
	list := listPods(t, f.Storage, storage.ListOptions{})
	var got []string
	for i := range list.Items {
		got = append(got, list.Items[i].Name)
	}
	if strings.Join(got, " ") != strings.Join(names, " ") {
		t.Errorf("listed %q, want %q", got, names)
	}
}

func TestCanceledRequests(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	createPod(t, f.Storage, "pod")
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	expired, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	calls := map[string]func(context.Context) error{
		"create": func(ctx context.Context) error { return f.Create(ctx, podKey("new"), newPod("new"), nil, 0) },
		"get": func(ctx context.Context) error {
			return f.Get(ctx, podKey("pod"), storage.GetOptions{}, &example.Pod{})
		},
		"list": func(ctx context.Context) error {
			return f.GetList(ctx, "/pods", storage.ListOptions{Recursive: true, Predicate: storage.Everything}, &example.PodList{})
		},
		"update": func(ctx context.Context) error {
			_, err := increment(ctx, f.Storage, "pod")
			return err
		},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := call(canceled); !errors.Is(err, context.Canceled) {
				t.Errorf("canceled: error %v", err)
			}
			if err := call(expired); !storage.IsRequestTimeout(err) {
				t.Errorf("expired: error %v, want a timeout", err)
			}
		})
	}
}

func TestUpdateKeepsExpiry(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	if err := f.Create(t.Context(), podKey("mortal"), newPod("mortal"), nil, 1000); err != nil {
		t.Fatal(err)
	}
	if _, err := increment(t.Context(), f.Storage, "mortal"); err != nil {
		t.Fatal(err)
	}
	remaining := func() float64 {
		var seconds *float64
		err := f.db.pool.QueryRow(t.Context(),
			"select extract(epoch from expires_at - now())::float8 from head where key = $1", podKey("mortal")).Scan(&seconds)
		if err != nil {
			t.Fatal(err)
		}
		if seconds == nil {
			return 0
		}
		return *seconds
	}
	if got := remaining(); got < 900 || got > 1000 {
		t.Errorf("expires in %v seconds after an update, want 1000", got)
	}
	forever := uint64(0)
	err := f.GuaranteedUpdate(t.Context(), podKey("mortal"), &example.Pod{}, false, nil,
		func(obj runtime.Object, _ storage.ResponseMeta) (runtime.Object, *uint64, error) {
			obj.(*example.Pod).Labels = map[string]string{"immortal": "true"}
			return obj, &forever, nil
		}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := remaining(); got != 0 {
		t.Errorf("expires in %v seconds, want never", got)
	}
}
