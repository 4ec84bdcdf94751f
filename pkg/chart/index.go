package chart

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"sigs.k8s.io/yaml"
)

// index is what a chart repository offers. Helm's own reader of it would bring all of
// kubectl into the program.
type index struct {
	Entries map[string][]entry `json:"entries"`
}

// entry is one version of a chart.
type entry struct {
	Version string   `json:"version"`
	Digest  string   `json:"digest"`
	URLs    []string `json:"urls"`
}

// find returns the entry of an index that source asks for: that of exactly its
// version, or the newest of those that it allows, and where its archive is.
func find(document []byte, source Source) (*entry, string, error) {
	var all index
	if err := yaml.Unmarshal(document, &all); err != nil {
		return nil, "", fmt.Errorf("%w: reading the repository's index: %w", ErrChart, err)
	}
	found, err := newest(all.Entries[source.RepositoryChart], source.Version)
	switch {
	case err != nil:
		return nil, "", fmt.Errorf("%w: %w", ErrChart, err)
	case found == nil:
		return nil, "", fmt.Errorf("%w: no chart version found in the repository's index", ErrChart)
	case len(found.URLs) == 0:
		return nil, "", fmt.Errorf("%w: the repository's index has no address for it", ErrChart)
	}
	base, err := url.Parse(strings.TrimSuffix(source.RepositoryURL, "/") + "/")
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrChart, err)
	}
	address, err := base.Parse(found.URLs[0])
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrChart, err)
	}
	return found, address.String(), nil
}

func newest(entries []entry, version string) (*entry, error) {
	if i := slices.IndexFunc(entries, func(e entry) bool { return e.Version == version }); i >= 0 {
		return &entries[i], nil
	}
	allowed, err := semver.NewConstraint(version)
	if err != nil {
		return nil, err
	}
	var found *entry
	var best *semver.Version
	for i := range entries {
		v, err := semver.NewVersion(entries[i].Version)
		if err != nil || !allowed.Check(v) {
			continue
		}
		if best == nil || v.GreaterThan(best) {
			found, best = &entries[i], v
		}
	}
	return found, nil
}
