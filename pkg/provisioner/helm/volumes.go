package helm

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	cliresource "k8s.io/cli-runtime/pkg/resource"
	"k8s.io/utils/ptr"
)

var (
	claimKind   = schema.GroupKind{Kind: "PersistentVolumeClaim"}
	sizeOfClaim = []string{"spec", "resources", "requests", "storage"}
)

// checkSize compares the claim that is wanted with the one that there is, and
// makes it no smaller. before is what the release has asked for so far, or nil.
func (c *client) checkSize(before, wanted *cliresource.Info) error {
	helper := cliresource.NewHelper(wanted.Client, wanted.Mapping)
	object, err := helper.Get(wanted.Namespace, wanted.Name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading PersistentVolumeClaim %s: %w", wanted.Name, err)
	}
	live, err := claimOf(object)
	if err != nil {
		return err
	}
	asked, err := claimOf(wanted.Object)
	if err != nil {
		return err
	}
	has, size := live.Spec.Resources.Requests.Storage(), asked.Spec.Resources.Requests.Storage()
	if size.Cmp(*has) > 0 {
		if err := tryGrowing(helper, live, size); err != nil {
			return fmt.Errorf("PersistentVolumeClaim %s of StorageClass %s cannot grow from %s to %s: %w",
				live.Name, ptr.Deref(live.Spec.StorageClassName, `""`), has, size, err)
		}
		return nil
	}
	if before != nil && !c.returning {
		last, err := claimOf(before.Object)
		if err != nil {
			return err
		}
		if size.Cmp(*has) < 0 && size.Cmp(*last.Spec.Resources.Requests.Storage()) < 0 {
			return fmt.Errorf("PersistentVolumeClaim %s has %s and cannot shrink to %s: ask for %s or more", live.Name, has, size, has)
		}
	}
	return keepSize(wanted, object)
}

// tryGrowing has the API server, its admission and the quota say whether the claim
// may be as large as size.
func tryGrowing(helper *cliresource.Helper, live *corev1.PersistentVolumeClaim, size *resource.Quantity) error {
	patch := map[string]any{}
	if err := unstructured.SetNestedField(patch, size.String(), sizeOfClaim...); err != nil {
		return err
	}
	body, err := json.Marshal(patch)
	if err != nil {
		return err
	}
	_, err = helper.DryRun(true).WithFieldManager(FieldManager).Patch(live.Namespace, live.Name, types.MergePatchType, body, &metav1.PatchOptions{})
	return err
}

// keepSize makes wanted ask for no less than live has, if they are a claim.
func keepSize(wanted *cliresource.Info, live runtime.Object) error {
	object, ok := wanted.Object.(*unstructured.Unstructured)
	if !ok || !isClaim(wanted) {
		return nil
	}
	is, err := claimOf(live)
	if err != nil {
		return err
	}
	asked, err := claimOf(object)
	if err != nil {
		return err
	}
	if has := is.Spec.Resources.Requests.Storage(); asked.Spec.Resources.Requests.Storage().Cmp(*has) < 0 {
		return unstructured.SetNestedField(object.Object, has.String(), sizeOfClaim...)
	}
	return nil
}

func isClaim(info *cliresource.Info) bool {
	return info.Mapping.GroupVersionKind.GroupKind() == claimKind
}

func claimOf(object runtime.Object) (*corev1.PersistentVolumeClaim, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, err
	}
	claim := &corev1.PersistentVolumeClaim{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(content, claim); err != nil {
		return nil, fmt.Errorf("reading a PersistentVolumeClaim: %w", err)
	}
	return claim, nil
}
