package codec_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apiserver/pkg/apis/example"
	examplev1 "k8s.io/apiserver/pkg/apis/example/v1"

	"platform.dev/stores/pkg/storage/codec"
)

var scheme = func() *runtime.Scheme {
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, metav1.SchemeGroupVersion)
	utilruntime.Must(example.AddToScheme(scheme))
	utilruntime.Must(examplev1.AddToScheme(scheme))
	return scheme
}()

var (
	ours   = codec.JSON(scheme, examplev1.SchemeGroupVersion)
	legacy = serializer.NewCodecFactory(scheme).LegacyCodec(examplev1.SchemeGroupVersion)
)

func TestWritesWhatTheLegacyCodecWrites(t *testing.T) {
	t.Parallel()
	pod := newPod(100)
	want, err := runtime.Encode(legacy, pod)
	if err != nil {
		t.Fatal(err)
	}
	got, err := runtime.Encode(ours, pod)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Error(diff)
	}
}

// Whatever was stored reads as it does by the legacy codec, errors included.
func TestReadsLikeTheLegacyCodec(t *testing.T) {
	t.Parallel()
	const rest = `,"metadata":{"name":"a"}}`
	for _, c := range []struct{ name, data string }{
		{"as written", `{"kind":"Pod","apiVersion":"example.apiserver.k8s.io/v1"` + rest},
		{"nothing else", `{"kind":"Pod","apiVersion":"example.apiserver.k8s.io/v1"}`},
		{"version first", `{"apiVersion":"example.apiserver.k8s.io/v1","kind":"Pod"` + rest},
		{"something between", `{"kind":"Pod","metadata":{"name":"a"},"apiVersion":"example.apiserver.k8s.io/v1"}`},
		{"indented", "{\n  \"kind\": \"Pod\",\n  \"apiVersion\": \"example.apiserver.k8s.io/v1\"" + rest},
		{"escapes", `{"kind":"\u0050od","apiVersion":"example.apiserver.k8s.io\/v1"` + rest},
		{"escaped quote", `{"kind":"Pod\"","apiVersion":"example.apiserver.k8s.io/v1"` + rest},
		{"no kind", `{"apiVersion":"example.apiserver.k8s.io/v1"` + rest},
		{"no version", `{"kind":"Pod"` + rest},
		{"empty kind", `{"kind":"","apiVersion":"example.apiserver.k8s.io/v1"` + rest},
		{"empty version", `{"kind":"Pod","apiVersion":""` + rest},
		{"unknown kind", `{"kind":"Cod","apiVersion":"example.apiserver.k8s.io/v1"` + rest},
		{"unknown version", `{"kind":"Pod","apiVersion":"example.apiserver.k8s.io/v2"` + rest},
		{"version of too many parts", `{"kind":"Pod","apiVersion":"a/b/c"` + rest},
		{"cut off in the kind", `{"kind":"Po`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			want, wantErr := runtime.Decode(legacy, []byte(c.data))
			got, err := runtime.Decode(ours, []byte(c.data))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(message(wantErr), message(err)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDamageIsAnError(t *testing.T) {
	t.Parallel()
	data, err := runtime.Encode(ours, newPod(100))
	if err != nil {
		t.Fatal(err)
	}
	for _, cut := range []int{0, len(data) / 2, len(data) - 2} {
		if obj, err := runtime.Decode(ours, data[:cut]); err == nil {
			t.Errorf("the first %d of %d bytes read as %v", cut, len(data), obj)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	data, err := runtime.Encode(ours, newPod(1500))
	if err != nil {
		b.Fatal(err)
	}
	for name, codec := range map[string]runtime.Codec{"ours": ours, "legacy": legacy} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if _, err := runtime.Decode(codec, data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func newPod(size int) *example.Pod {
	return &example.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:        "pod",
			Namespace:   "bench",
			Labels:      map[string]string{"app": "shop", "tier": "front"},
			Annotations: map[string]string{"padding": strings.Repeat("x", size)},
		},
		Spec: example.PodSpec{NodeName: "node", ServiceAccountName: "shop"},
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
