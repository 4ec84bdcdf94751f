package install

import (
	"math/rand"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	"k8s.io/apimachinery/pkg/api/apitesting/roundtrip"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/randfill"

	"platform.dev/stores/pkg/apis/platform"
	platformfuzzer "platform.dev/stores/pkg/apis/platform/fuzzer"
	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/storage/codec"
)

// A field that the hub types lack is lost here, and the test names it.
func TestRoundTripTypes(t *testing.T) {
	roundtrip.RoundTripTestForAPIGroup(t, Install, platformfuzzer.Funcs)
}

// Values of which one is not canonicalized come back otherwise, and the test names it.
func TestCanonicalRoundTrip(t *testing.T) {
	t.Parallel()
	scheme := runtime.NewScheme()
	Install(scheme)
	codecs := serializer.NewCodecFactory(scheme)
	stored := codec.JSON(scheme, v1alpha1.SchemeGroupVersion)
	random := fuzzer.FuzzerFor(fuzzer.MergeFuzzerFuncs(metafuzzer.Funcs, platformfuzzer.Funcs, freeForm), rand.NewSource(1), codecs)
	for range 50 {
		store, engine := &platform.Store{}, &platform.Engine{}
		random.Fill(store)
		random.Fill(engine)
		store.Spec.Canonicalize()
		engine.Spec.Canonicalize()
		for _, obj := range []runtime.Object{store, engine} {
			data, err := runtime.Encode(stored, obj)
			if err != nil {
				t.Fatal(err)
			}
			got, err := runtime.Decode(stored, data)
			if err != nil {
				t.Fatal(err)
			}
			if !apiequality.Semantic.DeepEqual(obj, got) {
				t.Fatalf("%T comes back otherwise (-want +got):\n%s", obj, cmp.Diff(obj, got))
			}
		}
	}
}

// freeForm makes values as clients of all languages write them.
func freeForm(serializer.CodecFactory) []any {
	return []any{
		func(r *runtime.RawExtension, c randfill.Continue) {
			r.Raw = []byte([]string{`{"a": "b"}`, "{\n  \"a\" : [ 1, true ]\n}", `{"a":"<b>& "}`}[c.Intn(3)])
		},
	}
}
