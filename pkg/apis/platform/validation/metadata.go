package validation

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Kubernetes bounds the annotations of an object, and leaves the rest of its metadata to
// the size of a request. An object is read as a whole in every list, so all is bounded
// here.
const (
	maxLabelsBytes = 64 << 10
	maxFinalizers  = 64
	maxOwners      = 64
)

// validateMetadataSize returns what is too much in an object's metadata. An object that
// is being deleted is left alone, so that its finalizers can always be removed.
func validateMetadataSize(meta *metav1.ObjectMeta, path *field.Path) field.ErrorList {
	if meta.DeletionTimestamp != nil {
		return nil
	}
	var errs field.ErrorList
	size := 0
	for key, value := range meta.Labels {
		size += len(key) + len(value)
	}
	if size > maxLabelsBytes {
		errs = append(errs, field.TooLong(path.Child("labels"), "", maxLabelsBytes))
	}
	if count := len(meta.Finalizers); count > maxFinalizers {
		errs = append(errs, field.TooMany(path.Child("finalizers"), count, maxFinalizers))
	}
	if count := len(meta.OwnerReferences); count > maxOwners {
		errs = append(errs, field.TooMany(path.Child("ownerReferences"), count, maxOwners))
	}
	return errs
}
