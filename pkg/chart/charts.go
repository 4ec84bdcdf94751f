package chart

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	"helm.sh/helm/v3/pkg/registry"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/engine"
)

// Source says where a chart is. Exactly one of Builtin, OCI and
// RepositoryURL is set.
type Source struct {
	// Builtin is the folder of a chart that the program carries itself.
	Builtin string
	// OCI is a chart in a registry, such as oci://registry.example.com/medusa.
	OCI string
	// RepositoryURL and RepositoryChart are a chart in an HTTP repository.
	RepositoryURL, RepositoryChart string
	// Version is the chart's version. Built-in charts have just one.
	Version string
}

// Charts reads charts and keeps them for its lifetime: a version, once
// published, does not change. It is safe for concurrent use.
type Charts struct {
	// MaxDownload bounds what a registry or a chart repository may send, in bytes.
	// Set it before the first Load.
	MaxDownload int64

	builtin   fs.FS
	client    *http.Client
	plainHTTP bool

	loading singleflight.Group
	mu      sync.Mutex
	loaded  map[Source]*Chart
}

// SourceOf is where the chart of the store's version is. Errors are those of
// engine.Version, or tell that the engine names no chart.
func SourceOf(e *v1alpha1.Engine, s *v1alpha1.Store) (Source, error) {
	version, err := engine.Version(e, s.Spec.Version)
	if err != nil {
		return Source{}, err
	}
	source := Source{Version: version.ChartVersion}
	switch chart := e.Spec.Chart; {
	case chart.Builtin != nil:
		return Source{Builtin: *chart.Builtin}, nil
	case chart.OCI != nil:
		source.OCI = *chart.OCI
	case chart.Repository != nil:
		source.RepositoryURL, source.RepositoryChart = chart.Repository.URL, chart.Repository.Name
	default:
		return Source{}, fmt.Errorf("spec.chart of engine %q names no chart", e.Name)
	}
	return source, nil
}

// NewCharts returns Charts that finds the built-in ones as folders of builtin.
func NewCharts(builtin fs.FS) *Charts {
	c := &Charts{MaxDownload: maxDownload, builtin: builtin, loaded: map[Source]*Chart{}}
	c.client = &http.Client{Timeout: 30 * time.Second, Transport: limited{c}}
	return c
}

// Load returns the chart at source. Every error wraps ErrChart; one that comes
// from a registry or repository may go away by itself.
func (c *Charts) Load(ctx context.Context, source Source) (*Chart, error) {
	if chart := c.Loaded(source); chart != nil {
		return chart, nil
	}
	v, err, _ := c.loading.Do(fmt.Sprintf("%q", source), func() (any, error) {
		// Others may wait for this load, so it outlives the first asker.
		chart, err := c.load(context.WithoutCancel(ctx), source)
		if err != nil {
			return nil, fmt.Errorf("loading %s: %w", source, err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.loaded[source] = chart
		return chart, nil
	})
	if err != nil {
		return nil, err
	}
	return v.(*Chart), nil
}

// Loaded returns the chart at source if it has been loaded before, or else nil.
func (c *Charts) Loaded(source Source) *Chart {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.loaded[source]
}

func (c *Charts) load(ctx context.Context, source Source) (*Chart, error) {
	if source.Builtin != "" {
		return readDir(c.builtin, source.Builtin)
	}
	if source.Version == "" {
		return nil, fmt.Errorf("%w: no chart version is given", ErrChart)
	}
	if source.OCI != "" {
		return c.pull(source)
	}
	return c.download(ctx, source)
}

func (c *Charts) pull(source Source) (*Chart, error) {
	options := []registry.ClientOption{registry.ClientOptHTTPClient(c.client), registry.ClientOptWriter(io.Discard)}
	if c.plainHTTP {
		options = append(options, registry.ClientOptPlainHTTP())
	}
	client, err := registry.NewClient(options...)
	if err != nil {
		return nil, fmt.Errorf("%w: making a registry client: %w", ErrChart, err)
	}
	result, err := client.Pull(strings.TrimPrefix(source.OCI, "oci://") + ":" + source.Version)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrChart, err)
	}
	return readArchive(bytes.NewReader(result.Chart.Data))
}

func (c *Charts) download(ctx context.Context, source Source) (*Chart, error) {
	b, err := c.get(ctx, strings.TrimSuffix(source.RepositoryURL, "/")+"/index.yaml")
	if err != nil {
		return nil, err
	}
	found, address, err := find(b, source)
	if err != nil {
		return nil, err
	}
	if b, err = c.get(ctx, address); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	if want := strings.TrimPrefix(found.Digest, "sha256:"); want != "" && want != hex.EncodeToString(sum[:]) {
		return nil, fmt.Errorf("%w: the archive's digest is not the one in the repository's index", ErrChart)
	}
	return readArchive(bytes.NewReader(b))
}

func (c *Charts) get(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrChart, err)
	}
	response, err := c.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrChart, err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: GET %s answered %s", ErrChart, url, response.Status)
	}
	b, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("%w: GET %s: %w", ErrChart, url, err)
	}
	return b, nil
}

// String names the chart as people know it.
func (s Source) String() string {
	switch {
	case s.Builtin != "":
		return fmt.Sprintf("built-in chart %q", s.Builtin)
	case s.OCI != "":
		return fmt.Sprintf("chart %s:%s", s.OCI, s.Version)
	}
	return fmt.Sprintf("chart %q version %q of %s", s.RepositoryChart, s.Version, s.RepositoryURL)
}
