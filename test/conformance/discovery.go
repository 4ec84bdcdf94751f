package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	apidiscovery "k8s.io/api/apidiscovery/v2"
)

// aggregatedDiscovery is the media type of all that a cluster serves in one answer.
const aggregatedDiscovery = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

// aggregated returns what the cluster tells clients of the resource in its one answer
// about all groups, and whether that is what the server says now.
func (s *Server) aggregated(ctx context.Context) (resource *apidiscovery.APIResourceDiscovery, current bool, err error) {
	a, err := send(ctx, s.Admin, http.MethodGet, "/apis", http.Header{"Accept": {aggregatedDiscovery}}, nil)
	if err != nil {
		return nil, false, err
	}
	var list apidiscovery.APIGroupDiscoveryList
	if err := json.Unmarshal(a.body, &list); err != nil {
		return nil, false, fmt.Errorf("reading the aggregated discovery: %w", err)
	}
	for _, group := range list.Items {
		for _, version := range group.Versions {
			for i := range version.Resources {
				if group.Name == s.Group && version.Version == s.Version && version.Resources[i].Resource == s.Resource {
					return &version.Resources[i], version.Freshness == apidiscovery.DiscoveryFreshnessCurrent, nil
				}
			}
		}
	}
	return nil, false, nil
}
