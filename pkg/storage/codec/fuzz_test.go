package codec_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"

	"platform.dev/stores/pkg/apis/platform/install"
	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/storage/codec"
)

// Whatever stands in the database is read as the library's codec reads it. What is read
// can be written, and then comes back as it is, byte by byte: what does not change is not
// written again.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"kind":"Store","apiVersion":"platform.dev/v1alpha1","metadata":{"name":"a","creationTimestamp":"2026-01-01T00:00:00Z"},"spec":{"engine":"medusa","values":{ "a" : 1 }}}`,
		`{"kind":"Engine","apiVersion":"platform.dev/v1alpha1","spec":{"plans":[{"quota":{"cpu":"1000m"}}],"rollout":{"waves":[1,"10%"]}}}`,
		`{"kind":"StoreQuota","apiVersion":"platform.dev/v1alpha1","spec":{"hard":{"stores":0}}}`,
		`{"apiVersion":"platform.dev/v1alpha1","kind":"Store"}`,
		`{"kind":"St\u006fre","apiVersion":"platform.dev/v1alpha1"}`,
		`{"kind":"Store","apiVersion":"a/b/c"}`,
		`{"kind":"Store","apiVersion":"`,
		`{"kind":"`,
		"{\"kind\":\"Store\",\"apiVersion\":\"platform.dev/v1alpha1\",\"spec\":{\"displayName\":\"\xff\u2028<\"}}",
	} {
		f.Add([]byte(seed))
	}
	scheme := runtime.NewScheme()
	install.Install(scheme)
	ours := codec.JSON(scheme, v1alpha1.SchemeGroupVersion)
	library := serializer.NewCodecFactory(scheme).LegacyCodec(v1alpha1.SchemeGroupVersion)
	f.Fuzz(func(t *testing.T, data []byte) {
		obj, err := runtime.Decode(ours, data)
		if err != nil {
			return
		}
		want, err := runtime.Decode(library, data)
		if err != nil {
			t.Fatalf("the library does not read it: %v", err)
		}
		if !apiequality.Semantic.DeepEqual(want, obj) {
			t.Errorf("read otherwise than by the library (-library +ours):\n%s", cmp.Diff(want, obj))
		}
		once, err := runtime.Encode(ours, obj)
		if err != nil {
			return // such as free-form values that are no JSON
		}
		if obj, err = runtime.Decode(ours, once); err != nil {
			t.Fatalf("reading what was written: %v", err)
		}
		twice, err := runtime.Encode(ours, obj)
		if err != nil {
			t.Fatalf("writing what was read: %v", err)
		}
		if diff := cmp.Diff(string(once), string(twice)); diff != "" {
			t.Errorf("written otherwise the second time:\n%s", diff)
		}
	})
}
