package apiserver

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
)

// textSerializer offers every encoding but protobuf, which our types cannot be
// written in. Clients that prefer protobuf, such as the namespace controller when
// it deletes all stores of a namespace, then get the JSON that they accept too,
// and not an error.
type textSerializer struct {
	runtime.NegotiatedSerializer
}

// SupportedMediaTypes leaves protobuf out.
func (s textSerializer) SupportedMediaTypes() []runtime.SerializerInfo {
	return slices.DeleteFunc(slices.Clone(s.NegotiatedSerializer.SupportedMediaTypes()), func(info runtime.SerializerInfo) bool {
		return info.MediaType == runtime.ContentTypeProtobuf
	})
}
