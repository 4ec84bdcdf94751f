// Package fuzzer fills the platform's types at random for round-trip tests.
package fuzzer

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/randfill"

	"platform.dev/stores/pkg/apis/platform"
)

// Funcs fills what plain randomness gets wrong: a field with a default is never
// empty after decoding, and free-form values are JSON objects.
func Funcs(serializer.CodecFactory) []any {
	return []any{
		func(s *platform.StoreSpec, c randfill.Continue) {
			c.FillNoCustom(s)
			if s.PowerState == "" {
				s.PowerState = platform.PowerStateRunning
			}
			if s.DeletionPolicy == "" {
				s.DeletionPolicy = platform.DeletionPolicyDelete
			}
		},
		func(s *platform.StoreRollbackSpec, c randfill.Continue) {
			c.FillNoCustom(s)
			if s.Data == "" {
				s.Data = platform.RollbackDataKeep
			}
		},
		func(r *platform.RandomValue, c randfill.Continue) {
			c.FillNoCustom(r)
			if r.Format == "" {
				r.Format = platform.RandomAlphanumeric
			}
		},
		func(s *platform.StorefrontCheck, c randfill.Continue) {
			c.FillNoCustom(s)
			if s.Status == 0 {
				s.Status = 200
			}
		},
		func(r *runtime.RawExtension, c randfill.Continue) {
			r.Raw = []byte(`{"a":{"b":` + []string{"1", `"x"`, "[true,null]"}[c.Intn(3)] + `}}`)
		},
	}
}
