package chart

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/releaseutil"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// maxRendered bounds the text that a chart may render. Helm stores it with a release
// in a Secret of at most 1 MiB, compressed.
const maxRendered = 16 << 20

// Release is what templates are told of the release that they are rendered for.
type Release struct {
	// Name and Namespace identify it.
	Name, Namespace string
	// Upgrade says that it is not the first revision.
	Upgrade bool
}

// Render returns the objects that an installation of the chart would make, as Helm
// renders them. Lists are taken apart. Hooks are left out, because no action runs them.
// If the chart's own schema refuses the values, the error is a *ValuesError.
func (c *Chart) Render(release Release, values map[string]any, capabilities *chartutil.Capabilities) ([]map[string]any, error) {
	parsed, err := c.Parse()
	if err != nil {
		return nil, err
	}
	if want := parsed.Metadata.KubeVersion; want != "" && !chartutil.IsCompatibleRange(want, capabilities.KubeVersion.String()) {
		return nil, fmt.Errorf("chart %s requires Kubernetes %s, and this is %s", c.Name, want, capabilities.KubeVersion.String())
	}
	if err := chartutil.ProcessDependenciesWithMerge(parsed, values); err != nil {
		return nil, fmt.Errorf("reading the dependencies of chart %s: %w", c.Name, err)
	}
	options := chartutil.ReleaseOptions{
		Name: release.Name, Namespace: release.Namespace, Revision: 1, IsInstall: !release.Upgrade, IsUpgrade: release.Upgrade,
	}
	top, err := chartutil.ToRenderValuesWithSchemaValidation(parsed, values, options, capabilities, true)
	if err != nil {
		return nil, fmt.Errorf("putting the values of chart %s together: %w", c.Name, err)
	}
	if err := checkValues(parsed, top["Values"].(chartutil.Values)); err != nil {
		return nil, fmt.Errorf("checking the values of chart %s: %w", c.Name, err)
	}
	var renderer engine.Engine // without a client: lookup finds nothing
	files, err := renderer.Render(parsed, top)
	if err != nil {
		return nil, fmt.Errorf("rendering chart %s: %w", c.Name, err)
	}
	return objectsIn(parsed, files)
}

// objectsIn reads the objects from rendered templates.
func objectsIn(parsed *chart.Chart, files map[string]string) ([]map[string]any, error) {
	size := 0
	for name, text := range files {
		if strings.HasSuffix(name, "NOTES.txt") {
			delete(files, name)
			continue
		}
		size += len(text)
	}
	if size > maxRendered {
		return nil, fmt.Errorf("chart %s renders more than %d MiB", parsed.Name(), maxRendered>>20)
	}
	_, manifests, err := releaseutil.SortManifests(files, nil, releaseutil.InstallOrder)
	if err != nil {
		return nil, fmt.Errorf("reading what chart %s renders: %w", parsed.Name(), err)
	}
	var objects []map[string]any
	for _, manifest := range manifests {
		var object map[string]any
		if err := yaml.NewYAMLToJSONDecoder(strings.NewReader(manifest.Content)).Decode(&object); err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("reading %s of chart %s: %w", manifest.Name, parsed.Name(), err)
		}
		objects = append(objects, apart(object)...)
	}
	return objects, nil
}

// apart returns the items of a list, or the object itself.
func apart(object map[string]any) []map[string]any {
	kind, _ := object["kind"].(string)
	items, ok := object["items"].([]any)
	switch {
	case len(object) == 0:
		return nil
	case !ok || !strings.HasSuffix(kind, "List"):
		return []map[string]any{object}
	}
	var objects []map[string]any
	for _, item := range items {
		if object, ok := item.(map[string]any); ok {
			objects = append(objects, apart(object)...)
		}
	}
	return objects
}
