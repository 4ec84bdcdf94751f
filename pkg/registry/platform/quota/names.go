// Package quota says which bounds apply to a store that a user wants to create, and
// under which names the storage counts.
package quota

import (
	"fmt"
	"strings"
)

// The names that stores claim in the storage.
const (
	hostPrefix      = "stores/host/"
	ownerPrefix     = "stores/owner/"
	namespacePrefix = "stores/namespace/"
)

// HostName is what the store with a host claims for itself alone.
func HostName(host string) string { return hostPrefix + strings.ToLower(host) }

// OwnerName is what all stores of an owner are counted by.
func OwnerName(owner string) string { return ownerPrefix + owner }

// NamespaceName is what all stores of a namespace are counted by.
func NamespaceName(namespace string) string { return namespacePrefix + namespace }

// Host returns the host of a HostName.
func Host(name string) string { return strings.TrimPrefix(name, hostPrefix) }

// Describe says whom a counted name is about: in words, and in one word for a metric.
func Describe(name string) (who, kind string) {
	if owner, ok := strings.CutPrefix(name, ownerPrefix); ok {
		return fmt.Sprintf("owner %q", owner), "owner"
	}
	return fmt.Sprintf("namespace %q", strings.TrimPrefix(name, namespacePrefix)), "namespace"
}
