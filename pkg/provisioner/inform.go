package provisioner

import (
	"errors"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	platforminformers "platform.dev/stores/pkg/generated/informers/externalversions"
)

// The indexes of the caches.
const (
	storesByEngine     = "engine"
	storesByNamespace  = "storeNamespace"
	volumesByNamespace = "claimNamespace"
)

// inform sets up what is watched across the cluster: stores, engines, the
// namespaces that carry a store's UID, and volumes.
func (c *Controller) inform(platform platforminformers.SharedInformerFactory, kube, labelled informers.SharedInformerFactory) error {
	stores := platform.Platform().V1alpha1().Stores()
	engines := platform.Platform().V1alpha1().Engines()
	namespaces := labelled.Core().V1().Namespaces()
	volumes := kube.Core().V1().PersistentVolumes()
	c.storeLister, c.storeIndex = stores.Lister(), stores.Informer().GetIndexer()
	c.engineLister, c.namespaces = engines.Lister(), namespaces.Lister()
	c.volumes = volumes.Informer().GetIndexer()
	c.informers = []cache.SharedIndexInformer{stores.Informer(), engines.Informer(), namespaces.Informer(), volumes.Informer()}

	errs := []error{
		stores.Informer().AddIndexers(cache.Indexers{
			storesByEngine:    func(obj any) ([]string, error) { return []string{obj.(*v1alpha1.Store).Spec.Engine}, nil },
			storesByNamespace: func(obj any) ([]string, error) { return []string{NamespaceName(obj.(*v1alpha1.Store))}, nil },
		}),
		volumes.Informer().AddIndexers(cache.Indexers{volumesByNamespace: func(obj any) ([]string, error) {
			if claim := obj.(*corev1.PersistentVolume).Spec.ClaimRef; claim != nil {
				return []string{claim.Namespace}, nil
			}
			return nil, nil
		}}),
	}
	errs = append(errs, c.wakeRollouts(stores.Informer(), engines.Informer()))
	for _, informer := range c.informers {
		errs = append(errs, informer.SetTransform(dropManagedFields))
	}
	for informer, handler := range map[cache.SharedIndexInformer]cache.ResourceEventHandler{
		stores.Informer(): cache.ResourceEventHandlerFuncs{
			AddFunc: c.wakeStore, UpdateFunc: c.storeChanged, DeleteFunc: c.wakeStore,
		},
		engines.Informer(): cache.ResourceEventHandlerFuncs{
			AddFunc: c.wakeEngine, UpdateFunc: c.engineChanged, DeleteFunc: c.wakeEngine,
		},
		namespaces.Informer(): cache.ResourceEventHandlerFuncs{
			UpdateFunc: func(_, obj any) { c.wakeNamespaceOf(obj) }, DeleteFunc: c.wakeNamespaceOf,
		},
		volumes.Informer(): cache.ResourceEventHandlerFuncs{
			UpdateFunc: func(_, obj any) { c.wakeVolume(obj) }, DeleteFunc: c.wakeVolume,
		},
	} {
		_, err := informer.AddEventHandler(handler)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// dropManagedFields leaves out of the caches what nothing here reads.
func dropManagedFields(obj any) (any, error) {
	if o, ok := obj.(metav1.Object); ok {
		o.SetManagedFields(nil)
	}
	return obj, nil
}

func (c *Controller) wakeStore(obj any) {
	if key, err := cache.DeletionHandlingObjectToName(obj); err == nil {
		c.queue.Add(key)
	}
}

// storeChanged leaves out changes of the status, which are the controller's own.
func (c *Controller) storeChanged(before, after any) {
	b, a := before.(*v1alpha1.Store), after.(*v1alpha1.Store)
	if b.UID != a.UID || b.Generation != a.Generation || !b.DeletionTimestamp.Equal(a.DeletionTimestamp) {
		c.queue.Add(keyOf(a))
	}
}

func (c *Controller) wakeEngine(obj any) {
	if key, err := cache.DeletionHandlingObjectToName(obj); err == nil {
		c.wakeIndexed(storesByEngine, key.Name)
	}
}

func (c *Controller) engineChanged(before, after any) {
	if !apiequality.Semantic.DeepEqual(before.(*v1alpha1.Engine).Spec, after.(*v1alpha1.Engine).Spec) {
		c.wakeEngine(after)
	}
}

func (c *Controller) wakeNamespaceOf(obj any) {
	if key, err := cache.DeletionHandlingObjectToName(obj); err == nil {
		c.watches.changed(key.Name)
	}
}

func (c *Controller) wakeVolume(obj any) {
	if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = tombstone.Obj
	}
	if volume, ok := obj.(*corev1.PersistentVolume); ok && volume.Spec.ClaimRef != nil {
		c.watches.changed(volume.Spec.ClaimRef.Namespace)
	}
}

// wakeNamespace wakes the store that has the namespace.
func (c *Controller) wakeNamespace(namespace string) { c.wakeIndexed(storesByNamespace, namespace) }

func (c *Controller) wakeIndexed(index, value string) {
	stores, err := c.storeIndex.ByIndex(index, value)
	if err != nil {
		return
	}
	for _, obj := range stores {
		c.queue.Add(keyOf(obj.(*v1alpha1.Store)))
	}
}
