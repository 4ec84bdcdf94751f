// Package provisioner makes volumes out of folders of the node: one folder per
// claim of a StorageClass that names it, gone when the claim is gone and its
// reclaim policy is Delete. The requested size, which can grow, is recorded but not
// enforced.
package provisioner

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	storagelisters "k8s.io/client-go/listers/storage/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
)

// Name is what a StorageClass calls this provisioner.
const Name = "localcluster.platform.dev/folder"

// Provisioner makes and removes volumes.
type Provisioner struct {
	client kubernetes.Interface
	events record.EventRecorder
	// folder holds a folder per volume; node is the only one that can mount them.
	folder, node string

	claims  corelisters.PersistentVolumeClaimLister
	volumes corelisters.PersistentVolumeLister
	classes storagelisters.StorageClassLister
	synced  []cache.InformerSynced

	// queue holds the keys of claims, NAMESPACE/NAME, and of volumes, NAME.
	queue workqueue.TypedRateLimitingInterface[string]
}

// New returns a provisioner that keeps volumes in folder. The caller starts the
// factory's informers before it calls Run.
func New(client kubernetes.Interface, factory informers.SharedInformerFactory, events record.EventRecorder, folder, node string) (*Provisioner, error) {
	claims := factory.Core().V1().PersistentVolumeClaims()
	volumes := factory.Core().V1().PersistentVolumes()
	classes := factory.Storage().V1().StorageClasses()
	p := &Provisioner{
		client: client, events: events, folder: folder, node: node,
		claims: claims.Lister(), volumes: volumes.Lister(), classes: classes.Lister(),
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](100*time.Millisecond, 30*time.Second)),
	}
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    p.enqueue,
		UpdateFunc: func(_, object any) { p.enqueue(object) },
	}
	for _, informer := range []cache.SharedIndexInformer{claims.Informer(), volumes.Informer()} {
		registration, err := informer.AddEventHandler(handler)
		if err != nil {
			return nil, fmt.Errorf("watching: %w", err)
		}
		p.synced = append(p.synced, registration.HasSynced)
	}
	p.synced = append(p.synced, classes.Informer().HasSynced)
	return p, nil
}

// Run works until ctx ends.
func (p *Provisioner) Run(ctx context.Context) error {
	if !cache.WaitForCacheSync(ctx.Done(), p.synced...) {
		return errors.New("provisioner: informers did not sync")
	}
	stop := context.AfterFunc(ctx, p.queue.ShutDown)
	defer stop()
	wait.UntilWithContext(ctx, func(ctx context.Context) {
		for p.next(ctx) {
		}
	}, time.Second)
	return nil
}

func (p *Provisioner) enqueue(object any) {
	if key, err := cache.MetaNamespaceKeyFunc(object); err == nil {
		p.queue.Add(key)
	}
}

// next handles one key; it returns false when the queue is shut down.
func (p *Provisioner) next(ctx context.Context) bool {
	key, shutdown := p.queue.Get()
	if shutdown {
		return false
	}
	defer p.queue.Done(key)
	if err := p.reconcile(ctx, key); err != nil {
		klog.FromContext(ctx).Error(err, "Reconciling failed, trying again", "key", key)
		p.queue.AddRateLimited(key)
		return true
	}
	p.queue.Forget(key)
	return true
}

func (p *Provisioner) reconcile(ctx context.Context, key string) error {
	namespace, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return err
	}
	if namespace == "" {
		volume, err := p.volumes.Get(name)
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		return p.reclaim(ctx, volume)
	}
	claim, err := p.claims.PersistentVolumeClaims(namespace).Get(name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if claim.Spec.VolumeName != "" {
		return p.expand(ctx, claim)
	}
	return p.provision(ctx, claim)
}

// remove deletes a volume object; what it stands for goes by its finalizer.
func (p *Provisioner) remove(ctx context.Context, volume *corev1.PersistentVolume) error {
	err := p.client.CoreV1().PersistentVolumes().Delete(ctx, volume.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &volume.UID},
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
