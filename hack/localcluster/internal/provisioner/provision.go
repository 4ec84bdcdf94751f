package provisioner

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

const (
	// askedAnnotation is set on a claim by the controller manager when it is
	// the named provisioner's turn.
	askedAnnotation = "volume.kubernetes.io/storage-provisioner"
	// madeByAnnotation tells the controller manager who made a volume.
	madeByAnnotation = "pv.kubernetes.io/provisioned-by"
)

// provision makes the volume of a claim that waits for one.
func (p *Provisioner) provision(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	if claim.Annotations[askedAnnotation] != Name || claim.Spec.VolumeName != "" || claim.DeletionTimestamp != nil {
		return nil
	}
	class, err := p.classes.Get(ptr.Deref(claim.Spec.StorageClassName, ""))
	if apierrors.IsNotFound(err) {
		return nil // Comes back when the claim changes; without its class it cannot be served.
	}
	if err != nil {
		return err
	}
	if reason := unsupported(claim); reason != "" {
		p.events.Event(claim, corev1.EventTypeWarning, "ProvisioningFailed", reason)
		return nil
	}
	volume := p.volumeFor(claim, class)
	path := volume.Spec.Local.Path
	if err := os.MkdirAll(path, 0o777); err != nil {
		return err
	}
	// Any user may be the one that the pod runs as, whatever the umask here.
	if err := os.Chmod(path, 0o777); err != nil {
		return err
	}
	_, err = p.client.CoreV1().PersistentVolumes().Create(ctx, volume, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil // Made by an earlier try, whose news has not come in yet.
	}
	if err != nil {
		return fmt.Errorf("creating the volume of claim %s/%s: %w", claim.Namespace, claim.Name, err)
	}
	p.events.Eventf(claim, corev1.EventTypeNormal, "ProvisioningSucceeded", "Made volume %s", volume.Name)
	return nil
}

func unsupported(claim *corev1.PersistentVolumeClaim) string {
	switch {
	case ptr.Deref(claim.Spec.VolumeMode, corev1.PersistentVolumeFilesystem) != corev1.PersistentVolumeFilesystem:
		return "A folder cannot be a block device: use volumeMode Filesystem"
	case claim.Spec.Selector != nil:
		return "A selector chooses among volumes that exist; this class makes new ones: leave it out"
	case claim.Spec.DataSource != nil || claim.Spec.DataSourceRef != nil:
		return "Volumes start empty: a data source is not supported"
	}
	return ""
}

func (p *Provisioner) volumeFor(claim *corev1.PersistentVolumeClaim, class *storagev1.StorageClass) *corev1.PersistentVolume {
	name := "pvc-" + string(claim.UID)
	policy := ptr.Deref(class.ReclaimPolicy, corev1.PersistentVolumeReclaimDelete)
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{
			Name:        name,
			Annotations: map[string]string{madeByAnnotation: Name},
			Finalizers:  []string{Name},
		},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: claim.Spec.Resources.Requests[corev1.ResourceStorage]},
			AccessModes:                   claim.Spec.AccessModes,
			PersistentVolumeReclaimPolicy: policy,
			StorageClassName:              class.Name,
			ClaimRef: &corev1.ObjectReference{
				APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID,
			},
			// The kubelet gives a local volume to the pod's fsGroup, which it does not for a hostPath.
			PersistentVolumeSource: corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: filepath.Join(p.folder, name)}},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{
					Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{p.node},
				}},
			}}}},
		},
	}
}
