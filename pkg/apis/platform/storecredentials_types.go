package platform

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// StoreCredentials is how the shop's administrator logs in.
type StoreCredentials struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	URL      string
	AdminURL string
	Username string
	Password string
}
