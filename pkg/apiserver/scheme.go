package apiserver

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"

	"platform.dev/stores/pkg/apis/platform/install"
)

var (
	// Scheme knows every type that the server speaks.
	Scheme = runtime.NewScheme()
	// Codecs encode and decode the types of Scheme.
	Codecs = serializer.NewCodecFactory(Scheme)
)

func init() {
	install.Install(Scheme)

	// The types that every API server answers with, whatever its group. The
	// generic server looks for them, and for the list options, in version v1 of
	// the core group.
	core := schema.GroupVersion{Version: "v1"}
	metav1.AddToGroupVersion(Scheme, core)
	Scheme.AddUnversionedTypes(core,
		&metav1.Status{},
		&metav1.APIVersions{},
		&metav1.APIGroupList{},
		&metav1.APIGroup{},
		&metav1.APIResourceList{},
	)
}
