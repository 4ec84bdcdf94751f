package validation

import (
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"platform.dev/stores/pkg/apis/platform"
)

// ValidateStoreQuota returns every fault of a quota that is about to be written.
func ValidateStoreQuota(quota *platform.StoreQuota) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(&quota.ObjectMeta, false, apivalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
	errs = append(errs, validateMetadataSize(&quota.ObjectMeta, field.NewPath("metadata"))...)
	spec := field.NewPath("spec")
	if quota.Spec.Hard.Stores == nil && quota.Spec.CreateRate == nil {
		errs = append(errs, field.Required(spec, "must bound something: set hard.stores, createRate or both"))
	}
	for i, subject := range quota.Spec.Subjects {
		if subject.Kind != platform.QuotaSubjectNamespace {
			continue
		}
		for _, message := range apivalidation.ValidateNamespaceName(subject.Name, false) {
			errs = append(errs, field.Invalid(spec.Child("subjects").Index(i).Child("name"), subject.Name, message))
		}
	}
	return errs
}

// ValidateStoreQuotaUpdate returns every fault of the step from one quota to another.
func ValidateStoreQuotaUpdate(quota, old *platform.StoreQuota) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&quota.ObjectMeta, &old.ObjectMeta, field.NewPath("metadata"))
	return append(errs, ValidateStoreQuota(quota)...)
}
