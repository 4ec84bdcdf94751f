package charts

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// The charts make objects of other projects' kinds. These types have the fields
// that the charts may use, written after those projects' published APIs, so that a
// misspelt or misplaced field does not pass. An e2e test shows those of the
// Gateway API to their real schemas.
type (
	custom struct {
		metav1.TypeMeta   `json:",inline"`
		metav1.ObjectMeta `json:"metadata"`
	}
	secretKey struct {
		Name string `json:"name"`
		Key  string `json:"key"`
	}
	serviceMonitor struct {
		custom `json:",inline"`
		Spec   struct {
			Selector  metav1.LabelSelector `json:"selector"`
			Endpoints []struct {
				Port            string `json:"port"`
				Path            string `json:"path"`
				Scheme          string `json:"scheme"`
				Interval        string `json:"interval"`
				BearerTokenFile string `json:"bearerTokenFile"`
				TLSConfig       struct {
					ServerName string `json:"serverName"`
					CA         struct {
						Secret secretKey `json:"secret"`
					} `json:"ca"`
				} `json:"tlsConfig"`
			} `json:"endpoints"`
		} `json:"spec"`
	}
	certificate struct {
		custom `json:",inline"`
		Spec   struct {
			SecretName string   `json:"secretName"`
			DNSNames   []string `json:"dnsNames"`
			IssuerRef  struct {
				Group string `json:"group"`
				Kind  string `json:"kind"`
				Name  string `json:"name"`
			} `json:"issuerRef"`
		} `json:"spec"`
	}
	externalSecret struct {
		custom `json:",inline"`
		Spec   struct {
			RefreshInterval metav1.Duration `json:"refreshInterval"`
			SecretStoreRef  struct {
				Kind string `json:"kind"`
				Name string `json:"name"`
			} `json:"secretStoreRef"`
			Target struct {
				Name string `json:"name"`
			} `json:"target"`
			Data []struct {
				SecretKey string `json:"secretKey"`
				RemoteRef struct {
					Key      string `json:"key"`
					Property string `json:"property"`
				} `json:"remoteRef"`
			} `json:"data"`
		} `json:"spec"`
	}
	postgresCluster struct {
		custom `json:",inline"`
		Spec   struct {
			Instances int `json:"instances"`
			Bootstrap struct {
				InitDB struct {
					Database string `json:"database"`
					Owner    string `json:"owner"`
				} `json:"initdb"`
			} `json:"bootstrap"`
			Storage struct {
				Size         string `json:"size"`
				StorageClass string `json:"storageClass"`
			} `json:"storage"`
			Resources struct {
				Requests map[string]string `json:"requests"`
				Limits   map[string]string `json:"limits"`
			} `json:"resources"`
		} `json:"spec"`
	}
	gatewayListener struct {
		Name     string `json:"name"`
		Protocol string `json:"protocol"`
		Port     int32  `json:"port"`
		Hostname string `json:"hostname"`
		TLS      struct {
			CertificateRefs []struct {
				Name string `json:"name"`
			} `json:"certificateRefs"`
		} `json:"tls"`
		AllowedRoutes struct {
			Namespaces struct {
				From     string               `json:"from"`
				Selector metav1.LabelSelector `json:"selector"`
			} `json:"namespaces"`
		} `json:"allowedRoutes"`
	}
	gateway struct {
		custom `json:",inline"`
		Spec   struct {
			GatewayClassName string            `json:"gatewayClassName"`
			Listeners        []gatewayListener `json:"listeners"`
		} `json:"spec"`
	}
	httpRoute struct {
		custom `json:",inline"`
		Spec   struct {
			ParentRefs []struct {
				Name        string `json:"name"`
				Namespace   string `json:"namespace"`
				SectionName string `json:"sectionName"`
			} `json:"parentRefs"`
			Hostnames []string `json:"hostnames"`
			Rules     []struct {
				Matches []struct {
					Path struct {
						Type  string `json:"type"`
						Value string `json:"value"`
					} `json:"path"`
				} `json:"matches"`
				Filters []struct {
					Type            string `json:"type"`
					RequestRedirect struct {
						Scheme     string `json:"scheme"`
						StatusCode int    `json:"statusCode"`
					} `json:"requestRedirect"`
				} `json:"filters"`
				BackendRefs []struct {
					Name string `json:"name"`
					Port int32  `json:"port"`
				} `json:"backendRefs"`
			} `json:"rules"`
		} `json:"spec"`
	}
	apiService struct {
		custom `json:",inline"`
		Spec   struct {
			Group                string `json:"group"`
			Version              string `json:"version"`
			GroupPriorityMinimum int32  `json:"groupPriorityMinimum"`
			VersionPriority      int32  `json:"versionPriority"`
			CABundle             []byte `json:"caBundle"`
			Service              struct {
				Namespace string `json:"namespace"`
				Name      string `json:"name"`
				Port      int32  `json:"port"`
			} `json:"service"`
		} `json:"spec"`
	}
)

// decodeCustom decodes an object of another project strictly.
func decodeCustom(t *testing.T, loose *unstructured.Unstructured) any {
	t.Helper()
	var typed any
	switch kind := loose.GetAPIVersion() + " " + loose.GetKind(); kind {
	case "apiregistration.k8s.io/v1 APIService":
		typed = &apiService{}
	case "cert-manager.io/v1 Certificate":
		typed = &certificate{}
	case "external-secrets.io/v1 ExternalSecret":
		typed = &externalSecret{}
	case "gateway.networking.k8s.io/v1 Gateway":
		typed = &gateway{}
	case "gateway.networking.k8s.io/v1 HTTPRoute":
		typed = &httpRoute{}
	case "monitoring.coreos.com/v1 ServiceMonitor":
		typed = &serviceMonitor{}
	case "postgresql.cnpg.io/v1 Cluster":
		typed = &postgresCluster{}
	default:
		t.Fatalf("the tests do not know %s", kind)
	}
	raw, err := yaml.Marshal(loose.Object)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(raw, typed); err != nil {
		t.Errorf("%s %s: %v", loose.GetKind(), loose.GetName(), err)
	}
	return typed
}
