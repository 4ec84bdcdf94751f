package provisioner

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/klog/v2"
	"sigs.k8s.io/yaml"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/generated/clientset/versioned"
)

// EngineManifest is an Engine that the installation brings.
type EngineManifest struct {
	name string
	json []byte
}

// ReadEngines reads the manifests of Engines from the files *.yaml of dir. A
// manifest that is no Engine, or has an unknown field, is an error.
func ReadEngines(dir fs.FS) ([]EngineManifest, error) {
	paths, err := fs.Glob(dir, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("looking for engines: %w", err)
	}
	var manifests []EngineManifest
	for _, path := range paths {
		b, err := fs.ReadFile(dir, path)
		if err != nil {
			return nil, fmt.Errorf("reading engines: %w", err)
		}
		found, err := parseEngines(b)
		if err != nil {
			return nil, fmt.Errorf("reading engines from %s: %w", path, err)
		}
		manifests = append(manifests, found...)
	}
	return manifests, nil
}

func parseEngines(b []byte) ([]EngineManifest, error) {
	var manifests []EngineManifest
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(b)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return manifests, nil
		}
		if err != nil {
			return nil, err
		}
		var engine v1alpha1.Engine
		if err := yaml.UnmarshalStrict(document, &engine); err != nil {
			return nil, err
		}
		if engine.APIVersion != v1alpha1.SchemeGroupVersion.String() || engine.Kind != "Engine" || engine.Name == "" {
			return nil, fmt.Errorf("%s %s %q is no named Engine of %s", engine.APIVersion, engine.Kind, engine.Name, v1alpha1.SchemeGroupVersion)
		}
		// What is applied is the manifest itself: the type would add the fields
		// that it leaves empty.
		manifest, err := yaml.YAMLToJSON(document)
		if err != nil {
			return nil, err
		}
		manifests = append(manifests, EngineManifest{name: engine.Name, json: manifest})
	}
}

// ApplyEngines makes the Engines as their manifests say. It tries until it has
// succeeded or ctx is done, because the API server that serves engines may come
// up later than whoever calls this.
func ApplyEngines(ctx context.Context, client versioned.Interface, manifests []EngineManifest) {
	backoff := wait.Backoff{Duration: time.Second, Factor: 1.5, Jitter: 0.2, Steps: 12, Cap: 30 * time.Second}
	force := true
	for _, manifest := range manifests {
		_ = backoff.DelayFunc().Until(ctx, true, true, func(ctx context.Context) (bool, error) {
			_, err := client.PlatformV1alpha1().Engines().Patch(ctx, manifest.name, types.ApplyYAMLPatchType, manifest.json,
				metav1.PatchOptions{FieldManager: FieldManager, Force: &force})
			if err != nil {
				klog.FromContext(ctx).Error(err, "Applying an engine; trying again", "engine", manifest.name)
				return false, nil
			}
			klog.FromContext(ctx).Info("Applied an engine", "engine", manifest.name)
			return true, nil
		})
	}
}
