package router

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	networkinglisters "k8s.io/client-go/listers/networking/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
)

// StatusWriter tells in the status of each Ingress of the class where it is
// served.
type StatusWriter struct {
	client    kubernetes.Interface
	ingresses networkinglisters.IngressLister
	synced    cache.InformerSynced
	queue     workqueue.TypedRateLimitingInterface[string]
	want      networkingv1.IngressLoadBalancerStatus
}

// NewStatusWriter writes that Ingresses are served on the given port of
// localhost. The caller starts the factory's informers before it calls Run.
func NewStatusWriter(client kubernetes.Interface, factory informers.SharedInformerFactory, port int) (*StatusWriter, error) {
	informer := factory.Networking().V1().Ingresses()
	w := &StatusWriter{
		client: client, ingresses: informer.Lister(),
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](100*time.Millisecond, 30*time.Second)),
		want: networkingv1.IngressLoadBalancerStatus{Ingress: []networkingv1.IngressLoadBalancerIngress{{
			Hostname: "localhost",
			Ports:    []networkingv1.IngressPortStatus{{Port: int32(port), Protocol: corev1.ProtocolTCP}},
		}}},
	}
	enqueue := func(object any) {
		if key, err := cache.MetaNamespaceKeyFunc(object); err == nil {
			w.queue.Add(key)
		}
	}
	registration, err := informer.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: enqueue, UpdateFunc: func(_, object any) { enqueue(object) },
	})
	if err != nil {
		return nil, fmt.Errorf("watching Ingresses: %w", err)
	}
	w.synced = registration.HasSynced
	return w, nil
}

// Run works until ctx ends.
func (w *StatusWriter) Run(ctx context.Context) error {
	if !cache.WaitForCacheSync(ctx.Done(), w.synced) {
		return errors.New("router: informers did not sync")
	}
	stop := context.AfterFunc(ctx, w.queue.ShutDown)
	defer stop()
	for {
		key, shutdown := w.queue.Get()
		if shutdown {
			return nil
		}
		if err := w.write(ctx, key); err != nil {
			klog.FromContext(ctx).Error(err, "Writing the status of an Ingress failed, trying again", "ingress", key)
			w.queue.AddRateLimited(key)
		} else {
			w.queue.Forget(key)
		}
		w.queue.Done(key)
	}
}

func (w *StatusWriter) write(ctx context.Context, key string) error {
	namespace, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return err
	}
	ingress, err := w.ingresses.Ingresses(namespace).Get(name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if ptr.Deref(ingress.Spec.IngressClassName, "") != ClassName || equality.Semantic.DeepEqual(ingress.Status.LoadBalancer, w.want) {
		return nil
	}
	changed := ingress.DeepCopy()
	changed.Status.LoadBalancer = w.want
	_, err = w.client.NetworkingV1().Ingresses(namespace).UpdateStatus(ctx, changed, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
