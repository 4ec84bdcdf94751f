package install

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/apitesting/roundtrip"

	"platform.dev/stores/pkg/apis/platform/fuzzer"
)

// A field that the hub types lack is lost here, and the test names it.
func TestRoundTripTypes(t *testing.T) {
	roundtrip.RoundTripTestForAPIGroup(t, Install, fuzzer.Funcs)
}
