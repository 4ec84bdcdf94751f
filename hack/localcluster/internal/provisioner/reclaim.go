package provisioner

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// pvProtection is the finalizer that keeps a volume while a claim is bound to it.
const pvProtection = "kubernetes.io/pv-protection"

// reclaim removes a released volume whose policy is Delete, and the data of a
// volume that is being deleted with that policy. The object outlives the data,
// so an interrupted removal is taken up again.
func (p *Provisioner) reclaim(ctx context.Context, volume *corev1.PersistentVolume) error {
	if volume.Annotations[madeByAnnotation] != Name {
		return nil
	}
	remove := volume.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete
	if volume.DeletionTimestamp == nil {
		if remove && volume.Status.Phase == corev1.VolumeReleased {
			return p.remove(ctx, volume)
		}
		return nil
	}
	if slices.Contains(volume.Finalizers, pvProtection) || !slices.Contains(volume.Finalizers, Name) {
		return nil
	}
	if remove {
		if err := p.removeData(volume); err != nil {
			return err
		}
	}
	return p.release(ctx, volume)
}

// removeData trusts its own folder and the volume's name, not the path in the
// object: who may write volumes must not get to remove files of the host.
func (p *Provisioner) removeData(volume *corev1.PersistentVolume) error {
	path := filepath.Join(p.folder, filepath.Base(volume.Name))
	if volume.Spec.Local == nil || volume.Spec.Local.Path != path {
		return fmt.Errorf("volume %s does not lie at %s: not removing anything", volume.Name, path)
	}
	if err := os.RemoveAll(path); err != nil {
		return fmt.Errorf("removing the data of volume %s: %w", volume.Name, err)
	}
	return nil
}

// release takes the finalizer away.
func (p *Provisioner) release(ctx context.Context, volume *corev1.PersistentVolume) error {
	changed := volume.DeepCopy()
	changed.Finalizers = slices.DeleteFunc(changed.Finalizers, func(finalizer string) bool { return finalizer == Name })
	_, err := p.client.CoreV1().PersistentVolumes().Update(ctx, changed, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("releasing volume %s: %w", volume.Name, err)
	}
	return nil
}
