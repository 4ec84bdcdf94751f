// Package deletionprotection refuses to delete protected stores, before anything
// of them is touched.
package deletionprotection

import (
	"context"
	"fmt"
	"io"

	"k8s.io/apiserver/pkg/admission"

	"platform.dev/stores/pkg/apis/platform"
)

// PluginName is the plugin's name in --enable-admission-plugins.
const PluginName = "StoreDeletionProtection"

// Register makes the plugin known under its name.
func Register(plugins *admission.Plugins) {
	plugins.Register(PluginName, func(io.Reader) (admission.Interface, error) {
		return plugin{admission.NewHandler(admission.Delete)}, nil
	})
}

type plugin struct {
	*admission.Handler
}

var _ admission.ValidationInterface = plugin{}

// Validate refuses the deletion of a store whose spec.deletionProtection is true,
// alone or as one of a collection.
func (plugin) Validate(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	store, ok := a.GetOldObject().(*platform.Store)
	if !ok || !store.Spec.DeletionProtection {
		return nil
	}
	return admission.NewForbidden(a, fmt.Errorf("store %s/%s is protected: set spec.deletionProtection to false first", store.Namespace, store.Name))
}
