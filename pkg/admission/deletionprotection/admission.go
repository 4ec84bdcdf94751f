// Package deletionprotection refuses to delete protected stores, before anything
// of them is touched, and notes in the audit log who lifts the protection.
package deletionprotection

import (
	"context"
	"fmt"
	"io"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/admission"

	"platform.dev/stores/pkg/apis/platform"
)

// PluginName is the plugin's name in --enable-admission-plugins.
const PluginName = "StoreDeletionProtection"

// annotation is the audit annotation that says what became of the protection.
const annotation = "platform.dev/deletion-protection"

// Register makes the plugin known under its name.
func Register(plugins *admission.Plugins) {
	plugins.Register(PluginName, func(io.Reader) (admission.Interface, error) {
		return plugin{admission.NewHandler(admission.Update, admission.Delete)}, nil
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
	if a.GetOperation() == admission.Update {
		if updated, ok := a.GetObject().(*platform.Store); ok && !updated.Spec.DeletionProtection {
			return a.AddAnnotation(annotation, "lifted")
		}
		return nil
	}
	refusal := apierrors.NewForbidden(platform.Resource("stores"), store.Name, fmt.Errorf("store %s/%s is protected: set spec.deletionProtection to false first", store.Namespace, store.Name))
	if err := a.AddAnnotation(annotation, "kept"); err != nil {
		return err
	}
	return refusal
}
