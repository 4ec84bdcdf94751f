// Package codec makes codecs for objects in a database.
package codec

import (
	"bytes"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/runtime/serializer/versioning"
)

// JSON returns a codec that writes objects of a scheme in a version, and reads them from
// any that the scheme has into the internal one. It writes what the scheme's LegacyCodec
// writes, and reads that in little more than half the time. Other formats than JSON it does not read.
func JSON(scheme *runtime.Scheme, version schema.GroupVersion) runtime.Codec {
	serializer := json.NewSerializerWithOptions(metaFactory{}, scheme, scheme, json.SerializerOptions{})
	return versioning.NewDefaultingCodecForScheme(scheme, serializer, serializer, version, runtime.InternalGroupVersioner)
}

// metaFactory finds the kind of an object. The library's reads all of the object for it,
// and then all of it again.
type metaFactory struct{ json.SimpleMetaFactory }

// Interpret implements json.MetaFactory.
func (f metaFactory) Interpret(data []byte) (*schema.GroupVersionKind, error) {
	kind, rest, found := text(data, `{"kind":"`)
	if !found {
		return f.SimpleMetaFactory.Interpret(data)
	}
	apiVersion, _, found := text(rest, `,"apiVersion":"`)
	if !found {
		return f.SimpleMetaFactory.Interpret(data)
	}
	gv, err := schema.ParseGroupVersion(apiVersion)
	if err != nil {
		return nil, err
	}
	gvk := gv.WithKind(kind)
	return &gvk, nil
}

// text returns the string that follows a prefix, up to its quote, and what comes then.
// A string with an escape is not found.
func text(data []byte, prefix string) (string, []byte, bool) {
	data, found := bytes.CutPrefix(data, []byte(prefix))
	if !found {
		return "", nil, false
	}
	value, rest, found := bytes.Cut(data, []byte{'"'})
	if !found || bytes.IndexByte(value, '\\') >= 0 {
		return "", nil, false
	}
	return string(value), rest, true
}
