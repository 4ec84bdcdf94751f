package provisioner

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/engine"
)

const (
	// reapplyAfter is how long the namespace's contents are believed to stand
	// as they were applied.
	reapplyAfter = 10 * time.Minute
	// grantLag is how long authorizers may take to see the RoleBinding before
	// their refusal is reported as one.
	grantLag = 20 * time.Second
)

// namespaceReady gives the store its namespace, its rights over it, and the
// plan's bounds.
func (c *Controller) namespaceReady(ctx context.Context, a *attempt) (result, error) {
	plan, err := engine.Plan(a.engine, a.planName())
	if err != nil {
		return stalled("PlanNotOffered", err.Error()), nil
	}
	contents := c.namespaceContents(a, plan)
	contents.onlyRaise = a.onlyRaise()
	want, err := contents.digest(namespaceLabels(a.store))
	if err != nil {
		return result{}, err
	}
	// Before anything is read: what changes later is looked at once more.
	change, drift := c.watches.lastChange(a.namespace), ""
	if a.memory.applied == want && c.now().Sub(a.memory.appliedAt) < reapplyAfter && c.namespaceStands(a) {
		if a.memory.appliedChange != change {
			if drift, err = contents.drift(ctx, c.kube, a.memory.standing); err != nil {
				return result{}, fmt.Errorf("looking at the contents of namespace %s: %w", a.namespace, err)
			}
		}
		if drift == "" {
			a.memory.appliedChange = change
			return namespaceDone(a), nil
		}
		c.probes.forget(a.store.UID)
		c.stopAt(a, v1alpha1.ConditionNamespaceReady, failed(reasonDrifted, drift, 0))
		if err := c.writeStatus(ctx, a); err != nil {
			return result{}, err
		}
	}

	a.memory.applied = ""
	if r, err := c.ensureNamespace(ctx, a); err != nil || r.outcome != outcomeDone {
		return r, err
	}
	if !a.onlyRaise() && contents.onlyRaise {
		contents.onlyRaise = false // in a namespace that has just been made
		if want, err = contents.digest(namespaceLabels(a.store)); err != nil {
			return result{}, err
		}
	}
	if a.memory.begun != want {
		a.memory.standing = nil
	}
	applied, err := contents.apply(ctx, c.kube, a.memory.standing)
	a.memory.begun = ""
	for _, s := range applied {
		c.watches.seen(a.namespace, s.kind, s.name, s.version)
	}
	if err != nil {
		if apierrors.IsForbidden(err) {
			// What stands now is not applied again in a moment.
			a.memory.begun, a.memory.standing = want, applied
			return c.notGrantedYet(a, err), nil
		}
		return result{}, fmt.Errorf("applying the contents of namespace %s: %w", a.namespace, err)
	}
	if contents.onlyRaise {
		if granted, err := contents.granted(ctx, c.kube); err != nil || !granted {
			return waiting("RaisingQuota", "Waiting for the raised quota to be in force.", 250*time.Millisecond), err
		}
	}
	a.memory.applied, a.memory.appliedAt, a.memory.appliedChange, a.memory.standing = want, c.now(), change, applied
	if drift != "" {
		c.corrected(a, v1alpha1.ConditionNamespaceReady, drift)
	}
	return namespaceDone(a), nil
}

func namespaceDone(a *attempt) result {
	return done("NamespaceReady", fmt.Sprintf("Namespace %s stands with the bounds of plan %s.", a.namespace, a.planName()))
}

// notGrantedYet tells of a refused request in the store's namespace. Just after
// the RoleBinding was made that is expected: authorizers read it from caches.
func (c *Controller) notGrantedYet(a *attempt, err error) result {
	waited := a.since(v1alpha1.ConditionNamespaceReady, c.now())
	if waited < grantLag {
		return waiting("GrantingAccess", "Waiting for the RoleBinding in the namespace to take effect.", pollInterval(waited, 200*time.Millisecond, 2*time.Second))
	}
	return failed("Forbidden", err.Error(), pollInterval(waited, 2*time.Second, time.Minute))
}

// onlyRaise is true if something else than what is asked for may run in the
// namespace, and need the bounds that it has.
func (a *attempt) onlyRaise() bool {
	return !a.settled() && a.memory.madeFor != a.target()
}

// target identifies what the store asked for and its engine offered at a time.
func (a *attempt) target() string {
	return fmt.Sprintf("generation %d, engine %s", a.store.Generation, a.engine.ResourceVersion)
}

// namespaceStands is true if the namespace is seen in the cache as it should be.
func (c *Controller) namespaceStands(a *attempt) bool {
	ns, err := c.namespaces.Get(a.namespace)
	if err != nil || ns.DeletionTimestamp != nil {
		return false
	}
	return hasLabels(ns, namespaceLabels(a.store))
}

func hasLabels(ns *corev1.Namespace, want map[string]string) bool {
	for k, v := range want {
		if ns.Labels[k] != v {
			return false
		}
	}
	return true
}

// ensureNamespace sees to it that the namespace exists and is the store's. A
// namespace is created by POST, never by apply, and labelled only when its UID
// label already names the store: nobody's namespace is ever taken over.
func (c *Controller) ensureNamespace(ctx context.Context, a *attempt) (result, error) {
	client := c.kube.CoreV1().Namespaces()
	if a.memory.untouched {
		return namespaceDone(a), nil
	}
	if _, err := c.namespaces.Get(a.namespace); apierrors.IsNotFound(err) {
		_, err = client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
			Name:   a.namespace,
			Labels: namespaceLabels(a.store),
		}}, metav1.CreateOptions{FieldManager: FieldManager})
		if err == nil {
			a.memory.madeFor, a.memory.untouched = a.target(), true
			return namespaceDone(a), nil
		}
		// The cache may not have seen it yet.
		if !apierrors.IsAlreadyExists(err) {
			return result{}, fmt.Errorf("creating namespace %s: %w", a.namespace, err)
		}
	}
	ns, err := client.Get(ctx, a.namespace, metav1.GetOptions{})
	if err != nil {
		return result{}, fmt.Errorf("reading namespace %s: %w", a.namespace, err)
	}
	if ns.Labels[LabelStoreUID] != string(a.store.UID) {
		return stalled("NamespaceConflict", fmt.Sprintf("Namespace %s exists and does not belong to this store.", a.namespace)), nil
	}
	if ns.DeletionTimestamp != nil {
		message := fmt.Sprintf("Namespace %s is being deleted, though not by this store. It is made anew once it is gone.%s", a.namespace, namespaceBlockers(ns))
		return failed("NamespaceTerminating", message, lookAgain), nil
	}
	if hasLabels(ns, namespaceLabels(a.store)) {
		return namespaceDone(a), nil
	}
	// With the UID as a precondition, a namespace made since by somebody else
	// is refused.
	apply := applycorev1.Namespace(a.namespace).WithUID(ns.UID).WithLabels(namespaceLabels(a.store))
	if _, err := client.Apply(ctx, apply, metav1.ApplyOptions{FieldManager: FieldManager, Force: true}); err != nil {
		return result{}, fmt.Errorf("labelling namespace %s: %w", a.namespace, err)
	}
	return namespaceDone(a), nil
}

// digest identifies what is applied.
func (n *namespaceContents) digest(labels map[string]string) (string, error) {
	b, err := json.Marshal([]any{labels, n.onlyRaise, n.binding, n.reader, n.quota, n.limits, n.deny})
	if err != nil {
		return "", fmt.Errorf("marshalling the namespace's contents: %w", err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}
