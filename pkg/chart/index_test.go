package chart

import (
	"errors"
	"strings"
	"testing"
)

func TestFindInIndex(t *testing.T) {
	t.Parallel()
	const document = `apiVersion: v1
entries:
  shop:
  - {version: 1.2.0, digest: a, urls: [shop-1.2.0.tgz]}
  - {version: 1.10.0, digest: b, urls: ["https://elsewhere.example.com/shop.tgz"]}
  - {version: not a version, urls: [shop-broken.tgz]}
  - {version: 2.0.0}
`
	for name, tc := range map[string]struct {
		version, chart         string
		digest, address, fault string
	}{
		"exactly this one":         {version: "1.2.0", digest: "a", address: "https://charts.example.com/all/shop-1.2.0.tgz"},
		"the newest of several":    {version: "^1.0.0", digest: "b", address: "https://elsewhere.example.com/shop.tgz"},
		"a version without a file": {version: "2.0.0", fault: "has no address"},
		"a version that is not":    {version: "3.0.0", fault: "no chart version found"},
		"no version at all":        {version: "?", fault: "improper constraint"},
		"a chart that is not":      {version: "1.2.0", chart: "other", fault: "no chart version found"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source := Source{RepositoryURL: "https://charts.example.com/all/", RepositoryChart: "shop", Version: tc.version}
			if tc.chart != "" {
				source.RepositoryChart = tc.chart
			}
			found, address, err := find([]byte(document), source)
			if tc.fault != "" {
				if !errors.Is(err, ErrChart) || !strings.Contains(err.Error(), tc.fault) {
					t.Errorf("got error %v, want one with %q", err, tc.fault)
				}
				return
			}
			if err != nil || found.Digest != tc.digest || address != tc.address {
				t.Errorf("found %+v at %q, error %v", found, address, err)
			}
		})
	}
}
