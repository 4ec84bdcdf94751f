package platform

import (
	"encoding/json"

	"k8s.io/apimachinery/pkg/runtime"
)

// Canonicalize writes the free-form values as they are written when the store is
// encoded, so that the same values are equal before and after.
func (s *StoreSpec) Canonicalize() {
	canonicalize(s.Values)
}

// Canonicalize writes the free-form values as they are written when the engine is
// encoded, so that the same values are equal before and after.
func (s *EngineSpec) Canonicalize() {
	canonicalize(s.Values)
	canonicalize(s.ValuesSchema)
	for i := range s.Versions {
		canonicalize(s.Versions[i].Values)
	}
	for i := range s.Plans {
		canonicalize(s.Plans[i].Values)
	}
}

// canonicalize leaves out white space and escapes what HTML would misread. What is not
// JSON stays, for validation to refuse.
func canonicalize(values *runtime.RawExtension) {
	if values == nil || values.Raw == nil {
		return
	}
	if encoded, err := json.Marshal(values); err == nil {
		values.Raw = encoded
	}
}
