// Package v1alpha1 is the served version of the platform.dev API: Stores,
// which people create, and Engines, which the operator offers.
//
// Validation that concerns one field stands as a tag beside that field;
// package validation holds only the rules between fields.
//
// +k8s:deepcopy-gen=package
// +k8s:conversion-gen=platform.dev/stores/pkg/apis/platform
// +k8s:defaulter-gen=TypeMeta
// +k8s:validation-gen=TypesWithField=TypeMeta
// +k8s:validation-gen-input=platform.dev/stores/pkg/apis/platform/v1alpha1
// +k8s:openapi-gen=true
// +k8s:openapi-model-package=dev.platform.v1alpha1
// +groupName=platform.dev
package v1alpha1
