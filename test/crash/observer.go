package crash

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"platform.dev/stores/pkg/provisioner"
	"platform.dev/stores/test/internal/violations"
)

// observer watches the Secrets of all shops: their credentials and the revisions of
// their releases.
type observer struct {
	found *violations.Log

	mu          sync.Mutex
	credentials map[string]string           // digests by namespace
	revisions   map[string]map[int]revision // by namespace and number
}

// observe watches until ctx ends.
func observe(ctx context.Context, client kubernetes.Interface, found *violations.Log) *observer {
	o := &observer{found: found, credentials: map[string]string{}, revisions: map[string]map[int]revision{}}
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { o.see(obj.(*corev1.Secret)) },
		UpdateFunc: func(_, obj any) { o.see(obj.(*corev1.Secret)) },
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	// It fails only on an informer that has been stopped.
	_, _ = factory.Core().V1().Secrets().Informer().AddEventHandler(handler)
	factory.StartWithContext(ctx)
	return o
}

func (o *observer) see(secret *corev1.Secret) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case secret.Name == provisioner.CredentialsSecret:
		o.seeCredentials(secret)
	case secret.Labels["owner"] == "helm":
		number, err := strconv.Atoi(secret.Labels["version"])
		if err != nil {
			o.found.Add("release unreadable", "Secret %s/%s: %v", secret.Namespace, secret.Name, err)
			return
		}
		all := o.revisions[secret.Namespace]
		if all == nil {
			all = map[int]revision{}
			o.revisions[secret.Namespace] = all
		}
		r := all[number]
		r.Content = secret.Labels[provisioner.LabelChartDigest] + secret.Labels[provisioner.LabelValuesDigest]
		r.Status = secret.Labels["status"]
		// One that was cut off becomes superseded, too.
		r.Deployed = r.Deployed || r.Status == "deployed"
		all[number] = r
	}
}

func (o *observer) seeCredentials(secret *corev1.Secret) {
	sum := sha256.New()
	for _, key := range slices.Sorted(maps.Keys(secret.Data)) {
		fmt.Fprintf(sum, "%q=%q\n", key, secret.Data[key])
	}
	digest := hex.EncodeToString(sum.Sum(nil))
	if first, ok := o.credentials[secret.Namespace]; ok && first != digest {
		o.found.Add("credentials changed", "those in namespace %s", secret.Namespace)
	}
	o.credentials[secret.Namespace] = digest
}

// all returns the revisions that were seen.
func (o *observer) all() map[string]map[int]revision {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := map[string]map[int]revision{}
	for namespace, revisions := range o.revisions {
		all[namespace] = maps.Clone(revisions)
	}
	return all
}

// catchUp sees all Secrets as they are now: a watch may have missed some.
func (o *observer) catchUp(ctx context.Context, client kubernetes.Interface) error {
	list, err := client.CoreV1().Secrets(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing all Secrets: %w", err)
	}
	for i := range list.Items {
		o.see(&list.Items[i])
	}
	return nil
}
