package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The objects by which the platform knows a store's namespace and its secrets.
const (
	// LabelStoreUID is the label of a store's namespace, and of all that the
	// provisioner makes in it, with the UID of the Store. A namespace without it,
	// or with another store's, is nothing of this store's.
	LabelStoreUID = "platform.dev/store-uid"
	// CredentialsSecret is the Secret in a store's namespace that holds the
	// engine's credentials.
	CredentialsSecret = "store-credentials"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// StoreCredentials is how the shop's administrator logs in: what the subresource
// stores/credentials answers. It is read from the store's namespace when it is
// asked for, and kept nowhere else.
type StoreCredentials struct {
	// +k8s:opaqueType
	metav1.TypeMeta `json:",inline"`
	// metadata names the store.
	//
	// +optional
	// +k8s:opaqueType
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// url is where shoppers find the shop.
	//
	// +optional
	URL string `json:"url,omitempty"`

	// adminURL is where the administrator logs in.
	//
	// +optional
	AdminURL string `json:"adminURL,omitempty"`

	// username is the administrator's login.
	//
	// +optional
	Username string `json:"username,omitempty"`

	// password is the administrator's password as it was when the shop was set
	// up.
	//
	// +optional
	Password string `json:"password,omitempty"`
}
