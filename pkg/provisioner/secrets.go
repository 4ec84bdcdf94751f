package provisioner

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"platform.dev/stores/pkg/engine"
)

// secretsReady makes the store's credentials. They are made once: a key that is
// there is never written again, whatever the engine has become since.
func (c *Controller) secretsReady(ctx context.Context, a *attempt) (result, error) {
	if a.founded {
		return secretsDone(), nil
	}
	// What is made here is known by then, and no news.
	defer c.watches.follow(a.namespace, nil)
	client := c.kube.CoreV1().Secrets(a.namespace)
	var secret *corev1.Secret
	exists := false
	if !a.memory.untouched {
		var err error
		secret, err = client.Get(ctx, CredentialsSecret, metav1.GetOptions{})
		exists = err == nil
		if err != nil && !apierrors.IsNotFound(err) {
			return result{}, fmt.Errorf("reading Secret %s: %w", CredentialsSecret, err)
		}
	}
	if !exists {
		secret = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: CredentialsSecret, Labels: labelsFor(a.store)}, Type: corev1.SecretTypeOpaque}
		// New passwords would lock a database that knows the old ones.
		err := c.findRelease(ctx, a)
		switch {
		case err != nil:
			return result{}, err
		case a.release != nil && !ours(a.release):
			return foreignRelease(a.namespace), nil
		case a.release != nil:
			return stalled("CredentialsLost", fmt.Sprintf("Secret %s is gone, but the shop was installed with it. Restore it in namespace %s.", CredentialsSecret, a.namespace)), nil
		}
	}

	missing, err := engine.NewCredentials(a.engine, a.store, c.platform, secret.Data, rand.Reader)
	if err != nil {
		return stalled("InvalidEngine", err.Error()), nil
	}
	if exists && len(missing) == 0 {
		return secretsDone(), nil
	}
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	maps.Copy(secret.Data, missing)
	// Both ways lose against anybody who was faster, and then look again.
	if exists {
		secret, err = client.Update(ctx, secret, metav1.UpdateOptions{FieldManager: FieldManager})
	} else {
		secret, err = client.Create(ctx, secret, metav1.CreateOptions{FieldManager: FieldManager})
	}
	if err != nil {
		return result{}, fmt.Errorf("writing Secret %s: %w", CredentialsSecret, err)
	}
	c.watches.seen(a.namespace, "Secret", secret.Name, secret.ResourceVersion)
	return secretsDone(), nil
}

func secretsDone() result {
	return done("SecretsReady", fmt.Sprintf("Secret %s holds the shop's credentials.", CredentialsSecret))
}
