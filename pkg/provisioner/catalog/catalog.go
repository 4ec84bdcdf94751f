// Package catalog keeps the Engines that the platform's chart brings as the
// chart has them. Engines made by other means are left alone.
package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	platformclient "platform.dev/stores/pkg/generated/clientset/versioned/typed/platform/v1alpha1"
)

// fieldManager owns the fields of the chart's engines.
const fieldManager = "platform-catalog"

// Load reads every *.yaml file of a folder as one Engine each, in the order of
// their names. It refuses unknown fields, and engines without a name.
func Load(folder string) ([]v1alpha1.Engine, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		return nil, fmt.Errorf("listing the engines in %s: %w", folder, err)
	}
	slices.Sort(files)
	engines := make([]v1alpha1.Engine, 0, len(files))
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading an engine: %w", err)
		}
		var engine v1alpha1.Engine
		if err := yaml.UnmarshalStrict(content, &engine); err != nil {
			return nil, fmt.Errorf("reading engine %s: %w", file, err)
		}
		if engine.Name == "" {
			return nil, fmt.Errorf("reading engine %s: metadata.name is missing", file)
		}
		engines = append(engines, engine)
	}
	return engines, nil
}

// Apply brings the engines into the cluster by server-side apply, taking over
// fields that others have changed. It tries until each is in or ctx is done: at
// the platform's first start the API that serves engines may still be starting.
func Apply(ctx context.Context, client platformclient.EngineInterface, engines []v1alpha1.Engine) error {
	for _, engine := range engines {
		engine.TypeMeta = metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "Engine"}
		body, err := json.Marshal(engine)
		if err != nil {
			return fmt.Errorf("encoding engine %q: %w", engine.Name, err)
		}
		var last error
		err = wait.PollUntilContextCancel(ctx, 2*time.Second, true, func(ctx context.Context) (bool, error) {
			_, last = client.Patch(ctx, engine.Name, types.ApplyPatchType, body,
				metav1.PatchOptions{FieldManager: fieldManager, Force: ptr.To(true)})
			if last != nil {
				klog.FromContext(ctx).Info("Waiting to apply an engine", "engine", engine.Name, "reason", last.Error())
			}
			return last == nil, nil
		})
		if err != nil {
			return fmt.Errorf("applying engine %q: %w: %w", engine.Name, err, last)
		}
	}
	return nil
}
