// Package platform holds the internal ("hub") types of the platform.dev API,
// between which and every served version the API server converts. The field
// documentation stands in package v1alpha1.
//
// +k8s:deepcopy-gen=package
// +groupName=platform.dev
package platform
