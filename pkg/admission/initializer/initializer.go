// Package initializer hands the platform's own clients to admission plugins.
package initializer

import (
	"k8s.io/apiserver/pkg/admission"

	clientset "platform.dev/stores/pkg/generated/clientset/versioned"
	"platform.dev/stores/pkg/generated/informers/externalversions"
)

// WantsPlatform is implemented by plugins that read the platform's resources.
type WantsPlatform interface {
	// SetPlatform hands over a client and an informer factory of the server
	// itself. The plugin asks the factory for what it needs; the server starts it.
	SetPlatform(clientset.Interface, externalversions.SharedInformerFactory)
	admission.InitializationValidator
}

type platform struct {
	client    clientset.Interface
	informers externalversions.SharedInformerFactory
}

// New returns an initializer for plugins that are WantsPlatform.
func New(client clientset.Interface, informers externalversions.SharedInformerFactory) admission.PluginInitializer {
	return platform{client, informers}
}

// Initialize hands the client and the informers to plugin if it wants them.
func (p platform) Initialize(plugin admission.Interface) {
	if wants, ok := plugin.(WantsPlatform); ok {
		wants.SetPlatform(p.client, p.informers)
	}
}
