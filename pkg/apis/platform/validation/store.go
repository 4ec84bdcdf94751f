// Package validation holds the rules of the platform API that concern more
// than one field, or that no validation tag expresses. The rules for single
// fields stand as tags in package v1alpha1.
package validation

import (
	"encoding/json"
	"fmt"
	"net/mail"
	"unicode"
	"unicode/utf8"

	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"platform.dev/stores/pkg/apis/platform"
)

// The lengths that the tags of the fields allow. Longer text is refused there,
// and not repeated in a second message here.
const (
	maxTitleLength = 128
	maxEmailLength = 254
)

// maxValuesBytes bounds free-form values. A store is read as a whole in every
// list, and values end up in Helm's release Secret, which holds 1 MiB at most.
const maxValuesBytes = 64 << 10

// ValidateStore returns every fault of a store that is about to be written.
func ValidateStore(store *platform.Store) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(&store.ObjectMeta, true, apivalidation.NameIsDNSLabel, field.NewPath("metadata"))
	errs = append(errs, validateMetadataSize(&store.ObjectMeta, field.NewPath("metadata"))...)
	spec := field.NewPath("spec")
	errs = append(errs, validateTitle(store.Spec.DisplayName, spec.Child("displayName"))...)
	errs = append(errs, validateEmail(store.Spec.AdminEmail, spec.Child("adminEmail"))...)
	errs = append(errs, validateJSONObject(store.Spec.Values, spec.Child("values"))...)
	return errs
}

// ValidateStoreUpdate returns every fault of the step from one store to another.
func ValidateStoreUpdate(store, old *platform.Store) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&store.ObjectMeta, &old.ObjectMeta, field.NewPath("metadata"))
	return append(errs, ValidateStore(store)...)
}

// ValidateStoreStatusUpdate returns every fault of a new status.
func ValidateStoreStatusUpdate(store, old *platform.Store) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&store.ObjectMeta, &old.ObjectMeta, field.NewPath("metadata"))
	return append(errs, validateConditions(store.Status.Conditions)...)
}

func validateConditions(conditions []metav1.Condition) field.ErrorList {
	faults := metav1validation.ValidateConditions(conditions, field.NewPath("status", "conditions"))
	for _, fault := range faults {
		// Unlike those of built-in types, our tags leave conditions to this function.
		fault.CoveredByDeclarative = false
	}
	return faults
}

// validateTitle refuses what cannot be shown as it is written: control
// characters, line breaks, and the marks that turn the direction of the text
// around them.
func validateTitle(title string, path *field.Path) field.ErrorList {
	if utf8.RuneCountInString(title) > maxTitleLength {
		return nil
	}
	for i, r := range title {
		switch {
		case r == unicode.ReplacementChar:
			return field.ErrorList{field.Invalid(path, title, fmt.Sprintf("must be valid UTF-8 without U+FFFD, which stands at byte %d", i))}
		case unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp):
			return field.ErrorList{field.Invalid(path, title, fmt.Sprintf("must not hold control characters or line breaks such as %U, which stands at byte %d", r, i))}
		case unicode.Is(unicode.Bidi_Control, r):
			return field.ErrorList{field.Invalid(path, title, fmt.Sprintf("must not hold text direction marks such as %U, which stands at byte %d", r, i))}
		}
	}
	return nil
}

func validateEmail(email string, path *field.Path) field.ErrorList {
	if email == "" || utf8.RuneCountInString(email) > maxEmailLength {
		return nil
	}
	address, err := mail.ParseAddress(email)
	if err != nil || address.Address != email {
		return field.ErrorList{field.Invalid(path, email, `must be a plain e-mail address, such as "owner@example.com"`)}
	}
	return nil
}

// validateJSONObject accepts nothing, or one JSON object of bounded size.
func validateJSONObject(values *runtime.RawExtension, path *field.Path) field.ErrorList {
	if values == nil {
		return nil
	}
	if len(values.Raw) > maxValuesBytes {
		return field.ErrorList{field.TooLong(path, "", maxValuesBytes)}
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(values.Raw, &object); err != nil || object == nil {
		return field.ErrorList{field.Invalid(path, field.OmitValueType{}, "must be a JSON object")}
	}
	return nil
}
