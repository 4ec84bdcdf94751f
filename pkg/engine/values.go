package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/json"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

// ErrValues is wrapped by every error about values that cannot be put
// together. Retrying does not help: the store or the engine has to change.
var ErrValues = errors.New("invalid values")

// Values are the chart values of s: the engine's, over them its version's, its
// plan's and the store's own, and over all of them what the engine's mappings
// set. Objects merge key by key; everything else, lists too, is replaced
// whole. The result shares nothing with e or s, and holds no secret.
//
// Errors are *NotOfferedError, or wrap ErrValues.
func Values(e *v1alpha1.Engine, s *v1alpha1.Store, p Platform) (map[string]any, error) {
	version, err := Version(e, s.Spec.Version)
	if err != nil {
		return nil, err
	}
	plan, err := Plan(e, s.Spec.Plan)
	if err != nil {
		return nil, err
	}
	if s.Spec.Values != nil && len(s.Spec.Values.Raw) > 0 && e.Spec.ValuesSchema == nil {
		return nil, fmt.Errorf("%w: spec.values: engine %q takes no values", ErrValues, e.Name)
	}

	values := map[string]any{}
	for _, layer := range []struct {
		name string
		raw  *runtime.RawExtension
	}{
		{"the engine's spec.values", e.Spec.Values},
		{fmt.Sprintf("the values of version %q", version.Name), version.Values},
		{fmt.Sprintf("the values of plan %q", plan.Name), plan.Values},
		{"the store's spec.values", s.Spec.Values},
	} {
		decoded, err := decode(layer.raw)
		if err != nil {
			return nil, fmt.Errorf("%w: reading %s: %w", ErrValues, layer.name, err)
		}
		merge(values, decoded)
	}
	for _, m := range e.Spec.Mappings {
		if err := applyMapping(values, s, p, m); err != nil {
			return nil, fmt.Errorf("%w: mapping %q of engine %q: %w", ErrValues, m.Value, e.Name, err)
		}
	}
	return values, nil
}

func applyMapping(values map[string]any, s *v1alpha1.Store, p Platform, m v1alpha1.ValueMapping) error {
	v, ok := p.field(s, m.From)
	if !ok {
		return fmt.Errorf("unknown field %q", m.From)
	}
	return set(values, m.Value, v)
}

// Digest identifies values: equal values have equal digests, and unequal ones
// do not. It is 32 hexadecimal digits, short enough for a label.
func Digest(values map[string]any) (string, error) {
	// Marshalling sorts the keys, so the digest does not depend on map order.
	b, err := json.Marshal(values)
	if err != nil {
		return "", fmt.Errorf("marshalling values: %w", err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16]), nil
}

// VersionDigest identifies what the version of e that is called name runs: another
// name, chart version or values make another digest. Errors are as of Values.
func VersionDigest(e *v1alpha1.Engine, name string) (string, error) {
	version, err := Version(e, name)
	if err != nil {
		return "", err
	}
	values, err := decode(version.Values)
	if err != nil {
		return "", fmt.Errorf("%w: reading the values of version %q: %w", ErrValues, version.Name, err)
	}
	return Digest(map[string]any{"name": version.Name, "chartVersion": version.ChartVersion, "values": values})
}

// decode reads a JSON object. Whole numbers become int64, because a template
// prints a large float64 in scientific notation.
func decode(raw *runtime.RawExtension) (map[string]any, error) {
	if raw == nil || len(raw.Raw) == 0 {
		return nil, nil
	}
	var m map[string]any
	if err := json.Unmarshal(raw.Raw, &m); err != nil {
		return nil, err
	}
	return m, nil
}

// merge puts src over dst. It may keep parts of src, so src must be the
// caller's own.
func merge(dst, src map[string]any) {
	for k, v := range src {
		if sub, ok := v.(map[string]any); ok {
			if into, ok := dst[k].(map[string]any); ok {
				merge(into, sub)
				continue
			}
		}
		dst[k] = v
	}
}

// set puts v at a dotted path. A value on the way that is no object gives
// way to one: mappings win over all other values.
func set(values map[string]any, path string, v any) error {
	keys := strings.Split(path, ".")
	for i, k := range keys {
		if k == "" {
			return fmt.Errorf("the path has an empty part")
		}
		if i == len(keys)-1 {
			values[k] = v
			break
		}
		sub, ok := values[k].(map[string]any)
		if !ok {
			sub = map[string]any{}
			values[k] = sub
		}
		values = sub
	}
	return nil
}
