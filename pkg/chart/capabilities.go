package chart

import (
	"fmt"

	"helm.sh/helm/v3/pkg/chartutil"
	"k8s.io/client-go/discovery"
)

// ReadCapabilities asks a cluster for what templates may know of it. Groups whose
// server is down are left out, and that is no error.
func ReadCapabilities(client discovery.DiscoveryInterface) (*chartutil.Capabilities, error) {
	version, err := client.ServerVersion()
	if err != nil {
		return nil, fmt.Errorf("reading the cluster's version: %w", err)
	}
	groups, resources, err := client.ServerGroupsAndResources()
	if err != nil && !discovery.IsGroupDiscoveryFailedError(err) {
		return nil, fmt.Errorf("reading the cluster's APIs: %w", err)
	}
	var apis chartutil.VersionSet
	for _, group := range groups {
		for _, version := range group.Versions {
			apis = append(apis, version.GroupVersion)
		}
	}
	for _, list := range resources {
		for _, resource := range list.APIResources {
			apis = append(apis, list.GroupVersion+"/"+resource.Kind)
		}
	}
	return &chartutil.Capabilities{
		APIVersions: apis,
		KubeVersion: chartutil.KubeVersion{Version: version.GitVersion, Major: version.Major, Minor: version.Minor},
		HelmVersion: chartutil.DefaultCapabilities.HelmVersion,
	}, nil
}
